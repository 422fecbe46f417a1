#pragma once

#include <algorithm>
#include <cstdint>
#include <utility>

#include "base/random.h"

namespace canopy::agent {

// Delays between attempts to reach the controller: doubling from `first_ms` to `limit_ms`, each drawn from
// the upper half of its range so that agents that lost one controller do not come back all at once.
class Backoff {
 public:
  Backoff(Rng rng, int64_t first_ms, int64_t limit_ms)
      : rng_(std::move(rng)), first_ms_(first_ms), limit_ms_(limit_ms), next_ms_(first_ms) {}

  // At most `at_most_ms`, drawn no less.
  int64_t NextDelayMs(int64_t at_most_ms = INT64_MAX) {
    const int64_t longest_ms = std::min(next_ms_, at_most_ms);
    const int64_t delay_ms = rng_.Int(longest_ms / 2, longest_ms);
    next_ms_ = std::min(limit_ms_, next_ms_ * 2);
    return delay_ms;
  }
  void Reset() { next_ms_ = first_ms_; }

 private:
  Rng rng_;
  int64_t first_ms_;
  int64_t limit_ms_;
  int64_t next_ms_;
};

}  // namespace canopy::agent
