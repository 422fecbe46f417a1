#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/random.h"
#include "controller/core/state.h"

namespace canopy::controller {
namespace {

using model::AttemptState;
using model::Purpose;
using model::TrialState;

// What runs first among a campaign's waiting trials: probe, search, finals, tests, measurements.
int Rank(Purpose purpose) {
  switch (purpose) {
    case Purpose::kProxy:
      return 0;
    case Purpose::kSearch:
      return 1;
    case Purpose::kFinal:
      return 2;
    case Purpose::kTest:
      return 3;
    case Purpose::kAudit:
      return 4;
    case Purpose::kMeasure:
      return 5;
  }
  return 6;
}

}  // namespace

int64_t Core::Impl::KnownSlots() const {
  int64_t slots = 0;
  for (const auto& [id, worker] : workers) slots += worker.record.slots;
  return slots;
}

std::pair<Campaign*, LiveAttempt*> Core::Impl::FindAttempt(int64_t attempt_id) {
  for (auto& [id, campaign] : campaigns)
    if (const auto found = campaign.attempts.find(attempt_id); found != campaign.attempts.end())
      return {&campaign, &found->second};
  return {nullptr, nullptr};
}

void Core::Impl::Handle(WorkerHello event) {
  Worker& worker = workers[event.worker.id];
  const int64_t first_seen = worker.record.first_seen_us;
  worker.record = std::move(event.worker);
  worker.record.first_seen_us = first_seen != 0 ? first_seen : now.wall_us;
  worker.record.last_seen_us = now.wall_us;
  worker.seen_ms = now.monotonic_ms;
  worker.failed_datasets.clear();
  Write(UpsertWorker{worker.record});

  Welcomed welcome;
  std::vector<int64_t> claimed;
  for (const auto& [attempt_id, fence] : event.running) {
    const auto [campaign, attempt] = FindAttempt(attempt_id);
    const bool ours =
        attempt != nullptr && attempt->record.fence == fence && attempt->record.worker_id == worker.record.id;
    if (!ours) {
      welcome.attempts_to_stop.push_back(attempt_id);
      continue;
    }
    attempt->expires_ms = now.monotonic_ms + limits.lease_ttl_ms;
    claimed.push_back(attempt_id);
  }
  for (auto& [id, campaign] : campaigns) {
    std::vector<int64_t> lost;
    for (const auto& [attempt_id, attempt] : campaign.attempts)
      if (attempt.record.worker_id == worker.record.id &&
          std::find(claimed.begin(), claimed.end(), attempt_id) == claimed.end())
        lost.push_back(attempt_id);
    for (const int64_t attempt_id : lost)
      LoseAttempt(campaign, attempt_id, AttemptState::kExpired, "the worker restarted without it");
    Advance(campaign);
  }
  Answer(event.token, ReplyBody{std::move(welcome)});
}

void Core::Impl::Handle(WorkerHeartbeat event) {
  const auto found = workers.find(event.worker_id);
  if (found == workers.end()) {
    Answer(event.token, NotFound("worker " + event.worker_id + " is not known here since the restart"));
    return;
  }
  found->second.seen_ms = now.monotonic_ms;
  HeartbeatAnswered answer;
  answer.ttl_ms = limits.lease_ttl_ms;
  // One call a worker and interval: 1,000 a second at the most.
  answer.interval_ms = std::clamp<int64_t>(static_cast<int64_t>(workers.size()), limits.heartbeat_interval_ms,
                                           limits.lease_ttl_ms / 3);
  for (const AttemptProgress& progress : event.attempts) {
    const auto [campaign, attempt] = FindAttempt(progress.attempt_id);
    if (attempt == nullptr || attempt->record.fence != progress.fence ||
        attempt->record.worker_id != event.worker_id) {
      answer.attempts_to_stop.push_back(progress.attempt_id);
      continue;
    }
    attempt->expires_ms = now.monotonic_ms + limits.lease_ttl_ms;
    attempt->step = progress.step;
    attempt->total_steps = progress.total_steps;
  }
  std::erase_if(event.measurements, [&](const model::MeasurementRecord& measurement) {
    const LiveAttempt* attempt = FindAttempt(measurement.attempt_id).second;
    return attempt == nullptr || attempt->record.worker_id != event.worker_id;
  });
  if (!event.measurements.empty()) Write(InsertMeasurements{std::move(event.measurements)});
  Answer(event.token, ReplyBody{std::move(answer)});
}

void Core::Impl::Handle(WorkerExchange event) {
  const auto found = workers.find(event.worker_id);
  if (found == workers.end()) {
    Answer(event.token, FailedPrecondition("worker " + event.worker_id +
                                           " has not said Hello since the controller started"));
    return;
  }
  found->second.seen_ms = now.monotonic_ms;
  Exchanged answer;
  if (event.outcome) answer.verdict = TakeOutcome(event.worker_id, *event.outcome);
  if (!event.wants_lease) {
    Answer(event.token, ReplyBody{answer});
    return;
  }
  // A slot that asks for work runs nothing: what it was given before is repeated to the same request, and
  // lost to another one.
  for (auto& [id, campaign] : campaigns) {
    std::vector<int64_t> lost;
    for (auto& [attempt_id, attempt] : campaign.attempts) {
      if (attempt.record.worker_id != event.worker_id || attempt.record.slot != event.slot) continue;
      if (attempt.record.request_id != event.request_id) {
        lost.push_back(attempt_id);
        continue;
      }
      attempt.expires_ms = now.monotonic_ms + limits.lease_ttl_ms;
      answer.lease = MakeLease(campaign, campaign.trials.at(attempt.record.trial_id), attempt);
    }
    for (const int64_t attempt_id : lost)
      LoseAttempt(campaign, attempt_id, AttemptState::kExpired, "the worker's slot asked for other work");
  }
  if (answer.lease) {
    Answer(event.token, ReplyBody{std::move(answer)});
    return;
  }
  // An older poll of the slot has been given up by its caller.
  std::erase_if(polls, [&](const ParkedPoll& poll) {
    if (poll.worker_id != event.worker_id || poll.slot != event.slot) return false;
    Answer(poll.token, ReplyBody{Exchanged{}});
    return true;
  });
  const ParkedPoll poll{event.token, event.worker_id, event.request_id, event.slot};
  if (answer.verdict == OutcomeVerdict::kNone) {
    polls.push_back(poll);
    return;
  }
  // An acknowledgement never waits for work.
  if (!TryGrant(poll)) {
    Answer(event.token, ReplyBody{std::move(answer)});
    return;
  }
  std::get<Exchanged>(*effects.replies.back().body).verdict = answer.verdict;
}

void Core::Impl::Handle(PollEnded event) {
  std::erase_if(polls, [&](const ParkedPoll& poll) {
    if (poll.token != event.token) return false;
    Answer(poll.token, ReplyBody{Exchanged{}});
    return true;
  });
}

void Core::Impl::Dispatch() {
  std::vector<ParkedPoll> waiting = std::exchange(polls, {});
  for (ParkedPoll& poll : waiting)
    if (!TryGrant(poll)) polls.push_back(std::move(poll));
}

bool Core::Impl::Eligible(const Worker& worker, const Campaign& campaign, const model::TrialRecord& trial,
                          std::string* why) const {
  const model::CampaignSettings& settings = campaign.settings();
  const model::WorkerRecord& record = worker.record;
  if (!trial.required_worker_id.empty() && trial.required_worker_id != record.id) {
    *why = "its weights lie on worker " + trial.required_worker_id;
    return false;
  }
  if (std::find(record.numeric_modes.begin(), record.numeric_modes.end(), settings.numeric_mode) ==
      record.numeric_modes.end()) {
    *why = "no connected worker can run numeric mode " + settings.numeric_mode;
    return false;
  }
  const bool has_dataset =
      std::any_of(record.datasets.begin(), record.datasets.end(), [&](const model::DatasetOnWorker& dataset) {
        return dataset.name == settings.task.dataset &&
               (settings.task.dataset_digest.empty() || dataset.digest == settings.task.dataset_digest);
      });
  if (!has_dataset || worker.failed_datasets.count(settings.task.dataset) > 0) {
    *why = "no connected worker has verified dataset " + settings.task.dataset;
    return false;
  }
  // What crashed on a host is tried on another one, where there is one.
  const auto crashed_on = [&](const std::string& host) {
    return std::find(trial.crash_hosts.begin(), trial.crash_hosts.end(), host) != trial.crash_hosts.end();
  };
  if (!crashed_on(record.host)) return true;
  const bool another = std::any_of(workers.begin(), workers.end(),
                                   [&](const auto& entry) { return !crashed_on(entry.second.record.host); });
  *why = "it crashed on host " + record.host + " and waits for another";
  return !another;
}

bool Core::Impl::TryGrant(const ParkedPoll& poll) {
  const auto worker = workers.find(poll.worker_id);
  if (worker == workers.end()) return false;
  // Campaigns share: the one with the fewest running attempts first.
  std::vector<Campaign*> order;
  for (auto& [id, campaign] : campaigns)
    if (campaign.active()) order.push_back(&campaign);
  std::stable_sort(order.begin(), order.end(), [](const Campaign* a, const Campaign* b) {
    return a->attempts.size() < b->attempts.size();
  });
  for (Campaign* campaign : order) {
    Advance(*campaign);  // a deadline may have passed since
    if (!campaign->active()) continue;
    model::TrialRecord* chosen = nullptr;
    for (auto& [id, trial] : campaign->trials) {
      std::string why;
      if (trial.state != TrialState::kPending) continue;
      if (trial.purpose == Purpose::kSearch && campaign->progress().epochs == 0) continue;
      if (chosen != nullptr && Rank(chosen->purpose) <= Rank(trial.purpose)) continue;
      if (Eligible(worker->second, *campaign, trial, &why)) chosen = &trial;
    }
    if (chosen == nullptr) continue;

    LiveAttempt attempt;
    model::AttemptRecord& record = attempt.record;
    record.id = counters.next_attempt_id++;
    record.fence = counters.next_fence++;
    counters_changed = true;
    record.trial_id = chosen->id;
    record.campaign_id = campaign->id();
    record.worker_id = poll.worker_id;
    record.request_id = poll.request_id;
    record.owner = campaign->live.campaign.owner;
    record.slot = poll.slot;
    const model::WorkerRecord& host = worker->second.record;
    record.host = host.host;
    record.device_kind = host.device_kind;
    record.device_uuid = host.device_uuid;
    record.device_model = host.device_model;
    record.device_share = 1.0 / static_cast<double>(std::max<int64_t>(1, host.slots));
    record.cores = std::max<int64_t>(1, host.cores / std::max<int64_t>(1, host.slots));
    record.started_us = now.wall_us;
    attempt.granted_ms = now.monotonic_ms;
    attempt.expires_ms = now.monotonic_ms + limits.lease_ttl_ms;
    chosen->state = TrialState::kLeased;
    chosen->last_attempt_id = record.id;
    chosen->last_fence = record.fence;
    Write(UpdateTrial{*chosen});
    Write(InsertAttempt{record});
    Log(campaign->id(), chosen->id, record.id, "attempt_started",
        nlohmann::json{{"worker", record.worker_id}, {"fence", record.fence}, {"slot", record.slot}}.dump());
    if (chosen->purpose == Purpose::kTest) {
      ++campaign->progress().test_reads;
      Log(campaign->id(), chosen->id, record.id, "test_read",
          nlohmann::json{{"reads", campaign->progress().test_reads}}.dump());
    }
    const LiveAttempt& granted = campaign->attempts.emplace(record.id, attempt).first->second;
    SaveProgress(*campaign);
    Exchanged answer;
    answer.lease = MakeLease(*campaign, *chosen, granted);
    Answer(poll.token, ReplyBody{std::move(answer)});
    if (campaign->progress().state == model::CampaignState::kRunning) Refill(*campaign);
    return true;
  }
  return false;
}

Lease Core::Impl::MakeLease(const Campaign& campaign, const model::TrialRecord& trial,
                            const LiveAttempt& attempt) const {
  constexpr int64_t kProbeSteps = 40;
  Lease lease;
  lease.attempt = attempt.record;
  lease.trial = trial;
  lease.campaign = campaign.live.campaign;
  lease.campaign.campaign_text.clear();
  lease.campaign.space_text.clear();
  const bool probe = trial.purpose == Purpose::kProxy;
  lease.epochs = probe ? 1 : campaign.progress().epochs;
  lease.max_steps = probe ? kProbeSteps : 0;
  const auto seed = [&](const char* stream) {
    return Rng::DeriveSeed(campaign.settings().seed,
                           std::string(stream) + "/" + std::to_string(trial.replicate));
  };
  lease.initialization_seed = seed("initialization");
  lease.data_order_seed = seed("data_order");
  lease.augmentation_seed = seed("augmentation");
  lease.ttl_ms = limits.lease_ttl_ms;
  return lease;
}

void Core::Impl::LoseAttempt(Campaign& campaign, int64_t attempt_id, AttemptState state,
                             const std::string& why) {
  const auto found = campaign.attempts.find(attempt_id);
  if (found == campaign.attempts.end()) return;
  model::AttemptRecord record = found->second.record;
  record.state = state;
  record.failure = model::FailureClass::kWorkerLost;
  record.message = why;
  record.ended_us = now.wall_us;
  record.cost.allocated_ms = now.monotonic_ms - found->second.granted_ms;
  campaign.attempts.erase(found);
  Write(UpdateAttempt{record});
  Log(campaign.id(), record.trial_id, record.id, "attempt_ended",
      nlohmann::json{{"state", std::string(model::ToString(state))}, {"message", why}}.dump());
  if (const auto trial = campaign.trials.find(record.trial_id); trial != campaign.trials.end())
    ApplyFailure(campaign, trial->second, model::FailureClass::kWorkerLost, why, record.host);
}

}  // namespace canopy::controller
