#include "worker/agent/attempt_control.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <utility>

#include "base/check.h"

namespace canopy::agent {
namespace {

// With a measurement every two seconds: half an hour without a controller.
constexpr size_t kMaxMeasurements = 1000;

}  // namespace

AttemptControl::AttemptControl(const v1::Lease& lease)
    : attempt_id_(lease.attempt_id()),
      fence_(lease.fence()),
      wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  CANOPY_CHECK(wake_ >= 0, "eventfd: too many open files");
}

AttemptControl::~AttemptControl() { ::close(wake_); }

void AttemptControl::Wake() const {
  const uint64_t one = 1;
  (void)!::write(wake_, &one, sizeof one);
}

void AttemptControl::ClearWake() {
  uint64_t count = 0;
  (void)!::read(wake_, &count, sizeof count);
}

void AttemptControl::RequestStop(StopReason reason) {
  {
    const MutexLock lock(mutex_);
    if (stop_reason_ == StopReason::kNone) stop_reason_ = reason;
  }
  Wake();
}

StopReason AttemptControl::stop_reason() const {
  const MutexLock lock(mutex_);
  return stop_reason_;
}

void AttemptControl::Hurry() {
  {
    const MutexLock lock(mutex_);
    hurried_ = true;
  }
  Wake();
}

bool AttemptControl::hurried() const {
  const MutexLock lock(mutex_);
  return hurried_;
}

void AttemptControl::SetRungAnswer(const RungAnswer& answer) {
  {
    const MutexLock lock(mutex_);
    rung_answers_.push_back(answer);
  }
  Wake();
}

std::vector<AttemptControl::RungAnswer> AttemptControl::TakeRungAnswers() {
  const MutexLock lock(mutex_);
  return std::exchange(rung_answers_, {});
}

void AttemptControl::SetExit(const TrainerExit& exit) {
  {
    const MutexLock lock(mutex_);
    exit_ = exit;
  }
  Wake();
}

std::optional<TrainerExit> AttemptControl::exit() const {
  const MutexLock lock(mutex_);
  return exit_;
}

void AttemptControl::SetTotalSteps(int64_t total_steps) {
  const MutexLock lock(mutex_);
  total_steps_ = total_steps;
}

void AttemptControl::AddMeasurement(v1::Measurement measurement) {
  const MutexLock lock(mutex_);
  step_ = measurement.step();
  if (measurements_.size() == kMaxMeasurements) measurements_.erase(measurements_.begin());
  measurements_.push_back(std::move(measurement));
}

v1::AttemptProgress AttemptControl::progress() const {
  const MutexLock lock(mutex_);
  v1::AttemptProgress progress;
  progress.set_attempt_id(attempt_id_);
  progress.set_fence(fence_);
  progress.set_step(step_);
  progress.set_total_steps(total_steps_);
  return progress;
}

std::vector<v1::Measurement> AttemptControl::TakeMeasurements() {
  const MutexLock lock(mutex_);
  return std::exchange(measurements_, {});
}

}  // namespace canopy::agent
