#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "canopy/v1/worker_service.pb.h"
#include "worker/agent/trainer_launcher.h"

namespace canopy::agent {

// Why an attempt is to end before its trainer is done.
enum class StopReason { kNone, kCancelled, kPreempted };

// What the threads of an agent share about one attempt: what is asked of it, how its process ended, how
// far it is. Thread-safe.
class AttemptControl {
 public:
  explicit AttemptControl(const v1::Lease& lease);
  ~AttemptControl();
  AttemptControl(const AttemptControl&) = delete;
  AttemptControl& operator=(const AttemptControl&) = delete;

  int64_t attempt_id() const { return attempt_id_; }
  int64_t fence() const { return fence_; }

  // The first reason stays.
  void RequestStop(StopReason reason);
  StopReason stop_reason() const;
  // There is no time for a checkpoint any more.
  void Hurry();
  bool hurried() const;
  // The controller's decision at a rung, for the attempt's own thread.
  struct RungAnswer {
    int64_t rung = 0;
    v1::RungAction action = v1::RUNG_ACTION_CONTINUE;
  };
  void SetRungAnswer(const RungAnswer& answer);
  std::vector<RungAnswer> TakeRungAnswers();
  void SetExit(const TrainerExit& exit);
  std::optional<TrainerExit> exit() const;
  // Readable after RequestStop, Hurry, SetRungAnswer and SetExit, until ClearWake.
  int wake_descriptor() const { return wake_; }
  void ClearWake();

  void SetTotalSteps(int64_t total_steps);
  // Also sets the progress. The oldest is dropped where too many wait to be sent.
  void AddMeasurement(v1::Measurement measurement);
  v1::AttemptProgress progress() const;
  std::vector<v1::Measurement> TakeMeasurements();

 private:
  void Wake() const;

  const int64_t attempt_id_;
  const int64_t fence_;
  const int wake_;
  mutable Mutex mutex_;
  StopReason stop_reason_ CANOPY_GUARDED_BY(mutex_) = StopReason::kNone;
  bool hurried_ CANOPY_GUARDED_BY(mutex_) = false;
  std::optional<TrainerExit> exit_ CANOPY_GUARDED_BY(mutex_);
  std::vector<RungAnswer> rung_answers_ CANOPY_GUARDED_BY(mutex_);
  int64_t step_ CANOPY_GUARDED_BY(mutex_) = 0;
  int64_t total_steps_ CANOPY_GUARDED_BY(mutex_) = 0;
  std::vector<v1::Measurement> measurements_ CANOPY_GUARDED_BY(mutex_);
};

}  // namespace canopy::agent
