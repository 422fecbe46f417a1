#include "worker/agent/agent.h"

#include <algorithm>
#include <thread>
#include <utility>
#include <vector>

#include "base/log.h"

namespace canopy::agent {
namespace {

constexpr int64_t kLongPollMs = 30'000;
constexpr int64_t kLastWordsMs = 2'000;
constexpr int64_t kBacklogPollMs = 50;
constexpr int64_t kKeptBetweenPrunes = 1'000;
// The end of an agent's time is its clock's, which a suspended host may stop or set on.
constexpr int64_t kLongestSleepMs = 1'000;

// Where its training goes on; nullptr: nowhere.
const v1::Checkpoint* CheckpointOf(const v1::Outcome& outcome) {
  if (outcome.paused().has_checkpoint()) return &outcome.paused().checkpoint();
  return outcome.failure().has_checkpoint() ? &outcome.failure().checkpoint() : nullptr;
}

// Whether an attempt that began at the checkpoint leaves its trial to go on there: it was interrupted before
// it had written another.
bool GoesOnThere(const v1::Outcome& outcome) {
  const v1::FailureClass why = outcome.failure().failure_class();
  const bool interrupted = why == v1::FAILURE_CLASS_PREEMPTED || why == v1::FAILURE_CLASS_WORKER_LOST;
  return interrupted && CheckpointOf(outcome) == nullptr;
}

}  // namespace

Agent::Agent(AgentParts parts)
    : parts_(std::move(parts)),
      session_(
          parts_.connection, attempts_, parts_.hello, [this] { return RemainingMs(); }, parts_.rng),
      rungs_(session_) {}

Status Agent::Run() {
  CANOPY_ASSIGN_OR_RETURN(const std::vector<v1::Outcome> unsent, parts_.spool.Waiting());
  if (!unsent.empty()) {
    const v1::Outcome& newest = unsent.back();
    session_.AssumeDatabase({.id = newest.database_id(), .incarnation = newest.incarnation()});
    for (const v1::Outcome& outcome : unsent)
      if (outcome.database_id() == newest.database_id()) attempts_.AddEnded(outcome);
  }
  std::vector<std::thread> slots;
  for (int64_t slot = 0; slot < parts_.hello.worker().slots(); ++slot)
    slots.emplace_back([this, slot] { ServeSlot(slot); });
  std::thread in_time([this] { StopInTime(); });
  std::thread rungs([this] { rungs_.Run(); });
  const Status ended = session_.KeepContact(
      [this](const ControllerSession::Database& database) { return UseDatabase(database); });
  Stop();
  for (std::thread& slot : slots) slot.join();
  in_time.join();
  rungs_.Stop();
  rungs.join();
  session_.SayGoodbye(kLastWordsMs);
  return ended;
}

Status Agent::UseDatabase(const ControllerSession::Database& database) {
  bool other = false;
  {
    // From here on, Settle offers again what an earlier state of the database has taken.
    const MutexLock lock(mutex_);
    other = taken_database_id_ != database.id;
    used_incarnation_ = database.incarnation;
    used_database_id_ = database.id;
  }
  std::vector<v1::Outcome> waiting;
  if (other) {
    CANOPY_ASSIGN_OR_RETURN(waiting, parts_.spool.Take(database.id));
  }
  CANOPY_ASSIGN_OR_RETURN(const std::vector<v1::Outcome> kept,
                          parts_.spool.KeptBefore(database.id, database.incarnation));
  if (!kept.empty())
    CANOPY_LOG(
        Info, "the database was restored to an older state: kept results are offered again",
        {{"results", std::to_string(kept.size())}, {"incarnation", std::to_string(database.incarnation)}});
  const MutexLock lock(mutex_);
  taken_database_id_ = database.id;
  if (other) {
    backlog_.assign(waiting.begin(), waiting.end());
    unanswered_.clear();
  }
  backlog_.insert(backlog_.end(), kept.begin(), kept.end());
  for (const v1::Outcome& outcome : backlog_) unanswered_.insert(outcome.result_id());
  return absl::OkStatus();
}

void Agent::Stop() {
  session_.Stop();
  attempts_.StopAll();
}

void Agent::StopAtOnce() {
  Stop();
  attempts_.HurryAll();
}

std::optional<int64_t> Agent::RemainingMs() const {
  if (!parts_.stop_at_ms) return std::nullopt;
  return std::max<int64_t>(0, *parts_.stop_at_ms - parts_.environment.clock.MonotonicMs());
}

void Agent::StopInTime() {
  while (const auto remaining_ms = RemainingMs()) {
    if (*remaining_ms == 0) {
      CANOPY_LOG(Info, "the agent's time is over: its trainers are stopped, their attempts handed back");
      return Stop();
    }
    if (!session_.Pause(std::min(*remaining_ms, kLongestSleepMs))) return;
  }
}

void Agent::ServeSlot(int64_t slot) {
  std::optional<v1::Outcome> outcome;
  while (auto lease = NextLease(slot, std::move(outcome))) outcome = RunLease(*lease);
}

std::optional<v1::Outcome> Agent::RunLease(const v1::Lease& lease) {
  const LogFields fields = {{"trial", lease.trial_name()},
                            {"attempt", std::to_string(lease.attempt_id())},
                            {"fence", std::to_string(lease.fence())}};
  CANOPY_LOG(Info, "attempt started: " + v1::Purpose_Name(lease.purpose()), fields);
  const std::shared_ptr<AttemptControl> control = attempts_.Add(lease);
  v1::Outcome outcome = RunAttempt(parts_.environment, lease, control, [&](v1::ReportRungRequest request) {
    request.set_worker_id(parts_.hello.worker().id());
    rungs_.Report(std::move(request), control);
  });
  if (outcome.has_failure()) {
    CANOPY_LOG(Warning,
               "attempt failed: " + v1::FailureClass_Name(outcome.failure().failure_class()) + ": " +
                   outcome.failure().message(),
               fields);
  } else {
    CANOPY_LOG(Info,
               outcome.has_result()   ? "attempt succeeded"
               : outcome.has_paused() ? "attempt paused"
                                      : "attempt stopped",
               fields);
  }
  if (!SpoolDurably(outcome)) return std::nullopt;
  if (lease.has_checkpoint() && !GoesOnThere(outcome))
    parts_.environment.state.DropCheckpoint(lease.checkpoint().path());
  return outcome;
}

bool Agent::SpoolDurably(const v1::Outcome& outcome) {
  Backoff backoff = session_.MakeBackoff(outcome.result_id());
  for (;;) {
    const Status stored = parts_.spool.Put(outcome);
    if (stored.ok()) return true;
    CANOPY_LOG(Error, "an attempt's outcome waits for its place on disk: " + Message(stored));
    if (!session_.Pause(backoff.NextDelayMs())) return false;
  }
}

std::optional<v1::Lease> Agent::NextLease(int64_t slot, std::optional<v1::Outcome> outcome) {
  Backoff backoff = session_.MakeBackoff("slot " + std::to_string(slot));
  for (;;) {
    session_.WaitForContact();
    if (outcome && KeepForeign(*outcome)) outcome.reset();
    if (!outcome) outcome = NextFromBacklog();
    if (session_.stopping()) {
      if (outcome) SendLast(slot, *outcome);
      return std::nullopt;
    }
    v1::ExchangeRequest request;
    request.set_worker_id(parts_.hello.worker().id());
    request.set_request_id(parts_.new_request_id());
    request.set_slot(slot);
    request.set_wants_lease(BacklogAnswered(outcome ? outcome->result_id() : ""));
    if (!outcome && !request.wants_lease()) {
      session_.Pause(kBacklogPollMs);
      continue;
    }
    if (outcome) {
      *request.mutable_outcome() = *outcome;
    } else {
      request.set_wait_ms(kLongPollMs);
    }
    const int64_t asked_ms = parts_.environment.clock.MonotonicMs();
    const auto reply = session_.Exchange(request);
    if (!reply.ok()) {
      if (absl::IsCancelled(reply.status())) continue;  // the agent ends, or the database is another
      CANOPY_LOG(Error, "the controller refuses a request: " + Message(reply.status()));
      if (outcome && absl::IsInvalidArgument(reply.status())) {
        Refuse(*outcome, reply.status());
        outcome.reset();
      } else {
        session_.LoseContact(reply.status());  // about this worker, not about what it reports
      }
      session_.Pause(backoff.NextDelayMs());
      continue;
    }
    if (outcome) Settle(*outcome, *reply);
    if (reply->has_lease()) return reply->lease();
    // A controller that does not let us wait is not asked without end.
    const bool waited = parts_.environment.clock.MonotonicMs() - asked_ms >= kLongPollMs / 2;
    if (waited || outcome) {
      backoff.Reset();
    } else {
      session_.Pause(backoff.NextDelayMs());
    }
    outcome.reset();
  }
}

void Agent::SendLast(int64_t slot, const v1::Outcome& outcome) {
  v1::ExchangeRequest request;
  request.set_worker_id(parts_.hello.worker().id());
  request.set_request_id(parts_.new_request_id());
  request.set_slot(slot);
  *request.mutable_outcome() = outcome;
  const auto reply = session_.ExchangeOnce(request, kLastWordsMs);
  if (reply.ok()) {
    Settle(outcome, *reply);
  } else {
    CANOPY_LOG(Warning,
               "an outcome stays in the spool until the agent starts again: " + Message(reply.status()),
               {{"attempt", std::to_string(outcome.attempt_id())}});
  }
}

void Agent::Settle(const v1::Outcome& outcome, const v1::ExchangeReply& reply) {
  const v1::OutcomeVerdict verdict = reply.verdict();
  if (verdict == v1::OUTCOME_VERDICT_UNSPECIFIED)
    return Refuse(outcome, Internal("the controller's verdict is one that this agent does not know"));
  if (verdict == v1::OUTCOME_VERDICT_ARCHIVED) {
    CANOPY_LOG(Warning, "an outcome came too late and was archived",
               {{"attempt", std::to_string(outcome.attempt_id())}});
    if (const v1::Checkpoint* const checkpoint = CheckpointOf(outcome))
      parts_.environment.state.DropCheckpoint(checkpoint->path());
  }
  CANOPY_LOG(Debug, "an outcome was acknowledged",
             {{"result_id", outcome.result_id()}, {"verdict", v1::OutcomeVerdict_Name(verdict)}});
  // What an older controller does not say: it is the outcome's own state of the database that has it.
  const int64_t incarnation = reply.incarnation() != 0 ? reply.incarnation() : outcome.incarnation();
  const Status settled = outcome.has_result() ? parts_.spool.Keep(outcome, incarnation)
                                              : parts_.spool.Remove(outcome.result_id());
  if (!settled.ok())
    CANOPY_LOG(Warning,
               "an acknowledged outcome stays in the spool and will be sent again: " + Message(settled));
  if (++kept_ % kKeptBetweenPrunes == 0) parts_.spool.PruneKept();
  SetAnswered(outcome);
  const MutexLock lock(mutex_);
  if (!outcome.has_result() || outcome.database_id() != used_database_id_ || incarnation >= used_incarnation_)
    return;
  backlog_.push_back(outcome);
  unanswered_.insert(outcome.result_id());
}

void Agent::Refuse(const v1::Outcome& outcome, const Status& why) {
  const Status moved = parts_.spool.SetRefused(outcome.result_id());
  CANOPY_LOG(
      Error, "an outcome was refused and is kept in the spool's refused/: " + Message(why),
      {{"attempt", std::to_string(outcome.attempt_id())}, {"moved", moved.ok() ? "yes" : Message(moved)}});
  SetAnswered(outcome);
}

// True where the outcome belongs to another database than the one in use: it waits for its own.
bool Agent::KeepForeign(const v1::Outcome& outcome) {
  const auto database = session_.database();
  if (database.id.empty() || outcome.database_id() == database.id) return false;
  (void)parts_.spool.SetForeign(outcome.result_id());  // may be there already
  SetAnswered(outcome);
  return true;
}

std::optional<v1::Outcome> Agent::NextFromBacklog() {
  const MutexLock lock(mutex_);
  if (backlog_.empty()) return std::nullopt;
  v1::Outcome outcome = std::move(backlog_.front());
  backlog_.pop_front();
  return outcome;
}

bool Agent::BacklogAnswered(const std::string& but_this) const {
  const MutexLock lock(mutex_);
  return unanswered_.size() == unanswered_.count(but_this);
}

void Agent::SetAnswered(const v1::Outcome& outcome) {
  attempts_.Remove(outcome.attempt_id());
  const MutexLock lock(mutex_);
  unanswered_.erase(outcome.result_id());
}

}  // namespace canopy::agent
