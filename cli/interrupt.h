#pragma once

#include <cstdint>

namespace canopy::cli {

// Takes SIGINT and SIGTERM from now on: the first only raises a flag, a second ends the process at once.
// One object at a time; restores the earlier actions.
class InterruptGuard {
 public:
  InterruptGuard();
  ~InterruptGuard();
  InterruptGuard(const InterruptGuard&) = delete;
  InterruptGuard& operator=(const InterruptGuard&) = delete;

  static bool Raised();
  // Returns early, with true, where the flag is or gets raised.
  static bool SleepFor(int64_t ms);
};

}  // namespace canopy::cli
