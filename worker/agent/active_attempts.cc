#include "worker/agent/active_attempts.h"

#include <utility>

namespace canopy::agent {

std::shared_ptr<AttemptControl> ActiveAttempts::Add(const v1::Lease& lease) {
  auto control = std::make_shared<AttemptControl>(lease);
  const MutexLock lock(mutex_);
  if (stopping_) control->RequestStop(StopReason::kPreempted);
  attempts_[lease.attempt_id()] = {.fence = lease.fence(), .control = control};
  return control;
}

void ActiveAttempts::AddEnded(const v1::Outcome& outcome) {
  const MutexLock lock(mutex_);
  attempts_.emplace(outcome.attempt_id(), Entry{.fence = outcome.fence(), .control = nullptr});
}

void ActiveAttempts::Remove(int64_t attempt_id) {
  const MutexLock lock(mutex_);
  attempts_.erase(attempt_id);
}

void ActiveAttempts::Stop(int64_t attempt_id) {
  const MutexLock lock(mutex_);
  const auto found = attempts_.find(attempt_id);
  if (found != attempts_.end() && found->second.control)
    found->second.control->RequestStop(StopReason::kCancelled);
}

void ActiveAttempts::StopAll() {
  const MutexLock lock(mutex_);
  stopping_ = true;
  for (const auto& [id, entry] : attempts_)
    if (entry.control) entry.control->RequestStop(StopReason::kPreempted);
}

void ActiveAttempts::HurryAll() {
  const MutexLock lock(mutex_);
  for (const auto& [id, entry] : attempts_)
    if (entry.control) entry.control->Hurry();
}

std::vector<v1::LeaseClaim> ActiveAttempts::Claims() const {
  const MutexLock lock(mutex_);
  std::vector<v1::LeaseClaim> claims;
  for (const auto& [id, entry] : attempts_) {
    v1::LeaseClaim& claim = claims.emplace_back();
    claim.set_attempt_id(id);
    claim.set_fence(entry.fence);
  }
  return claims;
}

void ActiveAttempts::Report(v1::HeartbeatRequest& heartbeat) {
  const MutexLock lock(mutex_);
  for (const auto& [id, entry] : attempts_) {
    if (!entry.control) continue;
    *heartbeat.add_attempts() = entry.control->progress();
    for (v1::Measurement& measurement : entry.control->TakeMeasurements())
      *heartbeat.add_measurements() = std::move(measurement);
  }
}

}  // namespace canopy::agent
