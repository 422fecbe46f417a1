#include "base/clock.h"

#include <cstdio>
#include <ctime>
#include <string_view>

namespace canopy {

int64_t SystemClock::MonotonicMs() const {
  timespec now{};
  clock_gettime(CLOCK_BOOTTIME, &now);
  return int64_t{now.tv_sec} * 1000 + now.tv_nsec / 1'000'000;
}

int64_t SystemClock::WallUs() const {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  return int64_t{now.tv_sec} * 1'000'000 + now.tv_nsec / 1000;
}

std::string FormatWallUs(int64_t wall_us) {
  time_t seconds = wall_us / 1'000'000;
  int64_t micros = wall_us % 1'000'000;
  if (micros < 0) {
    micros += 1'000'000;
    --seconds;
  }
  tm utc{};
  gmtime_r(&seconds, &utc);
  char buffer[64];
  std::snprintf(buffer, sizeof buffer, "%04d-%02d-%02dT%02d:%02d:%02d.%06dZ", utc.tm_year + 1900,
                utc.tm_mon + 1, utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec, static_cast<int>(micros));
  return buffer;
}

std::optional<int64_t> ParseWallUs(const std::string& text) {
  tm utc{};
  const char* zone = strptime(text.c_str(), "%Y-%m-%dT%H:%M:%S", &utc);
  if (zone == nullptr) return std::nullopt;
  int64_t offset_minutes = 0;
  if (std::string_view(zone) != "Z") {
    int hours = 0, minutes = 0, length = 0;
    char sign = 0;
    if (std::sscanf(zone, "%c%2d:%2d%n", &sign, &hours, &minutes, &length) != 3 || zone[length] != '\0' ||
        length != 6 || (sign != '+' && sign != '-') || hours > 23 || minutes > 59)
      return std::nullopt;
    offset_minutes = (sign == '+' ? 1 : -1) * (hours * 60 + minutes);
  }
  return (int64_t{timegm(&utc)} - offset_minutes * 60) * 1'000'000;
}

}  // namespace canopy
