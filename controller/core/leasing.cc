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

// What may make two devices' figures differ.
std::string DeviceClass(const model::WorkerRecord& worker) {
  return worker.device_kind + " " + worker.device_model;
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

bool Core::Impl::SlotIsTaken(const std::string& worker_id, int64_t slot) const {
  return std::any_of(campaigns.begin(), campaigns.end(), [&](const auto& entry) {
    const auto& attempts = entry.second.attempts;
    return std::any_of(attempts.begin(), attempts.end(), [&](const auto& other) {
      return other.second.record.worker_id == worker_id && other.second.record.slot == slot;
    });
  });
}

LiveAttempt* Core::Impl::Claim(const std::string& worker_id, int64_t attempt_id, int64_t fence) {
  const auto [campaign, live] = FindAttempt(attempt_id);
  if (live != nullptr) {
    if (live->record.fence != fence || live->record.worker_id != worker_id) return nullptr;
    live->expires_ms = now.monotonic_ms + limits.lease_ttl_ms;
    return live;
  }
  for (auto& [id, candidate] : campaigns) {
    const auto expired =
        std::find_if(candidate.expired.begin(), candidate.expired.end(),
                     [&](const auto& entry) { return entry.second.record.id == attempt_id; });
    if (expired == candidate.expired.end()) continue;
    LiveAttempt attempt = expired->second;
    if (attempt.record.fence != fence || attempt.record.worker_id != worker_id ||
        SlotIsTaken(worker_id, attempt.record.slot))
      return nullptr;
    model::TrialRecord& trial = candidate.trials.at(expired->first);
    candidate.expired.erase(expired);
    attempt.record.state = AttemptState::kRunning;
    attempt.record.failure.reset();
    attempt.record.message.clear();
    attempt.record.ended_us = 0;
    attempt.record.cost = {};
    attempt.expires_ms = now.monotonic_ms + limits.lease_ttl_ms;
    trial.state = TrialState::kLeased;
    trial.reason.clear();
    trial.failure.reset();
    --trial.interruptions;
    Write(UpdateAttempt{attempt.record});
    Write(UpdateTrial{trial});
    Log(candidate.id(), trial.id, attempt_id, "attempt_reinstated", nlohmann::json{{"fence", fence}}.dump(),
        "worker:" + worker_id);
    return &(candidate.attempts[attempt_id] = std::move(attempt));
  }
  return nullptr;
}

void Core::Impl::Handle(WorkerHello event) {
  Worker& worker = workers[event.worker.id];
  const int64_t first_seen = worker.record.first_seen_us;
  worker.record = std::move(event.worker);
  worker.record.first_seen_us = first_seen != 0 ? first_seen : now.wall_us;
  worker.Seen(now);
  worker.failed_datasets.clear();
  Write(UpsertWorker{worker.record});

  Welcomed welcome;
  std::vector<int64_t> claimed;
  for (const auto& [attempt_id, fence] : event.running) {
    if (Claim(worker.record.id, attempt_id, fence) == nullptr)
      welcome.attempts_to_stop.push_back(attempt_id);
    else
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
  found->second.Seen(now);
  HeartbeatAnswered answer;
  answer.ttl_ms = limits.lease_ttl_ms;
  // One call a worker and interval: 1,000 a second at the most.
  answer.interval_ms = std::clamp<int64_t>(static_cast<int64_t>(workers.size()), limits.heartbeat_interval_ms,
                                           limits.lease_ttl_ms / 3);
  for (const AttemptProgress& progress : event.attempts) {
    LiveAttempt* const attempt = Claim(event.worker_id, progress.attempt_id, progress.fence);
    if (attempt == nullptr) {
      answer.attempts_to_stop.push_back(progress.attempt_id);
      continue;
    }
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
  const int64_t slots = found->second.record.slots;
  if (event.wants_lease && (event.slot < 0 || event.slot >= slots)) {
    Answer(event.token, InvalidArgument("slot " + std::to_string(event.slot) + ": expected 0 to " +
                                        std::to_string(slots - 1) + ", as worker " + event.worker_id +
                                        " has said Hello with " + std::to_string(slots)));
    return;
  }
  found->second.Seen(now);
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

bool Core::Impl::Fits(const Worker& worker, const Campaign& campaign, const model::TrialRecord& trial,
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
  for (const std::string& name : settings.operators) {
    if (std::find(record.operators.begin(), record.operators.end(), name) != record.operators.end()) continue;
    *why = "no connected worker's trainer has the space's operator '" + name +
           "'; give a worker its library with --operator-libraries, or a trainer that has it";
    return false;
  }
  const model::CampaignProgress& progress = campaign.progress();
  const std::string& digest =
      progress.pinned_dataset_digest.empty() ? settings.task.dataset_digest : progress.pinned_dataset_digest;
  const bool has_dataset =
      std::any_of(record.datasets.begin(), record.datasets.end(), [&](const model::DatasetOnWorker& dataset) {
        const bool shaped =
            settings.task.input_shape.empty() ||
            (dataset.input_shape == settings.task.input_shape && dataset.classes == settings.task.classes);
        return dataset.name == settings.task.dataset && shaped &&
               (digest.empty() || dataset.digest == digest);
      });
  if (!has_dataset || worker.failed_datasets.count(settings.task.dataset) > 0) {
    *why = "no connected worker has verified dataset " + settings.task.dataset;
    return false;
  }
  // Empty where nothing is pinned yet.
  const auto other = [&](const std::string& pinned, const std::string& own) {
    return settings.strict && !pinned.empty() && pinned != own;
  };
  if (other(progress.pinned_trainer_build, record.trainer_build) ||
      other(progress.pinned_device, DeviceClass(record))) {
    *why = "the campaign is strict and began with trainer build " + progress.pinned_trainer_build +
           " on device " + progress.pinned_device;
    return false;
  }
  if (trial.out_of_memory > 0 && record.memory_bytes <= trial.out_of_memory_bytes) {
    *why = "it ran out of memory on a worker with " + std::to_string(trial.out_of_memory_bytes) +
           " bytes and waits for one with more";
    return false;
  }
  return true;
}

bool Core::Impl::Eligible(const Worker& worker, const Campaign& campaign, const model::TrialRecord& trial,
                          std::string* why) const {
  if (!Fits(worker, campaign, trial, why)) return false;
  // What crashed on a host is tried on another one, where there is one.
  const auto crashed_on = [&](const std::string& host) {
    return std::find(trial.crash_hosts.begin(), trial.crash_hosts.end(), host) != trial.crash_hosts.end();
  };
  const std::string& host = worker.record.host;
  if (!crashed_on(host)) return true;
  const bool another = std::any_of(workers.begin(), workers.end(), [&](const auto& entry) {
    std::string ignored;
    return !crashed_on(entry.second.record.host) && Fits(entry.second, campaign, trial, &ignored);
  });
  *why = "it crashed on host " + host + " and waits for another";
  return !another;
}

void Core::Impl::Pin(Campaign& campaign, const model::WorkerRecord& worker) {
  model::CampaignProgress& progress = campaign.progress();
  if (progress.pinned_dataset_digest.empty())
    for (const model::DatasetOnWorker& dataset : worker.datasets)
      if (dataset.name == campaign.settings().task.dataset) progress.pinned_dataset_digest = dataset.digest;
  if (progress.pinned_trainer_build.empty()) progress.pinned_trainer_build = worker.trainer_build;
  if (progress.pinned_device.empty()) progress.pinned_device = DeviceClass(worker);
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
      if (trial.purpose != Purpose::kProxy && campaign->progress().epochs == 0) continue;
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
    record.device_count = chosen->device_count;
    record.device_share = 1.0 / static_cast<double>(std::max<int64_t>(1, host.slots));
    record.cores = 1;  // a trainer computes with one thread: more would give other numbers
    record.started_us = now.wall_us;
    attempt.granted_ms = now.monotonic_ms;
    attempt.expires_ms = now.monotonic_ms + limits.lease_ttl_ms;
    if (const auto earlier = campaign->expired.find(chosen->id); earlier != campaign->expired.end()) {
      earlier->second.record.state = AttemptState::kSuperseded;
      Write(UpdateAttempt{earlier->second.record});
      campaign->expired.erase(earlier);
    }
    Pin(*campaign, host);
    chosen->state = TrialState::kLeased;
    chosen->last_attempt_id = record.id;
    chosen->last_fence = record.fence;
    Write(UpdateTrial{*chosen});
    Write(InsertAttempt{record});
    Log(campaign->id(), chosen->id, record.id, "attempt_started",
        nlohmann::json{{"worker", record.worker_id}, {"fence", record.fence}, {"slot", record.slot}}.dump(),
        "worker:" + record.worker_id);
    if (chosen->purpose == Purpose::kTest) {
      ++campaign->progress().test_reads;
      Log(campaign->id(), chosen->id, record.id, "test_read",
          nlohmann::json{{"reads", campaign->progress().test_reads}}.dump(), "worker:" + record.worker_id);
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
  lease.campaign.settings.task.dataset_digest = campaign.progress().pinned_dataset_digest;
  lease.campaign.campaign_text.clear();
  lease.campaign.space_text.clear();
  const bool probe = trial.purpose == Purpose::kProxy;
  lease.epochs = probe ? 1 : campaign.progress().epochs;
  lease.max_steps = probe ? kProbeSteps : 0;
  // The finals' replicates are others than the search's, whatever their numbers.
  const bool search = trial.purpose == Purpose::kSearch || probe;
  const std::string replicate = (search ? "/" : "/final/") + std::to_string(trial.replicate);
  const auto seed = [&](const char* stream) {
    return Rng::DeriveSeed(campaign.settings().seed, stream + replicate);
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
  LiveAttempt lost = found->second;
  model::AttemptRecord& record = lost.record;
  record.state = state;
  record.failure = model::FailureClass::kWorkerLost;
  record.message = why;
  record.ended_us = now.wall_us;
  record.cost.allocated_ms = now.monotonic_ms - found->second.granted_ms;
  campaign.attempts.erase(found);
  Write(UpdateAttempt{record});
  Log(campaign.id(), record.trial_id, record.id, "attempt_ended",
      nlohmann::json{{"state", std::string(model::ToString(state))}, {"message", why}}.dump());
  const int64_t trial_id = record.trial_id;
  if (const auto trial = campaign.trials.find(trial_id); trial != campaign.trials.end())
    ApplyFailure(campaign, trial->second, record);
  if (campaign.trials.count(trial_id) > 0) campaign.expired[trial_id] = std::move(lost);
}

}  // namespace canopy::controller
