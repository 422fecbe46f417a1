#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/random.h"
#include "tests/simulation/kept_results.h"
#include "tests/simulation/network.h"
#include "tests/simulation/scheduler.h"

namespace canopy::simulation {

// What trainers do, by candidate and by chance.
struct TrainerFaults {
  double hopeless = 0;  // of the candidates: these always crash, diverge, hang or run out of memory
  double chance = 0;    // of the attempts: these crash, are preempted or miss their data
};

// A worker's agent as the protocol has it: Hello, long polls, heartbeats; an outcome lies on its disk before
// it is sent and is repeated until it is answered. Written from the protocol's description, not from the
// agent.
class SimulatedAgent {
 public:
  struct Options {
    std::string id, host;
    int64_t slots = 1, memory_bytes = 0;
    double clock_rate = 1;                    // its seconds in true seconds
    int64_t shortest_ms = 0, longest_ms = 0;  // that a trial takes
    bool rungs = true;                        // it takes part in fidelity schedules
  };
  struct Observer {
    // An outcome of the lease is on the disk.
    std::function<void(const std::string& worker_id, const controller::Lease& lease,
                       const controller::AttemptOutcome& outcome)>
        outcome_made;
    std::function<void(const std::string& text)> trace;
  };

  SimulatedAgent(Options options, Scheduler& scheduler, Network& network, Rng rng, const Observer& observer);

  void Start();
  // Its processes die; the disk stays.
  void Kill();
  // Its host's power is lost, and with it what its disk has not synced.
  void LosePower();
  void Suspend(int64_t until_ms);
  int64_t suspended_until_ms() const { return suspended_until_ms_; }
  void SetFaults(const TrainerFaults& faults) { faults_ = faults; }

  const std::string& id() const { return options_.id; }
  bool alive() const { return alive_; }
  // Outcomes that this state of the database has not answered.
  bool Owes(const DatabaseName& database) const { return !spool_.empty() || kept_.AnyBefore(database); }
  // Trials during which it was suspended, and whose outcome it brought afterwards.
  int64_t zombie_trials() const { return zombie_trials_; }
  const KeptResults& kept() const { return kept_; }
  size_t running() const;

 private:
  struct Slot {
    bool busy = false;   // calls, trains or pauses
    DatabaseName asked;  // when its request began
    std::optional<controller::Lease> lease;
    DatabaseName lease_database;
    bool stop = false, suspended = false;
    int64_t run = 0;  // counts what it ran, so that a stop and an end do not both count
    std::optional<controller::AttemptOutcome> outcome;
    // Of a training with rungs: the last that it has passed, the one whose answer it waits for (0: none), and
    // how it ends.
    int64_t rung = 0, waiting_rung = 0;
    model::SegmentEnd end = model::SegmentEnd::kCompleted;
  };

  // Runs it unless the agent was killed in between; later, where it is suspended then.
  void Later(int64_t delay_ms, std::function<void()> action);
  void Deliver(uint64_t epoch, std::function<void()> action);
  void Call(Request request, int64_t timeout_ms, ReplyDone done);
  void SayHello();
  void ScheduleHeartbeat();
  void SendHeartbeat();
  void LoseContact(const Status& why);
  // How long it waits before it tries again after this failure.
  int64_t BackoffMs(const Status& failure = {});
  std::vector<std::pair<int64_t, int64_t>> Claims() const;
  void StopAttempts(const std::vector<int64_t>& attempt_ids);

  void Serve(size_t slot);
  void Exchange(size_t slot, const ExchangeRequest& request);
  // `answer`: nothing where it was refused.
  void Settle(const controller::AttemptOutcome& outcome, const ExchangeReply* answer);
  void Offer(std::vector<controller::AttemptOutcome> outcomes);
  void Run(size_t slot, const ExchangeReply& reply);
  // Trains up to the next rung or the end.
  void TrainOn(size_t slot, int64_t run);
  void ReachRung(size_t slot, int64_t run);
  void SendReport(size_t slot, int64_t run, const RungRequest& request);
  void HearAnswer(size_t slot, int64_t run, int64_t rung, model::RungAction action);
  // Of the lease's candidate after so many epochs, the same wherever it runs.
  double Accuracy(const controller::Lease& lease, int64_t epoch) const;
  void End(size_t slot, int64_t run);
  controller::AttemptOutcome Outcome(const Slot& slot);
  // Of a preempted training, in most cases.
  void LeaveCheckpoint(controller::AttemptOutcome& outcome);
  bool BacklogAnswered(const std::string& but_this) const;
  std::string NewId(const char* kind);

  const Options options_;
  Scheduler& scheduler_;
  Network& network_;
  Rng rng_;
  const Observer& observer_;
  TrainerFaults faults_;

  // On its disk.
  std::map<int64_t, controller::AttemptOutcome> spool_;  // by attempt
  KeptResults kept_;
  std::set<std::string> checkpoints_;
  uint64_t ids_ = 0;
  int64_t zombie_trials_ = 0;

  bool alive_ = false;
  uint64_t epoch_ = 0;
  int64_t suspended_until_ms_ = 0;
  // In its memory.
  bool in_contact_ = false, greeting_ = false;
  uint64_t heartbeats_ = 0;  // a chain of heartbeats ends where contact is lost
  int64_t failures_in_a_row_ = 0;
  int64_t interval_ms_ = 5'000;
  DatabaseName database_;
  DatabaseName known_database_;
  std::vector<Slot> slots_;
  std::deque<controller::AttemptOutcome> backlog_;
  std::set<std::string> unanswered_;      // of the backlog
  std::map<int64_t, int64_t> unsettled_;  // attempt, fence: ended, and not answered
};

}  // namespace canopy::simulation
