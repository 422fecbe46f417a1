#pragma once

#include <google/protobuf/util/message_differencer.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/file.h"
#include "worker/agent/agent.h"
#include "worker/agent/agent_test_support.h"

namespace canopy::agent {

// A controller in memory: answers a request id once and for all, counts a result once, and loses contact or
// replies when it is told to.
class FakeController final : public ControllerConnection {
 public:
  StatusOr<v1::WorkerHelloReply> Hello(const v1::WorkerHelloRequest& request, int64_t) override {
    const MutexLock lock(mutex_);
    if (!refusal_.ok()) return refusal_;
    if (away_) return Miss();
    if (busy_) return Busy("hello");
    if (stopped_) return absl::CancelledError("stopped");
    hellos_.push_back(request);
    forgotten_ = false;
    changed_.NotifyAll();
    v1::WorkerHelloReply reply;
    reply.set_database_id("db");
    reply.set_incarnation(incarnation_);
    reply.set_heartbeat_interval_ms(100);
    return reply;
  }

  StatusOr<v1::ExchangeReply> Exchange(const v1::ExchangeRequest& request, int64_t) override {
    const MutexLock lock(mutex_);
    if (away_ || forgotten_) return Miss();
    if (busy_) return Busy(request.request_id());
    if (on_exchange_) on_exchange_(request);
    if (request.has_outcome() && request.outcome().attempt_id() == held_back_) return Miss();
    if (request.has_outcome() && !exchange_error_.ok()) return std::exchange(exchange_error_, Status());
    const auto known = answered_.find(request.request_id());
    if (known != answered_.end()) {
      EXPECT_TRUE(google::protobuf::util::MessageDifferencer::Equals(known->second.first, request))
          << "a request id with another payload";
      return known->second.second;
    }
    v1::ExchangeReply reply;
    if (request.has_outcome()) reply.set_verdict(Take(request.outcome()));
    reply.set_incarnation(incarnation_);
    if (request.wants_lease()) {
      const int64_t incarnation = incarnation_;
      while (leases_.empty() && !stopped_ && !away_ && !request.has_outcome() && incarnation == incarnation_)
        changed_.Wait(mutex_);
      if (incarnation != incarnation_) return Miss();  // it was restarted
      if (stopped_) return absl::CancelledError("stopped");
      if (away_) return Miss();
      if (!leases_.empty()) {
        *reply.mutable_lease() = leases_.front();
        leases_.pop_front();
      }
    }
    answered_[request.request_id()] = {request, reply};
    if (replies_to_drop_ > 0) {
      --replies_to_drop_;
      return DeadlineExceeded("the reply was lost");
    }
    return reply;
  }

  StatusOr<v1::ReportRungReply> ReportRung(const v1::ReportRungRequest& request, int64_t) override {
    const MutexLock lock(mutex_);
    if (away_ || forgotten_ || rung_replies_to_drop_-- > 0) return Miss();
    if (rung_reports_to_refuse_-- > 0) return Busy("rung");
    reports_.push_back(request);
    v1::ReportRungReply reply;
    reply.set_action(v1::RUNG_ACTION_PAUSE);
    return reply;
  }

  StatusOr<v1::HeartbeatReply> Heartbeat(const v1::HeartbeatRequest& request, int64_t) override {
    const MutexLock lock(mutex_);
    if (away_) return Miss();
    if (busy_) return Busy("heartbeat");
    measurements_ += request.measurements_size();
    heartbeats_.push_back(request);
    for (const auto& attempt : request.attempts()) running_.insert(attempt.attempt_id());
    changed_.NotifyAll();
    v1::HeartbeatReply reply;
    reply.set_interval_ms(100);
    for (const int64_t attempt : to_stop_) reply.add_attempts_to_stop(attempt);
    reply.set_hello_needed(forgotten_);
    return reply;
  }

  void StopAsking() override {
    const MutexLock lock(mutex_);
    stopped_ = true;
    changed_.NotifyAll();
  }

  // For the next process of the agent.
  void Reopen() {
    const MutexLock lock(mutex_);
    stopped_ = false;
  }
  void Offer(const v1::Lease& lease) {
    const MutexLock lock(mutex_);
    leases_.push_back(lease);
    changed_.NotifyAll();
  }
  void SetAway(bool away) {
    const MutexLock lock(mutex_);
    away_ = away;
    changed_.NotifyAll();
  }
  // Whether it has no room for any call but rung reports.
  void SetBusy(bool busy) {
    const MutexLock lock(mutex_);
    busy_ = busy;
  }
  // When calls of each kind, or of each request id, were told so; once `kinds` of them were `count` times, or
  // a greeting was.
  std::map<std::string, std::vector<int64_t>> WaitForRefusals(size_t count, size_t kinds) {
    const MutexLock lock(mutex_);
    const auto often = [&] {
      size_t reached = 0;
      for (const auto& [kind, times] : refused_ms_) reached += times.size() >= count;
      return reached;
    };
    while (often() < kinds && !refused_ms_.contains("hello")) changed_.Wait(mutex_);
    return refused_ms_;
  }
  size_t hellos() {
    const MutexLock lock(mutex_);
    return hellos_.size();
  }
  void DropRungReplies(int count) {
    const MutexLock lock(mutex_);
    rung_replies_to_drop_ = count;
  }
  void RefuseRungReports(int count) {
    const MutexLock lock(mutex_);
    rung_reports_to_refuse_ = count;
  }
  std::vector<v1::ReportRungRequest> reports() {
    const MutexLock lock(mutex_);
    return reports_;
  }
  void DropReplies(int count) {
    const MutexLock lock(mutex_);
    replies_to_drop_ = count;
  }
  void Refuse(Status why) {
    const MutexLock lock(mutex_);
    refusal_ = std::move(why);
  }
  // The outcome of this attempt gets lost on its way; 0: of none.
  void HoldBack(int64_t attempt) {
    const MutexLock lock(mutex_);
    held_back_ = attempt;
  }
  void FailNextOutcome(Status why) {
    const MutexLock lock(mutex_);
    exchange_error_ = std::move(why);
  }
  void StopAttempt(int64_t attempt) {
    const MutexLock lock(mutex_);
    to_stop_.insert(attempt);
  }
  void Forget() {
    const MutexLock lock(mutex_);
    forgotten_ = true;
  }
  // An older state of the database, which has none of the results.
  void Restore() {
    const MutexLock lock(mutex_);
    ++incarnation_;
    results_.clear();
    outcomes_.clear();
    forgotten_ = true;
    changed_.NotifyAll();
  }
  void OnExchange(std::function<void(const v1::ExchangeRequest&)> hook) {
    const MutexLock lock(mutex_);
    on_exchange_ = std::move(hook);
  }

  v1::Outcome WaitForOutcome(int64_t attempt) {
    const MutexLock lock(mutex_);
    while (!outcomes_.contains(attempt)) changed_.Wait(mutex_);
    return outcomes_[attempt];
  }
  void WaitUntilRunning(int64_t attempt) {
    const MutexLock lock(mutex_);
    while (!running_.contains(attempt)) changed_.Wait(mutex_);
  }
  // Until the agent has noticed that the controller is away.
  void WaitUntilMissed() {
    const MutexLock lock(mutex_);
    while (missed_ == 0) changed_.Wait(mutex_);
  }
  std::vector<v1::WorkerHelloRequest> WaitForHellos(size_t count) {
    const MutexLock lock(mutex_);
    while (hellos_.size() < count) changed_.Wait(mutex_);
    return hellos_;
  }
  std::vector<v1::HeartbeatRequest> heartbeats() {
    const MutexLock lock(mutex_);
    return heartbeats_;
  }
  int counted_twice() {
    const MutexLock lock(mutex_);
    return twice_;
  }
  size_t outcomes() {
    const MutexLock lock(mutex_);
    return outcomes_.size();
  }

 private:
  Status Miss() CANOPY_REQUIRES(mutex_) {
    ++missed_;
    changed_.NotifyAll();
    return Unavailable("away");
  }
  Status Busy(const std::string& kind) CANOPY_REQUIRES(mutex_) {
    refused_ms_[kind].push_back(SystemClock().MonotonicMs());
    changed_.NotifyAll();
    return absl::ResourceExhaustedError("no room");
  }
  v1::OutcomeVerdict Take(const v1::Outcome& outcome) CANOPY_REQUIRES(mutex_) {
    if (!results_.insert(outcome.result_id()).second) return v1::OUTCOME_VERDICT_DUPLICATE;
    if (!outcomes_.emplace(outcome.attempt_id(), outcome).second) ++twice_;
    changed_.NotifyAll();
    return v1::OUTCOME_VERDICT_ACCEPTED;
  }

  Mutex mutex_;
  CondVar changed_;
  bool away_ = false, stopped_ = false, forgotten_ = false, busy_ = false;
  std::map<std::string, std::vector<int64_t>> refused_ms_;
  int rung_replies_to_drop_ = 0, rung_reports_to_refuse_ = 0;
  std::vector<v1::ReportRungRequest> reports_;
  int replies_to_drop_ = 0, twice_ = 0, missed_ = 0, measurements_ = 0;
  Status refusal_, exchange_error_;
  int64_t held_back_ = 0, incarnation_ = 1;
  std::deque<v1::Lease> leases_;
  std::map<std::string, std::pair<v1::ExchangeRequest, v1::ExchangeReply>> answered_;
  std::map<int64_t, v1::Outcome> outcomes_;
  std::set<std::string> results_;
  std::set<int64_t> running_, to_stop_;
  std::vector<v1::WorkerHelloRequest> hellos_;
  std::vector<v1::HeartbeatRequest> heartbeats_;
  std::function<void(const v1::ExchangeRequest&)> on_exchange_;
};

// Goes on as the system's does, from where a test has set it.
class SkippingClock final : public Clock {
 public:
  int64_t MonotonicMs() const override { return system_.MonotonicMs() + skipped_ms_; }
  int64_t WallUs() const override { return system_.WallUs(); }
  void Skip(int64_t ms) { skipped_ms_ += ms; }

 private:
  SystemClock system_;
  std::atomic<int64_t> skipped_ms_ = 0;
};

class AgentTest : public testing::Test {
 protected:
  AgentTest() { ::setenv("CANOPY_FAKE_TRAINER_HOLD", hold_.c_str(), 1); }
  ~AgentTest() override {
    End();
    ::unsetenv("CANOPY_FAKE_TRAINER_HOLD");
  }

  void Start(int64_t slots = 1, std::optional<int64_t> stop_at_ms = std::nullopt) {
    v1::WorkerHelloRequest hello;
    hello.mutable_worker()->set_id("worker");
    hello.mutable_worker()->set_slots(slots);
    agent_ = std::make_unique<Agent>(AgentParts{.connection = controller_,
                                                .environment = environment_,
                                                .spool = spool_,
                                                .hello = hello,
                                                .stop_at_ms = stop_at_ms,
                                                .rng = Rng(1),
                                                .new_request_id = NewId});
    runner_ = std::thread([this] { ended_ = agent_->Run(); });
  }
  void End() {
    if (!agent_) return;
    agent_->Stop();
    Join();
  }
  void Join() {
    runner_.join();
    agent_.reset();
  }
  // With an agent of its own.
  v1::Outcome RunToItsEnd(const v1::Lease& lease) {
    controller_.Reopen();
    controller_.Offer(lease);
    Start();
    const v1::Outcome outcome = controller_.WaitForOutcome(lease.attempt_id());
    End();
    return outcome;
  }
  // Trainers that wait for their last message send it.
  void LetTrainersEnd() { ASSERT_TRUE(WriteFileDurably(hold_, "").ok()); }
  std::string SpoolFile(const v1::Outcome& outcome) const {
    return state_.spool() + "/" + outcome.result_id() + ".json";
  }

  static std::string NewId() {
    static std::atomic<int64_t> last = 0;
    return "id" + std::to_string(++last);
  }

  TemporaryFolder folder_;
  const std::string hold_ = folder_.path() + "/go";
  SkippingClock clock_;
  StateDirectory state_ = *StateDirectory::Open(folder_.path() + "/state", "");
  Spool spool_ = *Spool::Open(state_.spool());
  std::unique_ptr<TrainerLauncher> launcher_ = MakeProcessLauncher({CANOPY_FAKE_TRAINER});
  RunningTrainers running_{folder_.path(), clock_};
  AttemptEnvironment environment_{.state = state_,
                                  .launcher = *launcher_,
                                  .running = running_,
                                  .clock = clock_,
                                  .lock_folder = folder_.path(),
                                  .datasets = {{"images", {.folder = "/data", .digest = "d1-d2"}}},
                                  .new_result_id = NewId,
                                  .oom_kills = [] { return int64_t{0}; }};
  FakeController controller_;
  std::unique_ptr<Agent> agent_;
  std::thread runner_;
  Status ended_;
};

}  // namespace canopy::agent
