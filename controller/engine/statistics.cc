#include "controller/engine/statistics.h"

#include <algorithm>
#include <cstddef>

namespace canopy::engine {

void StatisticsRecorder::RecordCommit(int64_t events, double seconds) {
  const auto& bounds = Statistics::kBucketBounds;
  const auto bucket =
      static_cast<size_t>(std::lower_bound(bounds.begin(), bounds.end(), seconds) - bounds.begin());
  MutexLock lock(mutex_);
  statistics_.events += events;
  ++statistics_.commits;
  ++statistics_.commit_latency[bucket];
  statistics_.commit_seconds += seconds;
}

Statistics StatisticsRecorder::Read() const {
  MutexLock lock(mutex_);
  return statistics_;
}

}  // namespace canopy::engine
