#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "CLI/CLI.hpp"
#include "base/strings.h"
#include "cli/nouns.h"
#include "cli/server_process.h"
#include "controller/service/controller_main.h"

namespace canopy::cli {
namespace {

struct StartOptions {
  ServerOptions server;
  bool no_leases = false;
};

StatusOr<std::map<std::string, int64_t>> ReadShares(const config::Settings& settings) {
  constexpr int64_t kMost = 1'000;
  std::map<std::string, int64_t> shares;
  const config::Setting& setting = settings.Find("project_shares");
  if (setting.value.empty()) return shares;
  for (const std::string& part : Split(setting.value, ',')) {
    const size_t equals = part.find('=');
    const auto share = equals == std::string::npos ? std::nullopt : ParseInt(part.substr(equals + 1));
    if (!share || *share < 1 || *share > kMost || !IsResourceName(part.substr(0, equals)))
      return InvalidArgument(setting.origin +
                             ": project_shares: expected project=1 to project=1000, found '" + part + "'");
    shares[part.substr(0, equals)] = *share;
  }
  return shares;
}

Status Start(const Context& context, const StartOptions& start) {
  CANOPY_ASSIGN_OR_RETURN(const config::Settings settings, LoadSettings(context));
  controller::ControllerOptions options;
  options.state_dir = StateDirectory(settings, "controller");
  options.listen = settings.Get("listen");
  options.credentials_dir = settings.Get("credentials");
  CANOPY_ASSIGN_OR_RETURN(options.http_port, settings.GetInt("http_port", 0));
  CANOPY_ASSIGN_OR_RETURN(const int64_t lease_ttl_s, settings.GetInt("lease_ttl", 2));
  if (lease_ttl_s > 86'400) {
    return InvalidArgument(settings.Find("lease_ttl").origin + ": lease_ttl: expected at most 86400 seconds");
  }
  options.lease_ttl_ms = lease_ttl_s * 1000;
  CANOPY_ASSIGN_OR_RETURN(options.project_shares, ReadShares(settings));
  CANOPY_ASSIGN_OR_RETURN(options.backup_interval_ms, settings.GetDurationMs("backup_interval"));
  CANOPY_ASSIGN_OR_RETURN(options.backup_keep, settings.GetInt("backup_keep", 1));
  options.grant_leases = !start.no_leases;
  CANOPY_RETURN_IF_ERROR(PrepareServer(settings, start.server));
  return ServerEnded(controller::RunController(options), start.server);
}

}  // namespace

void AddController(CLI::App& app, Context& context) {
  CLI::App* noun =
      AddNoun(app, "controller", "Start the controller, which holds the database and grants leases");
  auto options = std::make_shared<StartOptions>();
  CLI::App* start = AddVerb(*noun, context, "start", "Serve until it is stopped",
                            "canopy controller start --listen 0.0.0.0:7443 --credentials ~/canopy-cluster",
                            [&context, options] { return Start(context, *options); });
  for (const char* setting : {"state_dir", "listen", "credentials", "http_port", "lease_ttl",
                              "project_shares", "backup_interval", "backup_keep", "log_level"}) {
    AddSetting(start, context, setting);
  }
  start->add_flag("--no-leases", options->no_leases, "answer people, grant workers nothing");
  AddServerOptions(start, options->server);
}

}  // namespace canopy::cli
