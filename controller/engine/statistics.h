#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "base/mutex.h"

namespace canopy::engine {

// What /metrics shows of the engine.
struct Statistics {
  // Upper bounds of the buckets, in seconds; a last one takes the rest.
  static constexpr std::array<double, 8> kBucketBounds = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 2.5};

  int64_t queued = 0, events = 0, commits = 0;
  std::array<int64_t, kBucketBounds.size() + 1> commit_latency{};  // counts, one bucket each
  double commit_seconds = 0;                                       // their sum
  int64_t wal_bytes = 0;
  std::string held_back;  // why no work is given out
  bool disk_low = false;  // new work is refused for it
};

// Counts batches. Thread-safe.
class StatisticsRecorder {
 public:
  void RecordCommit(int64_t events, double seconds) CANOPY_EXCLUDES(mutex_);
  void RecordWal(int64_t bytes, const std::string& held_back) CANOPY_EXCLUDES(mutex_);
  Statistics Read() const CANOPY_EXCLUDES(mutex_);

 private:
  mutable Mutex mutex_;
  Statistics statistics_ CANOPY_GUARDED_BY(mutex_);
};

}  // namespace canopy::engine
