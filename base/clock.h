#pragma once

#include <cstdint>
#include <string>

namespace canopy {

// Time as a constructor argument. Monotonic time (CLOCK_BOOTTIME, which counts suspend) drives leases
// and timeouts; wall time is for display and for budgets by date. Thread-safe.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual int64_t MonotonicMs() const = 0;
  // Microseconds since the Unix epoch, UTC.
  virtual int64_t WallUs() const = 0;
};

class SystemClock final : public Clock {
 public:
  int64_t MonotonicMs() const override;
  int64_t WallUs() const override;
};

// "2026-03-01T12:34:56.123456Z".
std::string FormatWallUs(int64_t wall_us);

}  // namespace canopy
