#include "worker/agent/controller_session.h"

#include <algorithm>
#include <utility>

#include "base/log.h"

namespace canopy::agent {
namespace {

constexpr int64_t kCallTimeoutMs = 10'000;
// Beyond a long poll's own time.
constexpr int64_t kExchangeTimeoutMs = 15'000;
constexpr int64_t kFirstDelayMs = 250;
constexpr int64_t kLongestDelayMs = 10'000;
constexpr int64_t kLongestBusyDelayMs = 3'000;
constexpr int kMaxUnsentMeasurements = 10'000;
constexpr int64_t kShortestIntervalMs = 100;

// The peer has understood, and says no: asking again would change nothing.
bool IsRefusal(const Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kPermissionDenied:
    case absl::StatusCode::kUnauthenticated:
    case absl::StatusCode::kAlreadyExists:
    case absl::StatusCode::kUnimplemented:
      return true;
    default:
      return false;
  }
}

}  // namespace

ControllerSession::ControllerSession(ControllerConnection& connection, ActiveAttempts& attempts,
                                     v1::WorkerHelloRequest hello,
                                     std::function<std::optional<int64_t>()> remaining_ms, Rng rng)
    : connection_(connection),
      attempts_(attempts),
      hello_(std::move(hello)),
      remaining_ms_(std::move(remaining_ms)),
      backoff_seed_(rng.Next()) {}

Backoff ControllerSession::MakeBackoff(std::string_view label) const {
  return Backoff(Rng::Derive(backoff_seed_, label), kFirstDelayMs, kLongestDelayMs);
}

Status ControllerSession::KeepContact(const std::function<Status(const Database&)>& on_database) {
  Backoff backoff = MakeBackoff("contact");
  for (;;) {
    bool in_contact = false;
    int64_t interval_ms = 0;
    {
      const MutexLock lock(mutex_);
      if (stopping_) return absl::OkStatus();
      in_contact = in_contact_;
      interval_ms = interval_ms_;
    }
    if (in_contact) {
      {
        const MutexLock lock(mutex_);
        if (!stopping_ && in_contact_) changed_.WaitFor(mutex_, interval_ms);
        if (stopping_ || !in_contact_) continue;
      }
      if (const Status sent = SendHeartbeat(); !sent.ok() && !absl::IsResourceExhausted(sent))
        LoseContact(sent);
      continue;
    }
    const Status greeted = SayHello(on_database);
    if (greeted.ok()) {
      backoff.Reset();
      continue;
    }
    {
      const MutexLock lock(mutex_);
      if (stopping_) return absl::OkStatus();
      const bool refused = IsRefusal(greeted) || absl::IsFailedPrecondition(greeted);
      if (refused && !was_in_contact_) return WithContext(greeted, "the controller refuses this worker");
    }
    // A controller whose disk is full is there, and has room in a moment.
    const int64_t delay_ms =
        backoff.NextDelayMs(absl::IsResourceExhausted(greeted) ? kLongestBusyDelayMs : kLongestDelayMs);
    CANOPY_LOG(Warning, "no contact with the controller, next try in " + std::to_string(delay_ms) +
                            " ms: " + Message(greeted));
    if (!Pause(delay_ms)) return absl::OkStatus();
  }
}

Status ControllerSession::SayHello(const std::function<Status(const Database&)>& on_database) {
  v1::WorkerHelloRequest request = hello_;
  for (v1::LeaseClaim& claim : attempts_.Claims()) *request.add_running() = std::move(claim);
  if (const auto remaining_ms = remaining_ms_()) request.set_remaining_ms(*remaining_ms);
  const Database assumed = database();
  request.set_database_id(assumed.id);
  request.set_incarnation(assumed.incarnation);
  CANOPY_ASSIGN_OR_RETURN(const v1::WorkerHelloReply reply, connection_.Hello(request, kCallTimeoutMs));
  const Database now = {.id = reply.database_id(), .incarnation = reply.incarnation()};
  if (!(known_database_ == now)) {
    CANOPY_RETURN_IF_ERROR(on_database(now));
    known_database_ = now;
  }
  for (const int64_t attempt_id : reply.attempts_to_stop()) attempts_.Stop(attempt_id);
  {
    const MutexLock lock(mutex_);
    database_ = now;
    interval_ms_ = std::max(kShortestIntervalMs, reply.heartbeat_interval_ms());
    in_contact_ = was_in_contact_ = true;
  }
  changed_.NotifyAll();
  CANOPY_LOG(Info, "registered with the controller",
             {{"worker", hello_.worker().id()},
              {"database_id", now.id},
              {"incarnation", std::to_string(now.incarnation)},
              {"controller_build", reply.build()}});
  return absl::OkStatus();
}

Status ControllerSession::SendHeartbeat() {
  unsent_.clear_attempts();
  attempts_.Report(unsent_);
  auto& measurements = *unsent_.mutable_measurements();
  if (const int excess = measurements.size() - kMaxUnsentMeasurements; excess > 0)
    measurements.DeleteSubrange(0, excess);
  const Database now = database();
  unsent_.set_worker_id(hello_.worker().id());
  unsent_.set_database_id(now.id);
  unsent_.set_incarnation(now.incarnation);
  unsent_.clear_remaining_ms();
  if (const auto remaining_ms = remaining_ms_()) unsent_.set_remaining_ms(*remaining_ms);
  CANOPY_ASSIGN_OR_RETURN(const v1::HeartbeatReply reply, connection_.Heartbeat(unsent_, kCallTimeoutMs));
  unsent_.clear_measurements();
  for (const int64_t attempt_id : reply.attempts_to_stop()) attempts_.Stop(attempt_id);
  const MutexLock lock(mutex_);
  interval_ms_ = std::max(kShortestIntervalMs, reply.interval_ms());
  if (reply.hello_needed()) in_contact_ = false;
  return absl::OkStatus();
}

void ControllerSession::SayGoodbye(int64_t timeout_ms) {
  {
    const MutexLock lock(mutex_);
    if (!was_in_contact_) return;  // a call that the stop itself cut off is no loss of contact
  }
  v1::HeartbeatRequest goodbye;
  for (const v1::LeaseClaim& claim : attempts_.Claims()) {
    v1::AttemptProgress& kept = *goodbye.add_attempts();
    kept.set_attempt_id(claim.attempt_id());
    kept.set_fence(claim.fence());
  }
  const Database now = database();
  goodbye.set_worker_id(hello_.worker().id());
  goodbye.set_database_id(now.id);
  goodbye.set_incarnation(now.incarnation);
  goodbye.set_remaining_ms(0);
  if (const auto reply = connection_.Heartbeat(goodbye, timeout_ms); !reply.ok())
    CANOPY_LOG(Warning, "the controller does not know that this agent ends: " + Message(reply.status()));
}

void ControllerSession::LoseContact(const Status& why) {
  {
    const MutexLock lock(mutex_);
    if (!std::exchange(in_contact_, false) || stopping_) return;
  }
  changed_.NotifyAll();
  CANOPY_LOG(Warning, "lost contact with the controller: " + Message(why));
}

bool ControllerSession::WaitForContact() {
  const MutexLock lock(mutex_);
  while (!stopping_ && !in_contact_) changed_.Wait(mutex_);
  return !stopping_;
}

StatusOr<v1::ExchangeReply> ControllerSession::Exchange(const v1::ExchangeRequest& request) {
  Backoff backoff = MakeBackoff(request.request_id());
  const Database begun = database();
  while (WaitForContact()) {
    // Who only asks for work sees first what a restore has lost meanwhile.
    if (!request.has_outcome() && !begun.id.empty() && !(database() == begun))
      return absl::CancelledError("the database was restored, or is another one");
    auto reply = connection_.Exchange(request, request.wait_ms() + kExchangeTimeoutMs);
    if (reply.ok() || IsRefusal(reply.status())) return reply;
    // One that has no room is asked again soon; greeting it anew would be more work for it.
    const bool busy = absl::IsResourceExhausted(reply.status());
    if (!busy) LoseContact(reply.status());
    if (!Pause(backoff.NextDelayMs(busy ? kLongestBusyDelayMs : kLongestDelayMs))) break;
  }
  return absl::CancelledError("the agent is ending");
}

StatusOr<v1::ExchangeReply> ControllerSession::ExchangeOnce(const v1::ExchangeRequest& request,
                                                            int64_t timeout_ms) {
  return connection_.Exchange(request, timeout_ms);
}

StatusOr<v1::ReportRungReply> ControllerSession::ReportRung(const v1::ReportRungRequest& request,
                                                            int64_t timeout_ms) {
  {
    const MutexLock lock(mutex_);
    if (stopping_ || !in_contact_) return Unavailable("there is no contact with the controller");
  }
  auto reply = connection_.ReportRung(request, timeout_ms);
  if (!reply.ok() && !IsRefusal(reply.status()) && !absl::IsResourceExhausted(reply.status()))
    LoseContact(reply.status());
  return reply;
}

void ControllerSession::AssumeDatabase(Database database) {
  const MutexLock lock(mutex_);
  database_ = std::move(database);
}

ControllerSession::Database ControllerSession::database() const {
  const MutexLock lock(mutex_);
  return database_;
}

void ControllerSession::Stop() {
  {
    const MutexLock lock(mutex_);
    stopping_ = true;
  }
  changed_.NotifyAll();
  connection_.StopAsking();
}

bool ControllerSession::stopping() const {
  const MutexLock lock(mutex_);
  return stopping_;
}

bool ControllerSession::Pause(int64_t ms) {
  const SystemClock clock;
  const int64_t until_ms = clock.MonotonicMs() + ms;
  const MutexLock lock(mutex_);
  for (int64_t left_ms = ms; !stopping_ && left_ms > 0; left_ms = until_ms - clock.MonotonicMs())
    changed_.WaitFor(mutex_, left_ms);
  return !stopping_;
}

}  // namespace canopy::agent
