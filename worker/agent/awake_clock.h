#pragma once

#include "base/clock.h"

namespace canopy::agent {

// Monotonic time that stands still while the host is suspended (CLOCK_MONOTONIC): a trainer computed
// nothing meanwhile, hangs no more than before and costs nothing.
class AwakeClock final : public Clock {
 public:
  int64_t MonotonicMs() const override;
  int64_t WallUs() const override;
};

}  // namespace canopy::agent
