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

void StatisticsRecorder::RecordWal(int64_t bytes, const std::string& held_back) {
  MutexLock lock(mutex_);
  statistics_.wal_bytes = bytes;
  statistics_.held_back = held_back;
}

Statistics StatisticsRecorder::Read() const {
  MutexLock lock(mutex_);
  return statistics_;
}

}  // namespace canopy::engine
