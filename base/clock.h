#pragma once

#include <cstdint>
#include <optional>
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
// "2026-03-01T12:34:56Z" or with the zone's offset, "2026-03-01T13:34:56+01:00" (RFC 3339); nullopt for
// others, those without a zone among them.
std::optional<int64_t> ParseWallUs(const std::string& text);

}  // namespace canopy
