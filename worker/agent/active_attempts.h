#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "base/mutex.h"
#include "canopy/v1/worker_service.pb.h"
#include "worker/agent/attempt_control.h"

namespace canopy::agent {

// The attempts whose leases this agent holds: from the lease to the acknowledged outcome. Thread-safe.
class ActiveAttempts {
 public:
  // Stops it at once after StopAll.
  std::shared_ptr<AttemptControl> Add(const v1::Lease& lease);
  // An outcome that a former process of this agent left unsent holds its lease too.
  void AddEnded(const v1::Outcome& outcome);
  void Remove(int64_t attempt_id);

  void Stop(int64_t attempt_id);
  // These and all that come later are preempted.
  void StopAll();
  // They wait for no checkpoint any more.
  void HurryAll();

  std::vector<v1::LeaseClaim> Claims() const;
  // Progress of all, and measurements not reported before.
  void Report(v1::HeartbeatRequest& heartbeat);

 private:
  struct Entry {
    int64_t fence = 0;
    std::shared_ptr<AttemptControl> control;  // nullptr: ended before this process began
  };

  mutable Mutex mutex_;
  std::map<int64_t, Entry> attempts_ CANOPY_GUARDED_BY(mutex_);
  bool stopping_ CANOPY_GUARDED_BY(mutex_) = false;
};

}  // namespace canopy::agent
