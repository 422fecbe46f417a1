#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "controller/core/core.h"
#include "controller/core/testing/halving_schedule.h"

namespace canopy::controller {

inline constexpr char kDatabase[] = "db";

inline model::WorkerRecord MakeWorker(const std::string& id, int64_t slots, const std::string& host = "h1") {
  model::WorkerRecord worker;
  worker.id = id;
  worker.host = host;
  worker.slots = slots;
  worker.cores = slots;
  worker.numeric_modes = {"fp32"};
  worker.rungs = true;
  worker.datasets = {{"fashion-mnist", "digest", {1, 28, 28}, 10, 60000}};
  return worker;
}

inline model::CandidateFacts MakeCandidate(const std::string& name) {
  model::CandidateFacts facts;
  facts.candidate_json = "{\"op\":\"" + name + "\"}";
  facts.candidate_hash = name;
  return facts;
}

// A core with the world around it: answers refills at once with new candidates and keeps every effect.
class World {
 public:
  explicit World(const CoreState& state = Empty(), const CoreLimits& limits = {})
      : core_(state, limits, MakeTestSchedule, now_) {}

  static CoreState Empty() {
    CoreState state;
    state.database_id = kDatabase;
    state.incarnation = 1;
    return state;
  }

  static LaunchCampaign Campaign(int64_t trials, int64_t top = 0) {
    LaunchCampaign launch;
    launch.token = 1;
    launch.principal = "ada";
    model::CampaignSettings& settings = launch.campaign.settings;
    launch.campaign.name = "c";
    settings.task.dataset = "fashion-mnist";
    settings.numeric_mode = "fp32";
    settings.epochs = 2;
    settings.budget_trials = trials;
    settings.finals_top = top;
    settings.finals_seeds = 2;
    settings.finals_reference = top > 0;
    launch.reference = MakeCandidate("reference");
    return launch;
  }

  Effects Step(Event event) {
    now_.monotonic_ms += 10;
    now_.wall_us += 10'000;
    Effects effects = core_.Step(now_, std::move(event));
    EXPECT_EQ(core_.IndexErrors(), "");
    Keep(effects);
    for (const RequestProposals& request : effects.requests) requests_.push_back(request);
    return effects;
  }

  void AnswerRefills() {
    while (!requests_.empty()) {
      const RequestProposals request = requests_.front();
      requests_.erase(requests_.begin());
      ProposalBatch batch;
      batch.seen_seq = request.seen_seq;
      for (int64_t i = 0; i < request.count; ++i) {
        Proposal proposal{Proposal::Verdict::kAccepted, MakeCandidate("c" + std::to_string(next_++))};
        if (!planned_.empty()) {
          proposal.candidate = MakeCandidate(planned_.front().first);
          proposal.replicate = planned_.front().second;
          planned_.pop_front();
        }
        batch.proposals.push_back(std::move(proposal));
      }
      Step(ProposalsReady{request.campaign_id, request.seen_seq, std::move(batch), request.space_version});
    }
  }

  void Hello(const std::string& id, int64_t slots, const std::string& host = "h1") {
    Step(WorkerHello{0, MakeWorker(id, slots, host), {}});
    AnswerRefills();
  }

  // The lease that a poll is given at once, if any.
  std::optional<Lease> Poll(const std::string& worker, int64_t slot = 0, const std::string& request = "") {
    const uint64_t token = ++token_;
    Step(WorkerExchange{
        token, worker, request.empty() ? "r" + std::to_string(token) : request, slot, {}, true});
    AnswerRefills();
    const auto* answer = Answer(token);
    if (answer == nullptr) return std::nullopt;
    return std::get<Exchanged>(**answer).lease;
  }
  // Parks a request for work and gives its token.
  uint64_t Park(const std::string& worker, int64_t slot = 0) {
    const uint64_t token = ++token_;
    Step(WorkerExchange{token, worker, "p" + std::to_string(token), slot, {}, true});
    EXPECT_EQ(Answer(token), nullptr);
    return token;
  }
  // It was answered with a lease.
  bool Granted(uint64_t token) const {
    const auto* answer = Answer(token);
    return answer != nullptr && answer->ok() && std::get<Exchanged>(**answer).lease.has_value();
  }
  // The same while no strategy answers.
  std::optional<Lease> TryPollUnanswered(const std::string& worker, int64_t slot) {
    Step(WorkerExchange{++token_, worker, "r" + std::to_string(token_), slot, {}, true});
    const auto* answer = Answer(token_);
    if (answer == nullptr) return std::nullopt;
    return std::get<Exchanged>(**answer).lease;
  }
  // The same of a worker that may be unknown.
  std::optional<Lease> TryPoll(const std::string& worker, int64_t slot) {
    Step(WorkerExchange{++token_, worker, "r" + std::to_string(token_), slot, {}, true});
    const uint64_t token = token_;
    AnswerRefills();
    const auto* answer = Answer(token);
    if (answer == nullptr || !answer->ok()) return std::nullopt;
    return std::get<Exchanged>(**answer).lease;
  }
  // What the token was answered; nullptr: nothing yet.
  const StatusOr<ReplyBody>* Answer(uint64_t token) const {
    const auto answer = replies_.find(token);
    return answer == replies_.end() ? nullptr : &answer->second;
  }

  // The answer to a request for work.
  StatusOr<ReplyBody> Ask(const std::string& worker, int64_t slot) {
    Step(WorkerExchange{++token_, worker, "a" + std::to_string(token_), slot, {}, true});
    return replies_.at(token_);
  }
  // What the worker has to stop.
  std::vector<int64_t> Beat(const std::string& worker, const std::vector<Lease>& leases) {
    WorkerHeartbeat heartbeat{++token_, worker, {}, {}};
    for (const Lease& lease : leases)
      heartbeat.attempts.push_back({lease.attempt.id, lease.attempt.fence, 1, 2});
    const uint64_t token = token_;
    Step(std::move(heartbeat));
    AnswerRefills();
    return std::get<HeartbeatAnswered>(*replies_.at(token)).attempts_to_stop;
  }

  AttemptOutcome Success(const Lease& lease, double accuracy) {
    AttemptOutcome outcome;
    outcome.result_id = "result" + std::to_string(++result_);
    outcome.database_id = kDatabase;
    outcome.incarnation = 1;
    outcome.attempt_id = lease.attempt.id;
    outcome.trial_id = lease.trial.id;
    outcome.fence = lease.attempt.fence;
    outcome.succeeded = true;
    outcome.cost.busy_ms = 1000;
    outcome.result.metrics["val_accuracy"] = accuracy;
    return outcome;
  }

  AttemptOutcome Failed(const Lease& lease, model::FailureClass failure, const std::string& message) {
    AttemptOutcome outcome = Success(lease, 0);
    outcome.succeeded = false;
    outcome.failure = failure;
    outcome.message = message;
    return outcome;
  }

  // An attempt that paused or stopped at the rung.
  AttemptOutcome Segment(const Lease& lease, model::SegmentEnd end, int64_t rung) {
    AttemptOutcome outcome = Success(lease, 0);
    outcome.segment = end;
    outcome.rung = rung;
    outcome.result.metrics.clear();
    if (end == model::SegmentEnd::kPaused)
      outcome.checkpoint = {"", "/checkpoints/" + std::to_string(lease.trial.id), "5ha", rung};
    return outcome;
  }

  // What the training is told at its rung, as its worker's engine asks.
  StatusOr<model::RungAction> Reach(const Lease& lease, int64_t rung, double accuracy) {
    RungReport report;
    report.token = ++token_;
    report.worker_id = lease.attempt.worker_id;
    report.database_id = kDatabase;
    report.incarnation = 1;
    report.attempt_id = lease.attempt.id;
    report.trial_id = lease.trial.id;
    report.fence = lease.attempt.fence;
    report.rung = rung;
    report.epoch = lease.rungs.at(static_cast<size_t>(rung - 1));
    report.metrics["val_accuracy"] = accuracy;
    return Reach(std::move(report));
  }
  StatusOr<model::RungAction> Reach(RungReport report) {
    for (const InsertRungReport& write : Written<InsertRungReport>())
      if (write.report.trial_id == report.trial_id && write.report.rung == report.rung)
        report.known = write.report;
    const uint64_t token = report.token;
    Step(std::move(report));
    AnswerRefills();
    const StatusOr<ReplyBody>& reply = replies_.at(token);
    if (!reply.ok()) return reply.status();
    return std::get<RungAnswered>(*reply).action;
  }

  OutcomeVerdict Report(const std::string& worker, AttemptOutcome outcome) {
    const uint64_t token = ++token_;
    for (const UpdateAttempt& update : Written<UpdateAttempt>())
      if (update.attempt.result_id == outcome.result_id) outcome.known = model::KnownOutcome::kCounted;
    Step(WorkerExchange{token, worker, "o" + std::to_string(token), 0, std::move(outcome), false});
    AnswerRefills();
    return std::get<Exchanged>(*replies_.at(token)).verdict;
  }

  OutcomeVerdict TryReport(const std::string& worker, AttemptOutcome outcome) {
    Step(WorkerExchange{++token_, worker, "o" + std::to_string(token_), 0, std::move(outcome), false});
    const uint64_t token = token_;
    AnswerRefills();
    const auto& answer = replies_.at(token);
    return answer.ok() ? std::get<Exchanged>(*answer).verdict : OutcomeVerdict::kNone;
  }

  template <typename T>
  std::vector<T> Written() const {
    std::vector<T> found;
    for (const Write& write : writes_)
      if (std::holds_alternative<T>(write)) found.push_back(std::get<T>(write));
    return found;
  }
  model::TrialRecord Trial(int64_t id) const {
    model::TrialRecord trial;
    for (const Write& write : writes_) {
      if (const auto* inserted = std::get_if<InsertTrial>(&write); inserted && inserted->trial.id == id)
        trial = inserted->trial;
      if (const auto* updated = std::get_if<UpdateTrial>(&write); updated && updated->trial.id == id)
        trial = updated->trial;
    }
    return trial;
  }
  const std::vector<Write>& writes() const { return writes_; }
  model::AttemptRecord Attempt(int64_t id) const {
    model::AttemptRecord attempt;
    for (const Write& write : writes_)
      if (const auto* updated = std::get_if<UpdateAttempt>(&write); updated && updated->attempt.id == id)
        attempt = updated->attempt;
    return attempt;
  }
  std::vector<model::EventRecord> Events(const std::string& kind) const {
    std::vector<model::EventRecord> events;
    for (const AppendEvent& append : Written<AppendEvent>())
      if (append.event.kind == kind) events.push_back(append.event);
    return events;
  }
  model::CampaignProgress Progress() const { return Written<UpdateCampaign>().back().progress; }
  // The controller runs meanwhile.
  void Pass(int64_t ms) {
    constexpr int64_t kStepMs = 4'000;
    for (int64_t left_ms = ms; left_ms > 0; left_ms -= kStepMs) {
      now_.monotonic_ms += std::min(left_ms, kStepMs);
      now_.wall_us += std::min(left_ms, kStepMs) * 1000;
      Step(Tick{});
    }
    AnswerRefills();
  }

  Now now_{1000, 1'000'000};
  Core core_;
  std::vector<RequestProposals> requests_;
  std::deque<std::pair<std::string, int64_t>> planned_;  // what is proposed next: candidate, replicate

 private:
  void Keep(const Effects& effects) {
    writes_.insert(writes_.end(), effects.writes.begin(), effects.writes.end());
    for (const Reply& reply : effects.replies) replies_.insert_or_assign(reply.token, reply.body);
  }

  std::vector<Write> writes_;
  std::map<uint64_t, StatusOr<ReplyBody>> replies_;
  uint64_t token_ = 100;
  int64_t result_ = 0, next_ = 1;
};

// A campaign, and the workers "w" with two slots and "v" with one, on two hosts.
class TwoWorkers : public ::testing::Test {
 protected:
  void Launch(LaunchCampaign launch = World::Campaign(20)) {
    world_.Step(std::move(launch));
    world_.AnswerRefills();
    world_.Hello("w", 2, "h1");
    world_.Hello("v", 1, "h2");
  }
  Lease Take(const std::string& worker, int64_t slot = 0) {
    const auto lease = world_.Poll(worker, slot);
    EXPECT_TRUE(lease) << worker;
    return lease.value_or(Lease{});
  }
  model::TrialRecord Trial(const Lease& lease) const { return world_.Trial(lease.trial.id); }

  World world_;
};

}  // namespace canopy::controller
