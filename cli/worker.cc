#include <iostream>
#include <memory>
#include <string>

#include "CLI/CLI.hpp"
#include "base/strings.h"
#include "cli/connection.h"
#include "cli/dataset_folders.h"
#include "cli/nouns.h"
#include "cli/server_process.h"
#include "cli/table.h"
#include "rpc/channel.h"
#include "worker/agent/agent_main.h"

namespace canopy::cli {
namespace {

std::string DatasetNames(const v1::WorkerInfo& worker) {
  std::vector<std::string> names;
  for (const v1::DatasetOnWorker& dataset : worker.datasets()) names.push_back(dataset.name());
  return Join(names, " ");
}

Status List(const Context& context, Format format) {
  CANOPY_ASSIGN_OR_RETURN(const config::Settings settings, LoadSettings(context));
  CANOPY_ASSIGN_OR_RETURN(const auto connection,
                          Connection::Open(context, settings, Connection::Missing::kRefuse));
  CANOPY_ASSIGN_OR_RETURN(const v1::ListWorkersReply reply, connection->client().ListWorkers());
  Table table({{"worker"},
               {"host"},
               {"connected"},
               {"slots", Display::kCount},
               {"running", Display::kCount},
               {"device"},
               {"memory_bytes", Display::kCount},
               {"numeric_modes"},
               {"libtorch"},
               {"operators"},
               {"datasets"},
               {"last_seen", Display::kTime}});
  for (const v1::WorkerStatus& status : reply.workers()) {
    const v1::WorkerInfo& worker = status.worker();
    table.AddRow(
        {worker.id(), worker.host(), std::string(status.connected() ? "yes" : "no"), worker.slots(),
         status.running_attempts(), worker.device_kind() + " " + worker.device_model(), worker.memory_bytes(),
         Join(std::vector<std::string>(worker.numeric_modes().begin(), worker.numeric_modes().end()), " "),
         worker.libtorch_version(),
         Join(std::vector<std::string>(worker.operators().begin(), worker.operators().end()), " "),
         DatasetNames(worker), status.last_seen_us()});
  }
  table.Print(std::cout, format, TerminalWidth(1));
  return {};
}

Status Start(const Context& context, const ServerOptions& server) {
  CANOPY_ASSIGN_OR_RETURN(const config::Settings settings, LoadSettings(context));
  agent::AgentOptions options;
  options.state_dir = StateDirectory(settings, "agent");
  options.controller = settings.Get("controller");
  if (options.controller.empty()) {
    CANOPY_ASSIGN_OR_RETURN(options.controller, rpc::UnixTarget(LocalSocket(settings)));
  }
  options.credentials_dir = settings.Get("credentials");
  CANOPY_ASSIGN_OR_RETURN(options.slots, settings.GetInt("slots", 0));
  CANOPY_ASSIGN_OR_RETURN(options.datasets, ReadDatasetFolders(settings.Get("data")));
  options.trainer = settings.Get("trainer");
  options.operator_libraries = settings.Get("operator_libraries");
  CANOPY_RETURN_IF_ERROR(PrepareServer(settings, server));
  return ServerEnded(agent::RunAgent(options), server);
}

}  // namespace

void AddWorker(CLI::App& app, Context& context) {
  CLI::App* noun = AddNoun(app, "worker", "Start an agent on this machine, list the workers");
  auto server = std::make_shared<ServerOptions>();
  CLI::App* start = AddVerb(*noun, context, "start", "Train candidates on this machine until it is stopped",
                            "canopy worker start --controller host:7443 --credentials ~/worker --slots 4",
                            [&context, server] { return Start(context, *server); });
  AddConnectionSettings(start, context);
  for (const char* setting : {"slots", "trainer", "operator_libraries", "data", "log_level"})
    AddSetting(start, context, setting);
  AddServerOptions(start, *server);
  auto format = std::make_shared<Format>(Format::kTable);
  CLI::App* list = AddVerb(*noun, context, "list", "List the workers that the controller knows",
                           "canopy worker list", [&context, format] { return List(context, *format); });
  AddConnectionSettings(list, context);
  AddFormat(list, *format);
}

}  // namespace canopy::cli
