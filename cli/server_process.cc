#include "cli/server_process.h"

#include <filesystem>
#include <map>

#include "CLI/CLI.hpp"
#include "base/file.h"
#include "base/log.h"
#include "cli/child_process.h"

namespace canopy::cli {

void AddServerOptions(CLI::App* verb, ServerOptions& options) {
  verb->add_option("--log-file", options.log_file, "write the log there, rotated (default: standard error)");
  verb->add_option("--parent", options.parent)->group("");
}

Status PrepareServer(const config::Settings& settings, const ServerOptions& options) {
  static const std::map<std::string, LogLevel> kLevels = {{"debug", LogLevel::kDebug},
                                                          {"info", LogLevel::kInfo},
                                                          {"warning", LogLevel::kWarning},
                                                          {"error", LogLevel::kError}};
  const config::Setting& name = settings.Find("log_level");
  const auto level = kLevels.find(name.value);
  if (level == kLevels.end()) {
    return InvalidArgument(name.origin + ": log_level: expected debug, info, warning or error, found '" +
                           name.value + "'");
  }
  if (!options.log_file.empty()) {
    CANOPY_RETURN_IF_ERROR(MakeDirectories(std::filesystem::absolute(options.log_file).parent_path(), 0700));
  }
  InitLogging({level->second, options.log_file});
  if (options.parent > 0) return EndWithParent(options.parent);
  return {};
}

Status ServerEnded(int status, const ServerOptions& options) {
  if (status == 0) return {};
  return FailedPrecondition(options.log_file.empty() ? "ended after the error above"
                                                     : "ended after an error; its log: " + options.log_file);
}

}  // namespace canopy::cli
