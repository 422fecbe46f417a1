#include <memory>
#include <string>

#include "CLI/CLI.hpp"
#include "cli/nouns.h"
#include "cli/server_process.h"
#include "controller/service/controller_main.h"

namespace canopy::cli {
namespace {

struct StartOptions {
  ServerOptions server;
  bool no_leases = false;
};

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
  for (const char* setting : {"state_dir", "listen", "credentials", "http_port", "lease_ttl", "log_level"}) {
    AddSetting(start, context, setting);
  }
  start->add_flag("--no-leases", options->no_leases, "answer people, grant workers nothing");
  AddServerOptions(start, options->server);
}

}  // namespace canopy::cli
