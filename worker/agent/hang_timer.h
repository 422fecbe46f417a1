#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace canopy::agent {

// Decides whether a trainer that still runs makes no progress: no new step within max(minimum, 10 x the
// median time of a step). Times are those in which the trainer was not stopped by a measurement, in
// milliseconds of any one clock. Not thread-safe.
class HangTimer {
 public:
  HangTimer(int64_t minimum_ms, int64_t now_ms) : minimum_ms_(minimum_ms), last_ms_(now_ms) {}

  // The trainer has begun its work.
  void Started(int64_t now_ms) { last_ms_ = now_ms; }
  // It is at `step`; only a new one is progress.
  void AtStep(int64_t step, int64_t now_ms);
  int64_t LimitMs() const;
  // When it hangs, unless a new step comes before.
  int64_t DeadlineMs() const { return last_ms_ + LimitMs(); }

 private:
  int64_t minimum_ms_;
  int64_t last_ms_;
  int64_t last_step_ = 0;
  std::vector<double> step_ms_;  // the latest samples
  size_t next_sample_ = 0;
};

}  // namespace canopy::agent
