#include "controller/core/core.h"

#include <algorithm>
#include <utility>

#include "controller/core/state.h"

namespace canopy::controller {

Core::Core(CoreState state, const CoreLimits& limits, ScheduleFactory make_schedule, const Now& now)
    : impl_(std::make_unique<Impl>(std::move(state), limits, std::move(make_schedule), now)) {}
Core::~Core() = default;

Effects Core::Step(const Now& now, Event event) { return impl_->Step(now, std::move(event)); }

int64_t Core::NextTickMs() const {
  constexpr int64_t kTickMs = 500;
  return impl_->now.monotonic_ms + kTickMs;
}

std::string Core::DurableText() const { return impl_->DurableText(); }
std::string Core::IndexErrors() const { return impl_->IndexErrors(); }
int64_t Core::FitChecks() const { return impl_->fit_checks; }

std::vector<Core::CampaignGlance> Core::Campaigns(const Now& now) const {
  impl_->now = now;
  std::vector<CampaignGlance> glances;
  for (const auto& [id, campaign] : impl_->campaigns) glances.push_back(impl_->Glance(campaign));
  return glances;
}

std::optional<Core::CampaignGlance> Core::Glance(const Now& now, int64_t campaign_id) const {
  impl_->now = now;
  const auto found = impl_->campaigns.find(campaign_id);
  return found == impl_->campaigns.end() ? std::nullopt : std::optional(impl_->Glance(found->second));
}

std::vector<AttemptProgress> Core::Progress(const std::vector<int64_t>& attempt_ids) const {
  std::vector<AttemptProgress> progress;
  for (const int64_t id : attempt_ids)
    if (const LiveAttempt* const attempt = impl_->FindAttempt(id).second)
      progress.push_back({id, attempt->record.fence, attempt->step, attempt->total_steps});
  return progress;
}

Core::TrialOutlook Core::Explain(const Now& now, int64_t trial_id) const {
  impl_->now = now;
  return impl_->Explain(trial_id);
}

std::vector<Core::WorkerGlance> Core::Workers(const Now& now,
                                              const std::vector<std::string>& worker_ids) const {
  impl_->now = now;
  std::vector<WorkerGlance> glances;
  for (const std::string& id : worker_ids)
    if (const auto found = impl_->workers.find(id); found != impl_->workers.end())
      glances.push_back(impl_->Glance(found->second));
  return glances;
}

Core::FleetGlance Core::Fleet() const { return impl_->Fleet(); }

int64_t Campaign::ActiveMs(const Now& now) const {
  return progress().active_ms + (active() ? std::max<int64_t>(0, now.monotonic_ms - active_mark_ms) : 0);
}

int64_t Campaign::ServedMs(const Now& now) const {
  return progress().served_ms + std::max<int64_t>(0, now.monotonic_ms - active_mark_ms);
}

Core::Impl::Impl(CoreState state, const CoreLimits& limits, ScheduleFactory make, const Now& start)
    : limits(limits),
      make_schedule(std::move(make)),
      database_id(std::move(state.database_id)),
      incarnation(state.incarnation),
      counters(state.counters),
      start_ms(start.monotonic_ms),
      now(start) {
  FollowWallClock();
  wall_offset_ms = stepped_offset_ms;
  for (model::DeviceHealth& device : state.health) health[device.place] = std::move(device);
  for (model::Drain& drain : state.drains) {
    const std::pair key(drain.scope, drain.name);
    drains.emplace(key, std::move(drain));
  }
  for (LiveCampaign& live : state.campaigns) {
    auto trials = std::move(live.trials);
    auto attempts = std::move(live.attempts), expired = std::move(live.expired);
    Campaign& campaign = campaigns[live.campaign.id];
    campaign.active_mark_ms = now.monotonic_ms;
    campaign.slots_known_ms = now.monotonic_ms + 2 * limits.lease_ttl_ms;
    campaign.live = std::move(live);
    campaign.MakeLeaseRecord();
    campaign.schedule = MakeSchedule(campaign);
    for (const model::RungScore& score : std::exchange(campaign.live.rung_scores, {}))
      campaign.ShowSchedule(score);
    for (model::RungReportRecord& report : std::exchange(campaign.live.reports, {}))
      campaign.reports[report.trial_id] = std::move(report);
    campaign.MakeRungs();
    CountPriority(campaign);
    campaign.offered_expected_ms = ExpectedMs(campaign);
    const auto granted_ms = [&](const model::AttemptRecord& attempt) {
      return now.monotonic_ms - (campaign.progress().served_ms - attempt.began_ms);
    };
    for (model::TrialRecord& trial : trials) KeepTrial(campaign, std::move(trial));
    for (model::AttemptRecord& attempt : attempts) {
      const int64_t began_ms = granted_ms(attempt);
      // Agents get time to find the restarted controller and claim what they run.
      KeepAttempt(campaign, {std::move(attempt), began_ms, now.monotonic_ms + 2 * limits.lease_ttl_ms,
                             now.monotonic_ms, false});
    }
    for (model::AttemptRecord& attempt : expired) {
      const int64_t began_ms = granted_ms(attempt);
      KeepExpired(campaign, {std::move(attempt), began_ms});
    }
  }
}

Effects Core::Impl::Step(const Now& step_now, Event event) {
  now = step_now;
  effects = {};
  constexpr size_t kUsualWrites = 16;
  effects.writes.reserve(kUsualWrites);
  counters_changed = false;
  if (!std::exchange(started, true)) {
    for (const auto& [id, campaign] : campaigns)
      if (campaign.progress().refill_count > 0) effects.requests.push_back(campaign.OpenRefill());
  }
  std::visit([this](auto&& concrete) { Handle(std::move(concrete)); }, std::move(event));
  Dispatch();
  ForgetEndedCampaigns();
  if (counters_changed) Write(counters);
  return std::move(effects);
}

void Core::Impl::Log(int64_t campaign_id, int64_t trial_id, int64_t attempt_id, const std::string& kind,
                     const std::string& payload_json, const std::string& principal) {
  model::EventRecord event;
  event.seq = counters.next_event_seq++;
  counters_changed = true;
  event.campaign_id = campaign_id;
  event.trial_id = trial_id;
  event.attempt_id = attempt_id;
  event.kind = kind;
  event.principal = principal;
  event.payload_json = payload_json;
  event.wall_us = now.wall_us;
  Write(AppendEvent{std::move(event)});
}

void Core::Impl::WriteTrial(model::TrialRecord& trial) {
  // Its network may have a hundred thousand characters, and does not change.
  std::string graph = std::exchange(trial.candidate.graph_json, {});
  Write(UpdateTrial{trial});
  trial.candidate.graph_json = std::move(graph);
}

void Core::Impl::Answer(uint64_t token, StatusOr<ReplyBody> body) {
  if (token != 0) effects.replies.push_back({token, std::move(body)});
}

void Core::Impl::SaveProgress(Campaign& campaign) {
  campaign.progress().active_ms = campaign.ActiveMs(now);
  campaign.progress().served_ms = campaign.ServedMs(now);
  campaign.active_mark_ms = now.monotonic_ms;
  Write(UpdateCampaign{campaign.id(), campaign.progress()});
}

}  // namespace canopy::controller
