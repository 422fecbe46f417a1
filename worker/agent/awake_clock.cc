#include "worker/agent/awake_clock.h"

#include <time.h>

namespace canopy::agent {

int64_t AwakeClock::MonotonicMs() const {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return int64_t{now.tv_sec} * 1000 + now.tv_nsec / 1'000'000;
}

int64_t AwakeClock::WallUs() const { return SystemClock().WallUs(); }

}  // namespace canopy::agent
