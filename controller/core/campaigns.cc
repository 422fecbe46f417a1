#include <nlohmann/json.hpp>
#include <utility>

#include "controller/core/state.h"

namespace canopy::controller {

using model::CampaignState;

constexpr int64_t kSaveProgressMs = 10'000;

void Core::Impl::Handle(LaunchCampaign event) {
  if (static_cast<int64_t>(campaigns.size()) >= limits.max_live_campaigns) {
    Answer(event.token, ResourceExhausted("this controller runs " + std::to_string(campaigns.size()) +
                                          " campaigns already, its limit; cancel one or wait for its end"));
    return;
  }
  Campaign campaign;
  campaign.live.campaign = std::move(event.campaign);
  campaign.live.campaign.id = counters.next_campaign_id++;
  counters_changed = true;
  campaign.live.campaign.created_us = now.wall_us;
  campaign.live.reference = std::move(event.reference);
  campaign.live.progress.epochs = campaign.settings().epochs;
  campaign.active_mark_ms = now.monotonic_ms;
  campaign.MakeLeaseRecord();
  campaign.schedule = MakeSchedule(campaign);
  campaign.MakeRungs();
  const int64_t id = campaign.id();
  Write(InsertCampaign{campaign.live.campaign, campaign.live.progress, campaign.live.reference});
  Campaign& added = campaigns[id] = std::move(campaign);
  CountPriority(added);
  Log(id, 0, 0, "campaign_launched",
      nlohmann::json{{"project", added.live.campaign.project}, {"name", added.live.campaign.name}}.dump(),
      event.principal);
  WriteVersion(added, {}, event.principal);
  if (added.settings().epochs == 0) {
    model::TrialRecord probe;
    probe.purpose = model::Purpose::kProxy;
    probe.candidate = *added.live.reference;
    AddTrial(added, std::move(probe));
    SaveProgress(added);
  }
  Advance(added);
  Answer(event.token, ReplyBody{Launched{id}});
}

void Core::Impl::Handle(CommandCampaign event) {
  const auto found = campaigns.find(event.campaign_id);
  if (found == campaigns.end()) {
    Answer(event.token, FailedPrecondition("the campaign has ended; clone or launch it anew to go on"));
    return;
  }
  Campaign& campaign = found->second;
  const CampaignState state = campaign.progress().state;
  switch (event.verb) {
    case CampaignVerb::kPause:
      if (state != CampaignState::kPaused)
        SetState(campaign, CampaignState::kPaused, "paused by " + event.principal, "campaign_paused",
                 event.principal);
      break;
    case CampaignVerb::kResume:
      if (state != CampaignState::kPaused) break;
      // What made it pause is not held against it again.
      campaign.progress().signatures_from = counters.next_attempt_id;
      campaign.live.first_signatures.clear();
      campaign.live.last_signatures.clear();
      SetState(campaign,
               campaign.progress().finals_stage > 0 ? CampaignState::kFinalizing : CampaignState::kRunning,
               "", "campaign_resumed", event.principal);
      if (std::exchange(campaign.refill_failed, false) && campaign.progress().refill_count > 0)
        effects.requests.push_back(campaign.OpenRefill());
      Advance(campaign);
      break;
    case CampaignVerb::kCancel: {
      std::vector<int64_t> trial_ids;
      for (const auto& [trial_id, trial] : campaign.trials) trial_ids.push_back(trial_id);
      SetState(campaign, CampaignState::kCancelled, "cancelled by " + event.principal, "campaign_cancelled",
               event.principal);
      for (const int64_t trial_id : trial_ids) CancelTrial(campaign, trial_id, "the campaign was cancelled");
      break;
    }
  }
  Answer(event.token, ReplyBody{Commanded{campaign.progress().state}});
}

void Core::Impl::SetState(Campaign& campaign, CampaignState state, const std::string& reason,
                          const std::string& event_kind, const std::string& principal) {
  SaveProgress(campaign);  // counts the time up to now under the old state
  campaign.progress().state = state;
  campaign.progress().reason = reason;
  if (model::IsTerminal(state)) {
    campaign.progress().finished_us = now.wall_us;
    ended.push_back(campaign.id());
  }
  CountPriority(campaign);
  Place(campaign);
  Write(UpdateCampaign{campaign.id(), campaign.progress()});
  Log(campaign.id(), 0, 0, event_kind, nlohmann::json{{"reason", reason}}.dump(), principal);
}

void Core::Impl::Advance(Campaign& campaign) {
  JudgePaused(campaign);
  if (campaign.progress().state == CampaignState::kRunning) {
    std::string why;
    if (SearchIsClosed(campaign, &why))
      CloseSearch(campaign, why);
    else
      Refill(campaign);
  }
  if (campaign.progress().state != CampaignState::kFinalizing) return;
  JudgePaused(campaign);
  AdvanceFinals(campaign);
}

void Core::Impl::Handle(Tick) {
  // Who could not be heard is not lost: the process was stopped, its disk stood still, or was full.
  constexpr int64_t kStoodStillMs = 5'000;
  if (last_tick_ms > 0 && now.monotonic_ms - last_tick_ms >= kStoodStillMs) {
    for (auto& [id, worker] : workers) worker.seen_ms = now.monotonic_ms;
    for (auto& [id, campaign] : campaigns)
      for (auto& [attempt_id, attempt] : campaign.attempts) {
        attempt.expires_ms = std::max(attempt.expires_ms, now.monotonic_ms + 2 * limits.lease_ttl_ms);
        SetUnheard(campaign, attempt, last_tick_ms);
      }
  }
  last_tick_ms = now.monotonic_ms;
  FollowWallClock();
  std::set<std::pair<int64_t, int64_t>> expired;  // campaign, attempt
  while (!lease_checks.empty() && lease_checks.begin()->first <= now.monotonic_ms) {
    const int64_t attempt_id = lease_checks.begin()->second;
    lease_checks.erase(lease_checks.begin());
    const auto [campaign, attempt] = FindAttempt(attempt_id);
    attempt->check_ms = std::max(attempt->expires_ms, now.monotonic_ms + 1);
    lease_checks.emplace(attempt->check_ms, attempt_id);
    if (attempt->expires_ms <= now.monotonic_ms) expired.emplace(campaign->id(), attempt_id);
  }
  for (const auto& [campaign_id, attempt_id] : expired)
    LoseAttempt(campaigns.at(campaign_id), attempt_id, model::AttemptState::kExpired,
                "no heartbeat within the lease's time to live");
  for (auto& [id, campaign] : campaigns) {
    EndWaitsForMemory(campaign);
    GiveUpCheckpoints(campaign);
    Advance(campaign);
    // A restart loses no more of the running time than this.
    if ((campaign.active() || !campaign.attempts.empty()) &&
        now.monotonic_ms - campaign.active_mark_ms >= kSaveProgressMs)
      SaveProgress(campaign);
    const bool idle = campaign.active() && campaign.attempts.empty() && !campaign.waiting.empty();
    if (!idle)
      campaign.idle_since_ms = 0;
    else if (campaign.idle_since_ms == 0)
      campaign.idle_since_ms = now.monotonic_ms;
  }
  const size_t known = workers.size();
  for (auto entry = workers.begin(); entry != workers.end();) {
    Worker& worker = entry->second;
    if (now.monotonic_ms - worker.seen_ms <= limits.worker_forgotten_ms || polls.Has(entry->first)) {
      ++entry;
      continue;
    }
    ForgetWorkerIndices(worker);
    entry = workers.erase(entry);
  }
  if (workers.size() < known) OfferCrashed();
}

}  // namespace canopy::controller
