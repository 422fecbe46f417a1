#include "tests/simulation/agent.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <utility>

#include "base/sha256.h"

namespace canopy::simulation {
namespace {

using controller::AttemptOutcome;
using model::FailureClass;

constexpr int64_t kCallTimeoutMs = 10'000, kLongPollMs = 30'000;

// Asking again would change nothing.
bool IsRefusal(const Status& status) { return absl::IsInvalidArgument(status); }

std::string SeedsJson(const controller::Lease& lease) {
  return R"({"augmentation":")" + std::to_string(lease.augmentation_seed) + R"(","data_order":")" +
         std::to_string(lease.data_order_seed) + R"(","initialization":")" +
         std::to_string(lease.initialization_seed) + "\"}";
}

}  // namespace

SimulatedAgent::SimulatedAgent(Options options, Scheduler& scheduler, Network& network, Rng rng,
                               const Observer& observer)
    : options_(std::move(options)),
      scheduler_(scheduler),
      network_(network),
      rng_(rng),
      observer_(observer) {}

void SimulatedAgent::Start() {
  if (std::exchange(alive_, true)) return;
  ++epoch_;
  in_contact_ = greeting_ = false;
  failures_in_a_row_ = 0;
  database_ = {};
  known_database_ = {};
  slots_.assign(static_cast<size_t>(options_.slots), {});
  backlog_.clear();
  unanswered_.clear();
  unsettled_.clear();
  if (!spool_.empty()) {
    const AttemptOutcome& newest = spool_.rbegin()->second;
    database_ = {newest.database_id, newest.incarnation};
    for (const auto& [attempt_id, outcome] : spool_) unsettled_[attempt_id] = outcome.fence;
  }
  SayHello();
}

void SimulatedAgent::Kill() {
  alive_ = false;
  ++epoch_;
  suspended_until_ms_ = 0;
}

void SimulatedAgent::LosePower() {
  Kill();
  for (const AttemptOutcome& outcome : kept_.LosePower(scheduler_.now_ms(), rng_))
    spool_[outcome.attempt_id] = outcome;
}

void SimulatedAgent::Suspend(int64_t until_ms) {
  suspended_until_ms_ = std::max(suspended_until_ms_, until_ms);
  for (Slot& slot : slots_) slot.suspended = slot.lease.has_value();
}

size_t SimulatedAgent::running() const {
  return alive_ ? static_cast<size_t>(std::count_if(slots_.begin(), slots_.end(),
                                                    [](const Slot& slot) { return slot.lease.has_value(); }))
                : 0;
}

void SimulatedAgent::Later(int64_t delay_ms, std::function<void()> action) {
  const auto true_ms = static_cast<int64_t>(static_cast<double>(delay_ms) * options_.clock_rate);
  scheduler_.After(true_ms, [this, epoch = epoch_, action = std::move(action)] { Deliver(epoch, action); });
}

void SimulatedAgent::Deliver(uint64_t epoch, std::function<void()> action) {
  if (epoch != epoch_) return;
  if (scheduler_.now_ms() < suspended_until_ms_) {
    scheduler_.At(suspended_until_ms_, [this, epoch, action = std::move(action)] { Deliver(epoch, action); });
    return;
  }
  action();
}

void SimulatedAgent::Call(Request request, int64_t timeout_ms, ReplyDone done) {
  network_.Call(options_.id, std::move(request), timeout_ms,
                [this, epoch = epoch_, done = std::move(done)](Reply reply) {
                  const auto shared = std::make_shared<Reply>(std::move(reply));
                  Deliver(epoch, [done, shared] { done(std::move(*shared)); });
                });
}

int64_t SimulatedAgent::BackoffMs(const Status& failure) {
  constexpr int64_t kLongestBusyMs = 3'000;
  int64_t longest = int64_t{250} << std::min<int64_t>(failures_in_a_row_++, 5);
  // A controller whose disk is full is there, and has room in a moment.
  if (absl::IsResourceExhausted(failure)) longest = std::min(longest, kLongestBusyMs);
  return rng_.Int(longest / 2, longest);
}

std::vector<std::pair<int64_t, int64_t>> SimulatedAgent::Claims() const {
  std::map<int64_t, int64_t> claims = unsettled_;
  for (const Slot& slot : slots_)
    if (slot.lease) claims[slot.lease->attempt.id] = slot.lease->attempt.fence;
  return {claims.begin(), claims.end()};
}

void SimulatedAgent::SayHello() {
  if (std::exchange(greeting_, true)) return;
  HelloRequest request;
  model::WorkerRecord& worker = request.worker;
  worker.id = options_.id;
  worker.host = options_.host;
  worker.labels_json = "{}";
  worker.slots = worker.cores = options_.slots;
  worker.memory_bytes = options_.memory_bytes;
  worker.device_kind = "cpu";
  worker.numeric_modes = {"fp32"};
  worker.rungs = options_.rungs;
  worker.datasets = {{"toy", "digest", {1, 8, 8}, 4, 100}};
  request.running = Claims();
  request.database = database_;
  Call(std::move(request), kCallTimeoutMs, [this](Reply reply) {
    greeting_ = false;
    if (!reply.ok()) {
      Later(BackoffMs(reply.status()), [this] { SayHello(); });
      return;
    }
    const auto& welcome = std::get<HelloReply>(*reply);
    failures_in_a_row_ = 0;
    database_ = welcome.database;
    const DatabaseName before = std::exchange(known_database_, database_);
    if (before.id != database_.id) {
      backlog_.clear();
      unanswered_.clear();
      std::vector<AttemptOutcome> waiting;
      for (const auto& [attempt_id, outcome] : spool_) waiting.push_back(outcome);
      Offer(std::move(waiting));
    }
    if (before != database_) Offer(kept_.Before(database_));
    StopAttempts(welcome.attempts_to_stop);
    interval_ms_ = std::max<int64_t>(100, welcome.interval_ms);
    in_contact_ = true;
    ScheduleHeartbeat();
    for (size_t slot = 0; slot < slots_.size(); ++slot)
      if (!slots_[slot].busy) Serve(slot);
  });
}

void SimulatedAgent::LoseContact(const Status& why) {
  if (!std::exchange(in_contact_, false)) return;
  ++heartbeats_;
  Later(BackoffMs(why), [this] { SayHello(); });
}

void SimulatedAgent::ScheduleHeartbeat() {
  Later(interval_ms_, [this, chain = ++heartbeats_] {
    if (chain == heartbeats_ && in_contact_) SendHeartbeat();
  });
}

void SimulatedAgent::SendHeartbeat() {
  HeartbeatRequest request{options_.id, database_, {}, {}};
  for (const Slot& slot : slots_) {
    if (!slot.lease) continue;
    const int64_t step = rng_.Int(1, 50);
    request.attempts.push_back({slot.lease->attempt.id, slot.lease->attempt.fence, step, 50});
    if (rng_.Below(4) == 0)
      request.measurements.push_back({slot.lease->attempt.id, step, 0, {{"loss", rng_.Double()}}});
  }
  Call(std::move(request), kCallTimeoutMs, [this, chain = heartbeats_](Reply reply) {
    if (chain != heartbeats_) return;
    if (!reply.ok()) return LoseContact(reply.status());
    const auto& answer = std::get<HeartbeatReply>(*reply);
    StopAttempts(answer.attempts_to_stop);
    if (answer.hello_needed) return LoseContact({});
    interval_ms_ = std::max<int64_t>(100, answer.interval_ms);
    ScheduleHeartbeat();
  });
}

void SimulatedAgent::StopAttempts(const std::vector<int64_t>& attempt_ids) {
  for (size_t i = 0; i < slots_.size(); ++i) {
    Slot& slot = slots_[i];
    if (!slot.lease || slot.stop) continue;
    if (std::find(attempt_ids.begin(), attempt_ids.end(), slot.lease->attempt.id) == attempt_ids.end())
      continue;
    slot.stop = true;
    Later(rng_.Int(10, 500), [this, i, run = slot.run] { End(i, run); });
  }
}

void SimulatedAgent::LeaveCheckpoint(AttemptOutcome& outcome) {
  if (rng_.Below(3) == 0) return;  // there was no time
  const std::string path = "checkpoints/" + outcome.result_id;
  if (rng_.Below(8) > 0) checkpoints_.insert(path);  // some are lost
  outcome.checkpoint = {"", path, Sha256Hex(path), 0, rng_.Int(1, 100)};
}

bool SimulatedAgent::BacklogAnswered(const std::string& but_this) const {
  return unanswered_.size() == unanswered_.count(but_this);
}

std::string SimulatedAgent::NewId(const char* kind) {
  return Sha256Hex(options_.id + kind + std::to_string(++ids_)).substr(0, 32);
}

void SimulatedAgent::Serve(size_t index) {
  Slot& slot = slots_[index];
  slot.busy = false;
  if (!in_contact_) return;  // Hello brings it back
  if (!slot.outcome && !backlog_.empty()) {
    slot.outcome = std::move(backlog_.front());
    backlog_.pop_front();
  }
  ExchangeRequest request;
  request.worker_id = options_.id;
  request.request_id = NewId("request");
  request.slot = static_cast<int64_t>(index);
  request.outcome = slot.outcome;
  request.wants_lease = BacklogAnswered(slot.outcome ? slot.outcome->result_id : "");
  slot.busy = true;
  slot.asked = database_;
  if (!request.outcome && !request.wants_lease) {
    Later(50, [this, index] { Serve(index); });
    return;
  }
  if (!request.outcome) request.wait_ms = kLongPollMs;
  Exchange(index, request);
}

void SimulatedAgent::Exchange(size_t index, const ExchangeRequest& request) {
  const auto again = [this, index, request] {
    if (in_contact_)
      Exchange(index, request);
    else
      Later(BackoffMs(), [this, index, request] { Exchange(index, request); });
  };
  if (!in_contact_) return again();
  // Who only asks for work sees first what a restore has lost meanwhile.
  if (!request.outcome && slots_[index].asked != database_) return Serve(index);
  const int64_t asked_ms = scheduler_.now_ms();
  Call(request, request.wait_ms + 15'000, [this, index, request, again, asked_ms](Reply reply) {
    Slot& slot = slots_[index];
    if (!reply.ok() && !IsRefusal(reply.status())) {
      LoseContact(reply.status());
      Later(BackoffMs(reply.status()), again);
      return;
    }
    if (request.outcome) {
      Settle(*request.outcome, reply.ok() ? &std::get<ExchangeReply>(*reply) : nullptr);
      slot.outcome.reset();
    }
    if (!reply.ok()) {
      Later(BackoffMs(), [this, index] { Serve(index); });
      return;
    }
    const auto& answer = std::get<ExchangeReply>(*reply);
    if (answer.lease) return Run(index, answer);
    const bool waited = request.outcome || scheduler_.now_ms() - asked_ms >= kLongPollMs / 2;
    Later(waited ? 0 : BackoffMs(), [this, index] { Serve(index); });
  });
}

void SimulatedAgent::Settle(const AttemptOutcome& outcome, const ExchangeReply* answer) {
  spool_.erase(outcome.attempt_id);
  unsettled_.erase(outcome.attempt_id);
  unanswered_.erase(outcome.result_id);
  if (answer == nullptr || !outcome.succeeded || outcome.segment == model::SegmentEnd::kPaused) return;
  kept_.Keep(outcome, answer->database.incarnation, scheduler_.now_ms());
  // An earlier state of the database has taken it.
  if (answer->database.id == known_database_.id && answer->database.incarnation < known_database_.incarnation)
    Offer({outcome});
}

void SimulatedAgent::Offer(std::vector<AttemptOutcome> outcomes) {
  for (AttemptOutcome& outcome : outcomes) {
    unanswered_.insert(outcome.result_id);
    backlog_.push_back(std::move(outcome));
  }
}

void SimulatedAgent::Run(size_t index, const ExchangeReply& reply) {
  Slot& slot = slots_[index];
  failures_in_a_row_ = 0;
  slot.lease = reply.lease;
  slot.lease_database = reply.database;
  slot.stop = slot.suspended = false;
  slot.end = model::SegmentEnd::kCompleted;
  slot.waiting_rung = 0;
  const model::TrialRecord& trial = reply.lease->trial;
  slot.rung = trial.rung;
  // Without its checkpoint it begins anew; some then report again what they have reported.
  const bool resumes =
      trial.checkpoint.worker_id == options_.id && checkpoints_.erase(trial.checkpoint.path) > 0;
  if (!resumes && rng_.Below(2) == 0) slot.rung = 0;
  TrainOn(index, ++slot.run);
}

void SimulatedAgent::TrainOn(size_t index, int64_t run) {
  const Slot& slot = slots_[index];
  const auto rungs = static_cast<int64_t>(slot.lease->rungs.size());
  const int64_t part_ms = rng_.Int(options_.shortest_ms, options_.longest_ms) / (rungs + 1);
  if (slot.rung < rungs)
    Later(part_ms, [this, index, run] { ReachRung(index, run); });
  else
    Later(part_ms, [this, index, run] { End(index, run); });
}

void SimulatedAgent::ReachRung(size_t index, int64_t run) {
  Slot& slot = slots_[index];
  if (run != slot.run || !slot.lease || slot.stop) return;
  const int64_t rung = slot.waiting_rung = ++slot.rung;
  RungRequest request;
  request.database = slot.lease_database;
  controller::RungReport& report = request.report;
  report.worker_id = options_.id;
  report.attempt_id = slot.lease->attempt.id;
  report.trial_id = slot.lease->trial.id;
  report.fence = slot.lease->attempt.fence;
  report.rung = rung;
  report.epoch = slot.lease->rungs[static_cast<size_t>(rung - 1)];
  report.metrics["val_accuracy"] = Accuracy(*slot.lease, report.epoch);
  SendReport(index, run, request);
  Later(5'000, [this, index, run, rung] {
    Slot& late = slots_[index];
    if (run != late.run || late.waiting_rung != rung) return;
    late.waiting_rung = 0;
    TrainOn(index, run);
  });
}

void SimulatedAgent::SendReport(size_t index, int64_t run, const RungRequest& request) {
  Call(request, kCallTimeoutMs, [this, index, run, request](Reply reply) {
    const Slot& slot = slots_[index];
    if (run != slot.run || !slot.lease) return;
    if (reply.ok()) return HearAnswer(index, run, request.report.rung, std::get<RungReply>(*reply).action);
    if (IsRefusal(reply.status())) return;
    Later(BackoffMs(), [this, index, run, request] {
      if (run == slots_[index].run && slots_[index].lease) SendReport(index, run, request);
    });
  });
}

void SimulatedAgent::HearAnswer(size_t index, int64_t run, int64_t rung, model::RungAction action) {
  Slot& slot = slots_[index];
  if (slot.waiting_rung != rung) {
    if (action == model::RungAction::kStop) StopAttempts({slot.lease->attempt.id});
    return;
  }
  slot.waiting_rung = 0;
  if (action == model::RungAction::kContinue) return TrainOn(index, run);
  slot.end = action == model::RungAction::kStop ? model::SegmentEnd::kStopped : model::SegmentEnd::kPaused;
  Later(rng_.Int(1, 200), [this, index, run] { End(index, run); });
}

double SimulatedAgent::Accuracy(const controller::Lease& lease, int64_t epoch) const {
  Rng fate = Rng::Derive(1, lease.trial.candidate.candidate_hash);
  const double luck = fate.Double();
  const bool finite = fate.Double() >= faults_.hopeless / 20;
  const double share = static_cast<double>(epoch) / static_cast<double>(lease.epochs);
  return finite ? luck * (0.5 + share / 2) : std::numeric_limits<double>::quiet_NaN();
}

void SimulatedAgent::End(size_t index, int64_t run) {
  Slot& slot = slots_[index];
  if (run != slot.run || !slot.lease) return;
  slot.outcome = Outcome(slot);
  zombie_trials_ += std::exchange(slot.suspended, false) ? 1 : 0;
  spool_[slot.outcome->attempt_id] = *slot.outcome;
  unsettled_[slot.outcome->attempt_id] = slot.outcome->fence;
  observer_.outcome_made(options_.id, *slot.lease, *slot.outcome);
  slot.lease.reset();
  Serve(index);
  // Without contact it waits in the slot.
}

AttemptOutcome SimulatedAgent::Outcome(const Slot& slot) {
  const controller::Lease& lease = *slot.lease;
  AttemptOutcome outcome;
  outcome.result_id = NewId("result");
  outcome.database_id = slot.lease_database.id;
  outcome.incarnation = slot.lease_database.incarnation;
  outcome.attempt_id = lease.attempt.id;
  outcome.trial_id = lease.trial.id;
  outcome.fence = lease.attempt.fence;
  outcome.candidate_hash = lease.trial.candidate.candidate_hash;
  outcome.purpose = lease.trial.purpose;
  outcome.replicate = lease.trial.replicate;
  const int64_t busy_ms = 500 + outcome.attempt_id * 7'919 % 4'000;
  outcome.cost = {busy_ms + 500, busy_ms, 1'000, 1 << 20, std::nullopt};
  const auto fail = [&](FailureClass failure, const std::string& message) {
    outcome.failure = failure;
    outcome.message = message;
    return outcome;
  };
  if (slot.stop) {
    outcome.cancelled = true;
    return outcome;
  }
  Rng fate = Rng::Derive(1, lease.trial.candidate.candidate_hash);  // the same wherever it runs
  const double luck = fate.Double();
  if (fate.Double() < faults_.hopeless) {
    switch (fate.Below(5)) {
      case 0:
        return fail(FailureClass::kTrainerCrash, "signal " + std::to_string(fate.Below(3)));
      case 1:
        return fail(FailureClass::kDiverged, "loss is NaN");
      case 2:
        return fail(FailureClass::kOutOfMemory, "out of memory");
      case 3:
        return fail(FailureClass::kTimeout, "hangs");
      default:
        break;
    }
  }
  if (rng_.Double() < faults_.chance) {
    switch (rng_.Below(4)) {
      case 0:
        return fail(FailureClass::kTrainerCrash, "signal " + std::to_string(rng_.Below(20)));
      case 1:
        fail(FailureClass::kPreempted, "the host wants its cores back");
        if (lease.trial.purpose == model::Purpose::kSearch || lease.trial.purpose == model::Purpose::kFinal)
          LeaveCheckpoint(outcome);
        return outcome;
      case 2:
        return fail(FailureClass::kWorkerLost, "killed");
      default:
        return fail(FailureClass::kTimeout, "step " + std::to_string(rng_.Below(20)));
    }
  }
  outcome.succeeded = true;
  outcome.segment = slot.end;
  if (slot.end != model::SegmentEnd::kCompleted) outcome.rung = slot.rung;
  if (slot.end == model::SegmentEnd::kPaused) {
    const std::string path = "checkpoints/" + outcome.result_id;
    if (rng_.Below(8) > 0) checkpoints_.insert(path);  // some are lost
    outcome.checkpoint = {"", path, Sha256Hex(path), lease.rungs[static_cast<size_t>(slot.rung - 1)]};
    return outcome;
  }
  const bool finite = fate.Double() >= faults_.hopeless / 4;
  outcome.result.metrics["val_accuracy"] = finite ? luck : std::numeric_limits<double>::quiet_NaN();
  outcome.result.metrics["images_per_second"] = 100;
  outcome.result.epochs = lease.epochs;
  outcome.result.steps = 10;
  outcome.result.numeric_mode = "fp32";
  outcome.result.dataset_digest = "digest";
  outcome.result.recipe_hash = lease.campaign.settings.recipe_hash;
  outcome.result.seeds_json = SeedsJson(lease);
  if (lease.trial.purpose == model::Purpose::kFinal) {
    outcome.result.weights_path = "weights/" + outcome.result_id;
    outcome.result.weights_sha256 = Sha256Hex(outcome.result_id);
    outcome.result.weights_bytes = 100;
  }
  return outcome;
}

}  // namespace canopy::simulation
