#include "base/log.h"

#include <spdlog/sinks/rotating_file_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <memory>
#include <nlohmann/json.hpp>

#include "base/clock.h"

namespace canopy {
namespace {

struct Logger {
  std::shared_ptr<spdlog::logger> sink;
  bool json = true;
};

Logger& Current() {
  static Logger logger = [] {
    auto sink = std::make_shared<spdlog::sinks::stderr_sink_mt>();
    Logger made{std::make_shared<spdlog::logger>("canopy", sink), ::isatty(STDERR_FILENO) == 0};
    made.sink->set_pattern("%v");
    return made;
  }();
  return logger;
}

spdlog::level::level_enum ToSpdlog(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return spdlog::level::debug;
    case LogLevel::kInfo:
      return spdlog::level::info;
    case LogLevel::kWarning:
      return spdlog::level::warn;
    case LogLevel::kError:
      return spdlog::level::err;
  }
  return spdlog::level::info;
}

const char* Name(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return "debug";
    case LogLevel::kInfo:
      return "info";
    case LogLevel::kWarning:
      return "warning";
    case LogLevel::kError:
      return "error";
  }
  return "info";
}

}  // namespace

void InitLogging(const LogOptions& options) {
  Logger& logger = Current();
  if (!options.path.empty()) {
    auto sink = std::make_shared<spdlog::sinks::rotating_file_sink_mt>(options.path, 32u << 20, 5);
    logger = {std::make_shared<spdlog::logger>("canopy", sink), true};
    logger.sink->set_pattern("%v");
    logger.sink->flush_on(spdlog::level::info);
  }
  logger.sink->set_level(ToSpdlog(options.level));
}

void Log(LogLevel level, std::string_view message, LogFields fields) {
  const Logger& logger = Current();
  if (!logger.sink->should_log(ToSpdlog(level))) return;
  const std::string now = FormatWallUs(SystemClock().WallUs());
  std::string line;
  if (logger.json) {
    nlohmann::ordered_json object = {{"time", now}, {"level", Name(level)}, {"message", message}};
    for (const auto& [key, value] : fields) object[std::string(key)] = value;
    line = object.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  } else {
    line = now.substr(11, 8) + " " + Name(level) + " " + std::string(message);
    for (const auto& [key, value] : fields) line += " " + std::string(key) + "=" + value;
  }
  logger.sink->log(ToSpdlog(level), "{}", line);
}

}  // namespace canopy
