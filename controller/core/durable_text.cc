#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/strings.h"
#include "controller/core/state.h"

namespace canopy::controller {
namespace {

using nlohmann::ordered_json;

ordered_json Describe(const model::CampaignProgress& p) {
  return {{"state", std::string(model::ToString(p.state))},
          {"reason", p.reason},
          {"epochs", p.epochs},
          {"active_ms", p.active_ms},
          {"next_trial_number", p.next_trial_number},
          {"last_result_seq", p.last_result_seq},
          {"refill", {p.refill_count, p.refill_seen_seq}},
          {"proposals", p.proposals},
          {"exhausted", p.strategy_exhausted},
          {"finals_stage", p.finals_stage},
          {"winner", {p.winner_trial_id, p.winner_is_reference, p.winner_committed}},
          {"pinned", {p.pinned_dataset_digest, p.pinned_trainer_build, p.pinned_device}},
          {"archived", p.archived},
          {"share_tag", p.share_tag},
          {"signatures_from", p.signatures_from},
          {"test_reads", p.test_reads}};
}

ordered_json FailedOn(const model::TrialRecord& trial) {
  ordered_json places = ordered_json::array();
  for (const model::DevicePlace& place : trial.failed_on)
    places.push_back(ordered_json::array({place.host, place.device_uuid}));
  return places;
}

ordered_json Describe(const model::TrialRecord& t) {
  return {{"id", t.id},
          {"number", t.number},
          {"purpose", std::string(model::ToString(t.purpose))},
          {"replicate", t.replicate},
          {"candidate_hash", t.candidate.candidate_hash},
          {"parent", t.parent_trial_id},
          {"seen_seq", t.seen_seq},
          {"space", {t.space_version, t.set_aside}},
          {"state", std::string(model::ToString(t.state))},
          {"reason", t.reason},
          {"retries", {t.crashes, t.timeouts, t.out_of_memory, t.interruptions, t.data_failures}},
          {"out_of_memory_bytes", t.out_of_memory_bytes},
          {"crash_hosts", t.crash_hosts},
          {"failed_on", FailedOn(t)},
          {"last_lease", {t.last_attempt_id, t.last_fence}},
          {"rung", {t.rung, std::string(model::ToString(t.rung_action)), t.busy_ms, t.device_ms}},
          {"checkpoint",
           {t.checkpoint.worker_id, t.checkpoint.path, t.checkpoint.sha256, t.checkpoint.epoch,
            t.checkpoint.step}},
          {"worker", t.required_worker_id}};
}

}  // namespace

std::string Core::Impl::DurableText() const {
  ordered_json root = {
      {"next_campaign_id", counters.next_campaign_id}, {"next_trial_id", counters.next_trial_id},
      {"next_attempt_id", counters.next_attempt_id},   {"next_fence", counters.next_fence},
      {"next_event_seq", counters.next_event_seq},     {"share_time", counters.share_time}};
  for (const auto& [id, campaign] : campaigns) {
    ordered_json entry = {
        {"id", id},
        {"space_version", campaign.live.campaign.space_version},
        {"space_hash", campaign.live.campaign.space_hash},
        {"constraints", campaign.settings().constraints},
        {"priority", campaign.settings().priority},
        {"fidelity", {campaign.settings().fidelity_kind, campaign.settings().fidelity_json}},
        {"schedule", campaign.reports_digest},
        {"progress", Describe(campaign.progress())}};
    for (const auto& [trial_id, trial] : campaign.trials) entry["trials"].push_back(Describe(trial));
    for (const auto& [attempt_id, attempt] : campaign.attempts)
      entry["attempts"].push_back({attempt_id, attempt.record.trial_id, attempt.record.fence,
                                   attempt.record.worker_id, attempt.record.request_id, attempt.record.slot});
    for (const auto& [trial_id, attempt] : campaign.expired)
      entry["expired"].push_back(
          {trial_id, attempt.record.id, attempt.record.fence, attempt.record.worker_id, attempt.record.slot});
    for (const auto& [trial_id, report] : campaign.reports)
      entry["reports"].push_back({trial_id, report.rung, report.attempt_id, report.fence, report.epoch,
                                  report.metrics, std::string(model::ToString(report.action)),
                                  report.event_seq});
    for (const LiveCampaign::Best& best : campaign.live.best)
      entry["best"].push_back({best.trial_id, best.objective, best.busy_ms, best.device_ms});
    for (const LiveCampaign::Final& final : campaign.live.finals)
      entry["finals"].push_back({final.trial.id, final.result.weights_sha256, final.worker_id});
    entry["signatures"] = {campaign.live.first_signatures};
    for (const model::EndSignature& last : campaign.live.last_signatures)
      entry["signatures"].push_back({last.candidate_hash, last.text});
    entry["counts"] = {campaign.live.trials_total,     campaign.live.search_trials,
                       campaign.live.search_completed, campaign.live.search_busy_ms,
                       campaign.live.search_device_ms, campaign.live.device_ms};
    root["campaigns"].push_back(std::move(entry));
  }
  for (const auto& [place, device] : health) {
    ordered_json entry = ordered_json::array({place.host, place.device_uuid, device.passes});
    for (const model::Blame& blame : device.blames)
      entry.push_back(ordered_json::array({blame.trial_id, blame.trial, blame.other_host}));
    root["health"].push_back(std::move(entry));
  }
  for (const auto& [key, drain] : drains)
    root["drains"].push_back({std::string(model::ToString(drain.scope)), drain.name, drain.reason,
                              drain.principal, drain.since_us});
  return root.dump(1, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::string Core::Impl::WaitingReason(const Campaign& campaign) const {
  // The first that asks nothing else of a worker speaks for all like it, and a few of the others for those.
  constexpr size_t kAsked = 9;
  size_t asked = 0;
  std::string reason = "no worker is connected";
  for (const auto& [needs, alike] : campaign.waiting.by_needs()) {
    if (asked++ == kAsked) break;
    const model::TrialRecord& trial = campaign.trials.at(alike.begin()->second);
    for (const Worker* const worker : StandIns(needs)) {
      std::string why;
      if (Eligible(*worker, campaign, trial, &why)) return "the workers that could run it are busy";
      reason = why;
    }
  }
  return reason;
}

Core::CampaignGlance Core::Impl::Glance(const Campaign& campaign) const {
  constexpr int64_t kWaitingMs = 60'000;
  constexpr size_t kNotices = 10;
  CampaignGlance glance;
  glance.campaign_id = campaign.id();
  for (const auto& [purpose_and_state, trials] : campaign.counts) {
    const model::TrialState state = purpose_and_state.second;
    (state == model::TrialState::kLeased   ? glance.leased
     : state == model::TrialState::kPaused ? glance.paused
                                           : glance.pending) += trials;
  }
  glance.slots = KnownSlots();
  if (HasDeadline(campaign)) glance.deadline_left_ms = std::max<int64_t>(0, LeftMs(campaign));
  glance.device_running_ms = DeviceRunningMs(campaign);
  if (HasDeviceBudget(campaign)) glance.device_left_ms = std::max<int64_t>(0, DeviceLeftMs(campaign));
  if (campaign.idle_since_ms > 0)
    glance.waiting_without_worker_ms = now.monotonic_ms - campaign.idle_since_ms;
  for (const auto& [trial_id, since_ms] : campaign.waits_for_memory) {
    if (glance.notices.size() == kNotices) {
      glance.notices.push_back(
          FormatCount(static_cast<int64_t>(campaign.waits_for_memory.size() - kNotices)) +
          " more trials wait for a worker with more memory");
      break;
    }
    const model::TrialRecord& trial = campaign.trials.at(trial_id);
    glance.notices.push_back(
        campaign.live.campaign.name + "/" + std::to_string(trial.number) +
        " ran out of memory and waits for a worker with more than " + FormatCount(trial.out_of_memory_bytes) +
        " bytes; without one it is INFEASIBLE in " +
        FormatDuration(std::max<int64_t>(0, since_ms + limits.larger_worker_wait_ms - now.monotonic_ms)));
  }
  if (glance.waiting_without_worker_ms >= kWaitingMs) glance.waiting_reason = WaitingReason(campaign);
  return glance;
}

}  // namespace canopy::controller
