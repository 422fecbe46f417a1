#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

namespace canopy {

enum class LogLevel { kDebug, kInfo, kWarning, kError };

// A log line's named values: campaign, trial, attempt, fence, worker, request_id, ...
using LogFields = std::initializer_list<std::pair<std::string_view, std::string>>;

struct LogOptions {
  LogLevel level = LogLevel::kInfo;
  // Rotated at 32 MiB, 5 files kept; empty: stderr, as text on a terminal and JSON lines otherwise.
  std::string path;
};

// Called once from main, before threads start; without it lines go to stderr.
void InitLogging(const LogOptions& options);
// One line with UTC RFC 3339 time, level, message and fields. Thread-safe; never throws. Callers pass no
// token or key.
void Log(LogLevel level, std::string_view message, LogFields fields = {});

}  // namespace canopy

#define CANOPY_LOG(level, ...) ::canopy::Log(::canopy::LogLevel::k##level, __VA_ARGS__)
