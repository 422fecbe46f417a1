#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/mutex.h"
#include "base/random.h"
#include "base/status.h"
#include "canopy/v1/worker_service.pb.h"
#include "worker/agent/active_attempts.h"
#include "worker/agent/backoff.h"
#include "worker/agent/controller_connection.h"

namespace canopy::agent {

// An agent's registration with the controller: Hello whenever contact is new or was lost, heartbeats in
// between, exchanges that wait for contact and are repeated until they are answered. Thread-safe.
class ControllerSession {
 public:
  struct Database {
    std::string id;
    int64_t incarnation = 0;
    friend bool operator==(const Database&, const Database&) = default;
  };

  // `build` and `protocol` go into every Hello; the references outlive the session.
  // `remaining_ms` gives what Hello and heartbeats say of the agent's end.
  ControllerSession(ControllerConnection& connection, ActiveAttempts& attempts, v1::WorkerHelloRequest hello,
                    std::function<std::optional<int64_t>()> remaining_ms, Rng rng);

  // Keeps contact until Stop, which is OK. An error: the controller refuses this agent, and has never
  // accepted it. `on_database` is called before exchanges go to a database, or to an incarnation of it, that
  // was not in use before.
  Status KeepContact(const std::function<Status(const Database&)>& on_database);

  // The database in which claims are made until the controller names its own.
  void AssumeDatabase(Database database);
  Database database() const;

  // False after Stop.
  bool WaitForContact();
  // Sends the request, waiting for contact, with the same request id until it is answered. Cancelled after
  // Stop, and where it asks for work alone and the database, or its incarnation, is another by now; other
  // errors are the controller's refusal of this very request.
  StatusOr<v1::ExchangeReply> Exchange(const v1::ExchangeRequest& request);
  // Once, now or never: for the last words of an agent that ends.
  StatusOr<v1::ExchangeReply> ExchangeOnce(const v1::ExchangeRequest& request, int64_t timeout_ms);

  // Once; an error other than a refusal may be no more than a loss of contact.
  StatusOr<v1::ReportRungReply> ReportRung(const v1::ReportRungRequest& request, int64_t timeout_ms);

  // Says that the agent leaves, so that what it holds is given to others now; once, and to a controller that
  // answers alone. Called after the last exchange.
  void SayGoodbye(int64_t timeout_ms);

  // Hello is said again before anything else.
  void LoseContact(const Status& why);
  void Stop();
  bool stopping() const;
  // False where Stop ended the wait.
  bool Pause(int64_t ms);
  Backoff MakeBackoff(std::string_view label) const;

 private:
  Status SayHello(const std::function<Status(const Database&)>& on_database);
  Status SendHeartbeat();

  ControllerConnection& connection_;
  ActiveAttempts& attempts_;
  const v1::WorkerHelloRequest hello_;
  const std::function<std::optional<int64_t>()> remaining_ms_;
  const uint64_t backoff_seed_;

  mutable Mutex mutex_;
  CondVar changed_;
  bool stopping_ CANOPY_GUARDED_BY(mutex_) = false;
  bool in_contact_ CANOPY_GUARDED_BY(mutex_) = false;
  bool was_in_contact_ CANOPY_GUARDED_BY(mutex_) = false;
  Database database_ CANOPY_GUARDED_BY(mutex_);
  int64_t interval_ms_ CANOPY_GUARDED_BY(mutex_) = 0;

  // Of the thread in KeepContact alone.
  Database known_database_;
  v1::HeartbeatRequest unsent_;  // its measurements were not acknowledged yet
};

}  // namespace canopy::agent
