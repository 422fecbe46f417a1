#include <algorithm>
#include <climits>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/mutant.h"
#include "base/random.h"
#include "controller/core/placement.h"
#include "controller/core/state.h"

namespace canopy::controller {
namespace {

using model::AttemptState;
using model::Purpose;
using model::TrialState;

// What may make two devices' figures differ.
std::string DeviceClass(const model::WorkerRecord& worker) {
  return worker.device_kind + " " + worker.device_model;
}

}  // namespace

std::pair<Campaign*, LiveAttempt*> Core::Impl::FindAttempt(int64_t attempt_id) {
  const auto found = campaign_by_attempt.find(attempt_id);
  if (found == campaign_by_attempt.end()) return {nullptr, nullptr};
  return {found->second, &found->second->attempts.at(attempt_id)};
}

std::vector<std::pair<Campaign*, int64_t>> Core::Impl::AttemptsOf(const std::string& worker_id) const {
  std::vector<std::pair<Campaign*, int64_t>> attempts;
  if (const auto found = attempts_by_worker.find(worker_id); found != attempts_by_worker.end())
    for (const auto& [campaign_id, attempt_id] : found->second)
      attempts.emplace_back(campaign_by_attempt.at(attempt_id), attempt_id);
  return attempts;
}

bool Core::Impl::SlotIsTaken(const std::string& worker_id, int64_t slot) const {
  const std::vector<std::pair<Campaign*, int64_t>> attempts = AttemptsOf(worker_id);
  return std::any_of(attempts.begin(), attempts.end(), [&](const auto& entry) {
    return entry.first->attempts.at(entry.second).record.slot == slot;
  });
}

LiveAttempt* Core::Impl::Claim(const std::string& worker_id, int64_t attempt_id, int64_t fence) {
  const auto [campaign, live] = FindAttempt(attempt_id);
  if (live != nullptr) {
    if (live->record.fence != fence || live->record.worker_id != worker_id) return nullptr;
    Heard(*campaign, *live);
    return live;
  }
  const auto expired = expired_by_attempt.find(attempt_id);
  if (expired == expired_by_attempt.end()) return nullptr;
  Campaign& owner = *expired->second.first;
  model::TrialRecord& trial = owner.trials.at(expired->second.second);
  LiveAttempt attempt = owner.expired.at(trial.id);
  if (attempt.record.fence != fence || attempt.record.worker_id != worker_id ||
      SlotIsTaken(worker_id, attempt.record.slot))
    return nullptr;
  ForgetExpired(owner, trial.id);
  owner.live.device_ms -= attempt.record.DeviceMs();
  attempt.record.state = AttemptState::kRunning;
  attempt.record.failure.reset();
  attempt.record.message.clear();
  attempt.record.ended_us = 0;
  attempt.record.cost = {};
  attempt.heard = true;
  attempt.heard_ms = now.monotonic_ms;
  attempt.expires_ms = now.monotonic_ms + limits.lease_ttl_ms;
  SetTrialState(owner, trial, TrialState::kLeased);
  trial.reason.clear();
  trial.failure.reset();
  --trial.interruptions;
  Write(UpdateAttempt{attempt.record});
  WriteTrial(trial);
  Log(owner.id(), trial.id, attempt_id, "attempt_reinstated", nlohmann::json{{"fence", fence}}.dump(),
      "worker:" + worker_id);
  return &KeepAttempt(owner, std::move(attempt));
}

void Core::Impl::Handle(WorkerHello event) {
  Worker& worker = workers[event.worker.id];
  const int64_t first_seen = worker.record.first_seen_us;
  ForgetWorkerIndices(worker);
  worker.record = std::move(event.worker);
  worker.labels = LabelsOf(worker.record.labels_json);
  worker.ends_ms.reset();
  if (event.remaining_ms) worker.ends_ms = now.monotonic_ms + *event.remaining_ms;
  const model::Drain* const drain = DrainOf(worker.record);
  worker.drained = drain == nullptr ? "" : drain->reason;
  worker.sick = drain != nullptr && drain->scope != model::DrainScope::kWorker;
  worker.failed_datasets.clear();
  KeepWorkerIndices(worker);
  TryPollsOf(worker.record.id);
  OfferCrashed();
  worker.record.first_seen_us = first_seen != 0 ? first_seen : now.wall_us;
  worker.Seen(now);
  Write(UpsertWorker{worker.record});

  Welcomed welcome;
  std::vector<int64_t> claimed;
  for (const auto& [attempt_id, fence] : event.running) {
    if (Claim(worker.record.id, attempt_id, fence) == nullptr)
      welcome.attempts_to_stop.push_back(attempt_id);
    else
      claimed.push_back(attempt_id);
  }
  for (const auto& [campaign, attempt_id] : AttemptsOf(worker.record.id))
    if (std::find(claimed.begin(), claimed.end(), attempt_id) == claimed.end())
      LoseAttempt(*campaign, attempt_id, AttemptState::kExpired, "the worker restarted without it");
  for (auto& [id, campaign] : campaigns) Advance(campaign);
  Answer(event.token, ReplyBody{std::move(welcome)});
}

void Core::Impl::Handle(WorkerHeartbeat event) {
  const auto found = workers.find(event.worker_id);
  if (found == workers.end()) {
    Answer(event.token, NotFound("worker " + event.worker_id + " is not known here since the restart"));
    return;
  }
  found->second.Seen(now);
  SetEnd(found->second, event.remaining_ms);
  HeartbeatAnswered answer;
  answer.ttl_ms = limits.lease_ttl_ms;
  // One call a worker and interval: 1,000 a second at the most.
  answer.interval_ms = std::clamp<int64_t>(static_cast<int64_t>(workers.size()), limits.heartbeat_interval_ms,
                                           limits.lease_ttl_ms / 3);
  // Thousands that a restart has made speak at once would do so for long.
  const auto spread = static_cast<uint64_t>(std::max<int64_t>(1, answer.interval_ms / 5));
  answer.interval_ms -= static_cast<int64_t>(
      Rng::DeriveSeed(static_cast<uint64_t>(now.monotonic_ms), event.worker_id) % spread);
  for (const AttemptProgress& progress : event.attempts) {
    LiveAttempt* const attempt = Claim(event.worker_id, progress.attempt_id, progress.fence);
    if (attempt == nullptr) {
      answer.attempts_to_stop.push_back(progress.attempt_id);
      continue;
    }
    attempt->step = progress.step;
    attempt->total_steps = progress.total_steps;
    // It did not hear so at its rung.
    const Campaign& owner = *campaign_by_attempt.at(progress.attempt_id);
    if (owner.trials.at(attempt->record.trial_id).rung_action == model::RungAction::kStop)
      answer.attempts_to_stop.push_back(progress.attempt_id);
  }
  std::erase_if(event.measurements, [&](const model::MeasurementRecord& measurement) {
    const LiveAttempt* attempt = FindAttempt(measurement.attempt_id).second;
    return attempt == nullptr || attempt->record.worker_id != event.worker_id;
  });
  if (!event.measurements.empty()) Write(InsertMeasurements{std::move(event.measurements)});
  if (found->second.Ended(now)) LetGo(found->second, event.attempts);
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
  if (event.outcome) answer.verdict = TakeOutcome(event.worker_id, std::move(*event.outcome));
  if (!event.wants_lease) {
    Answer(event.token, ReplyBody{answer});
    return;
  }
  // A slot that asks for work runs nothing: what it was given before is repeated to the same request, and
  // lost to another one.
  for (const auto& [campaign, attempt_id] : AttemptsOf(event.worker_id)) {
    const auto live = campaign->attempts.find(attempt_id);
    if (live == campaign->attempts.end()) continue;  // the loss of one before has ended it
    LiveAttempt& attempt = live->second;
    if (attempt.record.slot != event.slot) continue;
    if (attempt.record.request_id == event.request_id) {
      Heard(*campaign, attempt);
      answer.lease = MakeLease(*campaign, campaign->trials.at(attempt.record.trial_id), attempt);
    } else {
      LoseAttempt(*campaign, attempt_id, AttemptState::kExpired, "the worker's slot asked for other work");
      Advance(*campaign);
    }
  }
  if (answer.lease) {
    Answer(event.token, ReplyBody{std::move(answer)});
    return;
  }
  // An older poll of the slot has been given up by its caller.
  if (const auto older = UnparkSlot(event.worker_id, event.slot))
    Answer(older->token, ReplyBody{Exchanged{}});
  const ParkedPoll poll{event.token, event.worker_id, event.request_id, event.slot};
  if (answer.verdict == OutcomeVerdict::kNone) {
    Park(poll);
    return;
  }
  // An acknowledgement never waits for work.
  if (!TryGrant(poll, grantable)) {
    Answer(event.token, ReplyBody{std::move(answer)});
    return;
  }
  std::get<Exchanged>(*effects.replies.back().body).verdict = answer.verdict;
}

void Core::Impl::Handle(PollEnded event) {
  if (const auto poll = UnparkToken(event.token)) Answer(poll->token, ReplyBody{Exchanged{}});
}

bool Core::Impl::FitsCampaign(const Worker& worker, const Campaign& campaign, std::string* why) const {
  const model::CampaignSettings& settings = campaign.settings();
  const model::WorkerRecord& record = worker.record;
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
  if (!campaign.rungs.empty() && !record.rungs) {
    *why =
        "no connected worker's agent and trainer take part in a fidelity schedule with rungs; upgrade them";
    return false;
  }
  if (!MeetsPlacement(record, worker.labels, settings.placement, why)) return false;
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
  return true;
}

bool Core::Impl::MayRun(const Worker& worker, const Campaign& campaign, const model::TrialRecord& trial,
                        std::string* why) const {
  ++fit_checks;
  const model::WorkerRecord& record = worker.record;
  if (!worker.drained.empty() && !(worker.sick && trial.required_worker_id == record.id)) {
    *why = "worker " + record.id + " is drained: " + worker.drained;
    return false;
  }
  if (!trial.required_worker_id.empty() && trial.required_worker_id != record.id) {
    *why = "its weights lie on worker " + trial.required_worker_id;
    return false;
  }
  if (!trial.checkpoint.worker_id.empty() && trial.checkpoint.worker_id != record.id) {
    *why = "its checkpoint lies on worker " + trial.checkpoint.worker_id;
    return false;
  }
  if (!FitsCampaign(worker, campaign, why)) return false;
  if (trial.out_of_memory > 0 && record.memory_bytes <= trial.out_of_memory_bytes) {
    *why = "it ran out of memory on a worker with " + std::to_string(trial.out_of_memory_bytes) +
           " bytes and waits for one with more";
    return false;
  }
  return true;
}

bool Core::Impl::Fits(const Worker& worker, const Campaign& campaign, const model::TrialRecord& trial,
                      std::string* why) const {
  return MayRun(worker, campaign, trial, why) && HasTimeFor(worker, campaign, trial, why);
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
  const std::vector<const Worker*> others = StandIns(WaitingTrials::NeedsOf(trial));
  const bool another = std::any_of(others.begin(), others.end(), [&](const Worker* other) {
    std::string ignored;
    return !crashed_on(other->record.host) && Fits(*other, campaign, trial, &ignored);
  });
  *why = "it crashed on host " + host + " and waits for another";
  return !another;
}

void Core::Impl::Pin(Campaign& campaign, const model::WorkerRecord& worker) {
  model::CampaignProgress& progress = campaign.progress();
  const auto pins = [&progress] {
    return progress.pinned_dataset_digest + progress.pinned_trainer_build + progress.pinned_device;
  };
  const std::string before = pins();
  if (progress.pinned_dataset_digest.empty())
    for (const model::DatasetOnWorker& dataset : worker.datasets)
      if (dataset.name == campaign.settings().task.dataset) progress.pinned_dataset_digest = dataset.digest;
  if (progress.pinned_trainer_build.empty()) progress.pinned_trainer_build = worker.trainer_build;
  if (progress.pinned_device.empty()) progress.pinned_device = DeviceClass(worker);
  if (pins() != before) Offer(campaign);
}

void Core::Impl::Grant(const ParkedPoll& poll, const Worker& worker, Campaign& campaign,
                       model::TrialRecord& trial) {
  const LiveAttempt& granted = BeginAttempt(poll.request_id, poll.slot, worker, campaign, trial);
  ChargeShare(campaign);
  if (kMutant != Mutant::kForgetShare) SaveProgress(campaign);
  if (campaign.progress().refill_count > 0) ++campaign.taken_meanwhile;
  Exchanged answer;
  answer.lease = MakeLease(campaign, trial, granted);
  Answer(poll.token, ReplyBody{std::move(answer)});
  if (campaign.progress().state == model::CampaignState::kRunning) Refill(campaign);
}

const LiveAttempt& Core::Impl::BeginAttempt(const std::string& request_id, int64_t slot, const Worker& worker,
                                            Campaign& campaign, model::TrialRecord& trial) {
  LiveAttempt attempt;
  model::AttemptRecord& record = attempt.record;
  record.id = counters.next_attempt_id++;
  record.fence = counters.next_fence++;
  counters_changed = true;
  record.trial_id = trial.id;
  record.campaign_id = campaign.id();
  record.worker_id = worker.record.id;
  record.request_id = request_id;
  record.owner = campaign.live.campaign.owner;
  record.slot = slot;
  const model::WorkerRecord& host = worker.record;
  record.host = host.host;
  record.device_kind = host.device_kind;
  record.device_uuid = host.device_uuid;
  record.device_model = host.device_model;
  record.device_count = trial.device_count;
  record.device_share = 1.0 / static_cast<double>(std::max<int64_t>(1, host.slots));
  record.cores = 1;  // a trainer computes with one thread: more would give other numbers
  record.began_ms = campaign.ServedMs(now);
  record.started_us = now.wall_us;
  attempt.granted_ms = attempt.heard_ms = now.monotonic_ms;
  attempt.expires_ms = now.monotonic_ms + limits.lease_ttl_ms;
  if (const auto earlier = campaign.expired.find(trial.id); earlier != campaign.expired.end()) {
    earlier->second.record.state = AttemptState::kSuperseded;
    Write(UpdateAttempt{earlier->second.record});
    ForgetExpired(campaign, trial.id);
  }
  Pin(campaign, host);
  SetTrialState(campaign, trial, TrialState::kLeased);
  trial.last_attempt_id = record.id;
  trial.last_fence = record.fence;
  WriteTrial(trial);
  Write(InsertAttempt{record});
  Log(campaign.id(), trial.id, record.id, "attempt_started",
      nlohmann::json{{"worker", record.worker_id}, {"fence", record.fence}, {"slot", record.slot}}.dump(),
      "worker:" + record.worker_id);
  if (trial.purpose == Purpose::kTest) {
    ++campaign.progress().test_reads;
    Log(campaign.id(), trial.id, record.id, "test_read",
        nlohmann::json{{"reads", campaign.progress().test_reads}}.dump(), "worker:" + record.worker_id);
  }
  return KeepAttempt(campaign, std::move(attempt));
}

Lease Core::Impl::MakeLease(const Campaign& campaign, const model::TrialRecord& trial,
                            const LiveAttempt& attempt) const {
  constexpr int64_t kProbeSteps = 40;
  Lease lease;
  lease.attempt = attempt.record;
  lease.trial = trial;
  lease.campaign = campaign.lease_record;
  lease.campaign.settings.task.dataset_digest = campaign.progress().pinned_dataset_digest;
  const bool probe = trial.purpose == Purpose::kProxy;
  lease.epochs = probe ? 1 : campaign.progress().epochs;
  lease.max_steps = probe ? kProbeSteps : 0;
  if (trial.purpose == Purpose::kSearch) lease.rungs = campaign.rungs;
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
                             const std::string& why, model::FailureClass failure) {
  if (campaign.attempts.count(attempt_id) == 0) return;
  LiveAttempt lost = ForgetAttempt(campaign, attempt_id);
  model::AttemptRecord& record = lost.record;
  EndAttempt(campaign, lost, state, why);
  record.failure = failure;
  Write(UpdateAttempt{record});
  Log(campaign.id(), record.trial_id, record.id, "attempt_ended",
      nlohmann::json{{"state", std::string(model::ToString(state))}, {"message", why}}.dump());
  const int64_t trial_id = record.trial_id;
  if (const auto trial = campaign.trials.find(trial_id); trial != campaign.trials.end())
    ApplyFailure(campaign, trial->second, record);
  if (campaign.trials.count(trial_id) > 0) KeepExpired(campaign, std::move(lost));
}

}  // namespace canopy::controller
