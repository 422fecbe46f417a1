#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/strings.h"
#include "controller/core/state.h"

namespace canopy::controller {
namespace {

using model::DrainScope;

std::string EventKind(DrainScope scope, bool undo) {
  const std::string of = scope == DrainScope::kWorker   ? "worker"
                         : scope == DrainScope::kDevice ? "device"
                                                        : "host";
  return of + (undo ? "_undrained" : "_drained");
}

}  // namespace

const model::Drain* Core::Impl::DrainOf(const model::WorkerRecord& worker) const {
  const std::pair<DrainScope, std::string> names[] = {{DrainScope::kWorker, worker.id},
                                                      {DrainScope::kDevice, worker.device_uuid},
                                                      {DrainScope::kHost, worker.host}};
  for (const auto& name : names)
    if (const auto found = drains.find(name); found != drains.end()) return &found->second;
  return nullptr;
}

void Core::Impl::NoteDrains() {
  for (auto& [id, worker] : workers) {
    const model::Drain* const drain = DrainOf(worker.record);
    const bool was_drained = !worker.drained.empty();
    worker.drained = drain == nullptr ? "" : drain->reason;
    worker.sick = drain != nullptr && drain->scope != model::DrainScope::kWorker;
    CountSlots(worker);
    if (was_drained == (drain != nullptr)) continue;
    KeepKind(worker);
    if (was_drained) TryPollsOf(id);
  }
  OfferCrashed();
}

void Core::Impl::SetDrain(const model::Drain& drain, const std::string& worker_id) {
  drains.insert_or_assign({drain.scope, drain.name}, drain);
  Write(SaveDrain{drain});
  nlohmann::json payload = {{"name", drain.name}, {"reason", drain.reason}};
  if (!worker_id.empty()) payload["worker"] = worker_id;
  Log(0, 0, 0, EventKind(drain.scope, false),
      payload.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace), drain.principal);
}

void Core::Impl::Forgive(const model::DevicePlace& place) {
  std::erase_if(health, [&](const auto& entry) {
    const model::DevicePlace& known = entry.first;
    if (known.host != place.host) return false;
    if (!place.device_uuid.empty() && known.device_uuid != place.device_uuid) return false;
    Write(SaveHealth{{known, {}, 0}});
    return true;
  });
}

void Core::Impl::Handle(DrainWorker event) {
  const model::WorkerRecord& record = event.worker;
  if (event.undo) {
    // With its host, what spoke against the host's other devices is forgiven, too.
    Forgive({record.host, drains.count({DrainScope::kHost, record.host}) > 0 ? "" : record.device_uuid});
    const std::pair<DrainScope, std::string> names[] = {{DrainScope::kWorker, record.id},
                                                        {DrainScope::kDevice, record.device_uuid},
                                                        {DrainScope::kHost, record.host}};
    for (const auto& name : names) {
      if (drains.erase(name) == 0) continue;
      Write(RemoveDrain{name.first, name.second});
      Log(0, 0, 0, EventKind(name.first, true),
          nlohmann::json{{"name", name.second}, {"worker", record.id}}.dump(), event.principal);
    }
  } else {
    const std::string reason = event.reason.empty() ? "drained by " + event.principal : event.reason;
    SetDrain({DrainScope::kWorker, record.id, reason, event.principal, now.wall_us}, record.id);
  }
  NoteDrains();
  for (auto& [id, campaign] : campaigns) Advance(campaign);  // other slots are known now
  Answer(event.token,
         ReplyBody{DrainChanged{!event.undo, static_cast<int64_t>(AttemptsOf(record.id).size())}});
}

int64_t Core::Impl::ExpectedMs(const Campaign& campaign) const {
  int64_t expected = MeanSearch(campaign).busy_ms;
  // The finals train the best ones again.
  if (campaign.progress().finals_stage > 0)
    for (const LiveCampaign::Best& best : campaign.live.best) expected = std::max(expected, best.busy_ms);
  return expected;
}

void Core::Impl::NoteExpected(Campaign& campaign) {
  const int64_t expected_ms = ExpectedMs(campaign);
  if (expected_ms < campaign.offered_expected_ms || std::exchange(campaign.held_back, false)) Offer(campaign);
  campaign.offered_expected_ms = expected_ms;
}

bool Core::Impl::HasTimeFor(const Worker& worker, const Campaign& campaign, const model::TrialRecord& trial,
                            std::string* why) const {
  if (!worker.ends_ms) return true;
  const int64_t left_ms = std::max<int64_t>(0, *worker.ends_ms - now.monotonic_ms);
  // Candidates differ: a fifth more than the mean. What its checkpoint has is trained.
  const int64_t trained_ms = trial.checkpoint.worker_id == worker.record.id ? trial.busy_ms : 0;
  const int64_t expected_ms = std::max<int64_t>(0, ExpectedMs(campaign) * 6 / 5 - trained_ms);
  if (left_ms > expected_ms) return true;
  *why = "worker " + worker.record.id + " ends in " + FormatDuration(left_ms) +
         (expected_ms > 0 ? ", and a trial is expected to take up to " + FormatDuration(expected_ms) : "");
  return false;
}

void Core::Impl::CountSlots(Worker& worker) {
  known_slots -= worker.counted_slots;
  worker.counted_slots = worker.drained.empty() && !worker.Ended(now) ? worker.record.slots : 0;
  known_slots += worker.counted_slots;
}

void Core::Impl::SetEnd(Worker& worker, std::optional<int64_t> remaining_ms) {
  const std::optional<int64_t> before = worker.ends_ms;
  worker.ends_ms.reset();
  if (remaining_ms) worker.ends_ms = now.monotonic_ms + *remaining_ms;
  // It is counted down by another clock.
  constexpr int64_t kJitterMs = 2'000;
  if (before && remaining_ms.value_or(0) > kJitterMs && std::abs(*worker.ends_ms - *before) <= kJitterMs)
    worker.ends_ms = before;
  if (worker.ends_ms == before) return;
  CountSlots(worker);
  KeepKind(worker);
  const bool later = before && (!worker.ends_ms || *worker.ends_ms > *before);
  if (later) TryPollsOf(worker.record.id);
  // Its place as another host is worth less, or more.
  OfferCrashed();
}

void Core::Impl::LetGo(const Worker& worker, const std::vector<AttemptProgress>& kept) {
  for (const auto& [campaign, attempt_id] : AttemptsOf(worker.record.id)) {
    const bool goes_on = std::any_of(kept.begin(), kept.end(), [id = attempt_id](const AttemptProgress& own) {
      return own.attempt_id == id;
    });
    if (goes_on) continue;
    LoseAttempt(*campaign, attempt_id, model::AttemptState::kExpired, "its worker left",
                model::FailureClass::kPreempted);
    Advance(*campaign);
  }
}

Core::WorkerGlance Core::Impl::Glance(const Worker& worker) const {
  WorkerGlance glance{
      worker.record.id, now.monotonic_ms - worker.seen_ms, worker.record.last_seen_us, {}, {}};
  for (const auto& [campaign, attempt_id] : AttemptsOf(worker.record.id)) {
    const LiveAttempt& attempt = campaign->attempts.at(attempt_id);
    glance.attempts.push_back({attempt_id, attempt.record.fence, attempt.step, attempt.total_steps,
                               campaign->live.campaign.name + "/" +
                                   std::to_string(campaign->trials.at(attempt.record.trial_id).number)});
  }
  if (worker.ends_ms) glance.remaining_ms = std::max<int64_t>(0, *worker.ends_ms - now.monotonic_ms);
  return glance;
}

Core::FleetGlance Core::Impl::Fleet() const {
  FleetGlance fleet;
  fleet.running_attempts = static_cast<int64_t>(campaign_by_attempt.size());
  for (const auto& [key, kind] : kinds) {
    const auto count = static_cast<int64_t>(kind.workers.size());
    fleet.workers += count;
    fleet.slots += kind.slots;
    fleet.kinds.push_back({workers.at(kind.workers.begin()->second).record, count});
  }
  return fleet;
}

}  // namespace canopy::controller
