#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <set>
#include <string>

#include "base/mutex.h"
#include "base/status.h"
#include "canopy/v1/worker_service.pb.h"
#include "worker/agent/active_attempts.h"
#include "worker/agent/attempt.h"
#include "worker/agent/controller_connection.h"
#include "worker/agent/controller_session.h"
#include "worker/agent/rung_reporter.h"
#include "worker/agent/spool.h"

namespace canopy::agent {

// What an agent is made of. References outlive it.
struct AgentParts {
  ControllerConnection& connection;
  const AttemptEnvironment& environment;
  const Spool& spool;
  v1::WorkerHelloRequest hello;  // protocol and worker
  // By the environment's clock, when the agent stops by itself; nullopt: when it is told to.
  std::optional<int64_t> stop_at_ms;
  Rng rng;  // of the delays between tries
  std::function<std::string()> new_request_id;
};

// Runs leases in slots, one thread each, and reports how they ended: every outcome is on disk before it is
// sent, and stays there until the controller has acknowledged it.
class Agent {
 public:
  explicit Agent(AgentParts parts);

  // Blocks until Stop or stop_at_ms, which is OK, or until the controller refuses an agent that it never
  // accepted.
  Status Run();
  // Stops the trainers after their checkpoints; Run returns within 21 s, with unacknowledged outcomes in the
  // spool. Thread-safe.
  void Stop();
  // The same without checkpoints, within 10 s; after Stop as well.
  void StopAtOnce();

 private:
  std::optional<int64_t> RemainingMs() const;
  void StopInTime();
  void ServeSlot(int64_t slot);
  // Reports the outcome, where there is one, and asks for a lease, until Stop.
  std::optional<v1::Lease> NextLease(int64_t slot, std::optional<v1::Outcome> outcome);
  std::optional<v1::Outcome> RunLease(const v1::Lease& lease);
  // Before exchanges go to the database: finds what waits for it, and what it may have lost in a restore.
  Status UseDatabase(const ControllerSession::Database& database);
  bool SpoolDurably(const v1::Outcome& outcome);
  void SendLast(int64_t slot, const v1::Outcome& outcome);
  void Settle(const v1::Outcome& outcome, const v1::ExchangeReply& reply);
  void Refuse(const v1::Outcome& outcome, const Status& why);
  bool KeepForeign(const v1::Outcome& outcome);
  std::optional<v1::Outcome> NextFromBacklog();
  // Whether every outcome of the backlog, `but_this` one aside, has been answered: a slot that asks for work
  // says that it runs nothing, which takes the attempt away whose outcome is still to come.
  bool BacklogAnswered(const std::string& but_this) const;
  // Forgets the outcome's attempt, which is nobody's business any more.
  void SetAnswered(const v1::Outcome& outcome);

  AgentParts parts_;
  ActiveAttempts attempts_;
  ControllerSession session_;
  RungReporter rungs_;
  std::atomic<int64_t> kept_{0};
  mutable Mutex mutex_;
  // What exchanges go to, and whose unsent outcomes are in the backlog.
  std::string used_database_id_ CANOPY_GUARDED_BY(mutex_), taken_database_id_ CANOPY_GUARDED_BY(mutex_);
  int64_t used_incarnation_ CANOPY_GUARDED_BY(mutex_) = 0;
  // Outcomes that an earlier process left unsent.
  std::deque<v1::Outcome> backlog_ CANOPY_GUARDED_BY(mutex_);
  // Result ids of these and of those that are on their way.
  std::set<std::string> unanswered_ CANOPY_GUARDED_BY(mutex_);
};

}  // namespace canopy::agent
