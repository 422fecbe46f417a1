#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include "base/clock.h"
#include "base/mutex.h"
#include "base/status.h"

namespace canopy::agent {

// The host-wide measurement lock: while somebody measures latency, no trainer of any agent of this host
// computes. Two files of a folder that all agents share are locked with flock, which ends with its process:
//   measure.lock   a measurer holds it exclusively, from its wish to the end of its measurement
//   running.lock   an agent holds it shared while trainers of its run; a measurer exclusively
// An agent that finds measure.lock taken stops its trainers and lets go of running.lock until it is free.

// The folder in which the agents of one user meet; made where it is missing. FailedPrecondition where it
// is not that user's own.
StatusOr<std::string> DefaultLockFolder();

// A descriptor with a lock, let go at destruction.
class HeldLock {
 public:
  HeldLock() = default;
  explicit HeldLock(int fd) : fd_(fd) {}
  HeldLock(HeldLock&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  HeldLock& operator=(HeldLock&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~HeldLock();
  bool held() const { return fd_ >= 0; }

 private:
  int fd_ = -1;
};

struct MeasurementLock {
  HeldLock measure, running;
};

// Waits its turn until no other trainer runs on this host. Cancelled once `cancelled` is true. Blocks.
StatusOr<MeasurementLock> AcquireMeasurementLock(const std::string& folder,
                                                 const std::function<bool()>& cancelled);

// One agent's running trainers, stopped while somebody measures. Thread-safe.
class RunningTrainers {
 public:
  // What a measurement stops and lets go on. Called from another thread, never both at once. `stop` blocks
  // until the trainer computes no more, for a few seconds at most; where it is false, the measurement waits
  // and it is called again.
  struct Switch {
    std::function<bool()> stop;
    std::function<void()> resume;
  };

  RunningTrainers(std::string lock_folder, const Clock& clock);
  ~RunningTrainers();

  // Waits until nobody measures, then counts the trainer as running until Leave. It is not stopped before
  // SetSwitch says how. Cancelled once `cancelled` is true.
  Status Enter(int64_t attempt_id, const std::function<bool()>& cancelled);
  void SetSwitch(int64_t attempt_id, Switch control);
  // Returns once no Switch of that trainer is being called.
  void Leave(int64_t attempt_id);

  // Time for which the trainer was stopped, so far.
  int64_t PausedMs(int64_t attempt_id) const;
  bool paused() const;

 private:
  static constexpr int64_t kNone = -1;

  struct Trainer {
    Switch control;
    bool has_switch = false;
    bool stopped = false;
    int64_t stopped_since_ms = 0;
    int64_t paused_ms = 0;  // before that
  };

  void Watch();
  StatusOr<bool> SomebodyMeasures() const;
  // Stops all trainers that can be stopped, or lets all go on.
  void SwitchAll(bool stop);
  // The next trainer behind `after` that is to be switched; it doesn't leave before EndSwitch.
  std::optional<std::pair<int64_t, Switch>> BeginSwitch(int64_t after, bool stop);
  void EndSwitch(int64_t attempt_id, bool stop, bool done);

  const std::string folder_;
  const Clock& clock_;
  mutable Mutex mutex_;
  CondVar changed_;
  std::map<int64_t, Trainer> trainers_ CANOPY_GUARDED_BY(mutex_);
  HeldLock running_ CANOPY_GUARDED_BY(mutex_);
  int64_t switched_ CANOPY_GUARDED_BY(mutex_) = kNone;  // the trainer whose Switch is being called
  bool measuring_ CANOPY_GUARDED_BY(mutex_) = false;    // somebody wants to, or does
  bool paused_ CANOPY_GUARDED_BY(mutex_) = false;       // all are stopped, and running_ is let go
  bool ending_ CANOPY_GUARDED_BY(mutex_) = false;
  std::thread watcher_;
};

}  // namespace canopy::agent
