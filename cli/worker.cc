#include <algorithm>
#include <cstdlib>
#include <iostream>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "CLI/CLI.hpp"
#include "base/clock.h"
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

struct WorkerOptions {
  std::string worker, reason;
  bool undo = false;
  Format format = Format::kTable;
};

StatusOr<std::unique_ptr<Connection>> Connect(const Context& context) {
  CANOPY_ASSIGN_OR_RETURN(const config::Settings settings, LoadSettings(context));
  return Connection::Open(context, settings, Connection::Missing::kRefuse);
}

template <typename Texts>
std::string Joined(const Texts& texts) {
  return Join(std::vector<std::string>(texts.begin(), texts.end()), " ");
}

std::string LabelText(const v1::WorkerInfo& worker) {
  std::vector<std::string> labels;
  for (const auto& [name, value] :
       std::map<std::string, std::string>(worker.labels().begin(), worker.labels().end()))
    labels.push_back(name + "=" + value);
  return Join(labels, " ");
}

std::string StateName(v1::WorkerState state) {
  return v1::WorkerState_Name(state).substr(std::string("WORKER_STATE_").size());
}

Table WorkerTable(const v1::ListWorkersReply& reply) {
  Table table({{"worker"},
               {"host"},
               {"state"},
               {"connected"},
               {"slots", Display::kCount},
               {"running", Display::kCount},
               {"device"},
               {"memory_bytes", Display::kCount},
               {"numeric_modes"},
               {"libtorch"},
               {"operators"},
               {"datasets"},
               {"labels"},
               {"remaining", Display::kDuration},
               {"drained_because"},
               {"last_seen", Display::kTime}});
  for (const v1::WorkerStatus& status : reply.workers()) {
    const v1::WorkerInfo& worker = status.worker();
    table.AddRow({worker.id(), worker.host(), StateName(status.state()),
                  std::string(status.connected() ? "yes" : "no"), worker.slots(), status.running_attempts(),
                  worker.device_kind() + " " + worker.device_model(), worker.memory_bytes(),
                  Joined(worker.numeric_modes()), worker.libtorch_version(), Joined(worker.operators()),
                  DatasetNames(worker), LabelText(worker),
                  status.has_remaining_ms() ? Cell(status.remaining_ms()) : Cell(),
                  status.drains().empty() ? "" : status.drains(0).reason(), status.last_seen_us()});
  }
  return table;
}

Status List(const Context& context, Format format) {
  CANOPY_ASSIGN_OR_RETURN(const auto connection, Connect(context));
  CANOPY_ASSIGN_OR_RETURN(v1::ListWorkersReply reply, connection->client().ListWorkers());
  std::stable_sort(reply.mutable_workers()->begin(), reply.mutable_workers()->end(),
                   [](const v1::WorkerStatus& a, const v1::WorkerStatus& b) {
                     return a.last_seen_us() > b.last_seen_us();
                   });
  WorkerTable(reply).Print(std::cout, format, TerminalWidth(1));
  return {};
}

Status Show(const Context& context, const WorkerOptions& options) {
  CANOPY_ASSIGN_OR_RETURN(const auto connection, Connect(context));
  CANOPY_ASSIGN_OR_RETURN(const v1::ListWorkersReply reply, connection->client().ListWorkers(options.worker));
  const v1::WorkerStatus& status = reply.workers(0);
  if (options.format != Format::kTable) {
    WorkerTable(reply).Print(std::cout, options.format);
    return {};
  }
  const v1::WorkerInfo& worker = status.worker();
  PrintFields({{"worker", worker.id()},
               {"host", worker.host()},
               {"state", StateName(status.state())},
               {"last seen", FormatWallUs(status.last_seen_us())},
               {"first seen", FormatWallUs(status.first_seen_us())},
               {"ends in", status.has_remaining_ms() ? FormatDuration(status.remaining_ms()) : ""},
               {"slots", FormatCount(worker.slots())},
               {"cores", FormatCount(worker.cores())},
               {"memory", FormatCount(worker.memory_bytes()) + " bytes"},
               {"device", worker.device_kind() + " " + worker.device_model()},
               {"device UUID", worker.device_uuid()},
               {"numeric modes", Joined(worker.numeric_modes())},
               {"labels", LabelText(worker)},
               {"operators", Joined(worker.operators())},
               {"trainer", worker.trainer_build()},
               {"LibTorch", worker.libtorch_version()},
               {"build", worker.build()},
               {"failed here", Joined(status.blamed_trials())}});
  for (const v1::DatasetOnWorker& dataset : worker.datasets())
    PrintFields({{"dataset", dataset.name() + "  " + dataset.digest()}});
  for (const v1::Drain& drain : status.drains())
    PrintFields({{"drained", drain.scope() + " " + drain.name() + " since " + FormatWallUs(drain.since_us()) +
                                 " by " + drain.principal() + ": " + drain.reason()}});
  if (status.running().empty()) return {};
  Table table({{"attempt", Display::kNumber},
               {"fence", Display::kNumber},
               {"trial"},
               {"step", Display::kCount},
               {"of", Display::kCount}});
  for (const v1::RunningAttempt& attempt : status.running())
    table.AddRow(
        {attempt.attempt_id(), attempt.fence(), attempt.trial(), attempt.step(), attempt.total_steps()});
  std::cout << "\nRunning\n";
  table.Print(std::cout, Format::kTable, TerminalWidth(1));
  return {};
}

Status Drain(const Context& context, const WorkerOptions& options) {
  CANOPY_ASSIGN_OR_RETURN(const auto connection, Connect(context));
  v1::DrainWorkerRequest request;
  request.set_worker(options.worker);
  request.set_undo(options.undo);
  request.set_reason(options.reason);
  CANOPY_ASSIGN_OR_RETURN(const v1::DrainWorkerReply reply, connection->client().DrainWorker(request));
  std::cout << "Worker " << reply.worker_id() << " on " << Printable(reply.host());
  if (!reply.drained()) {
    std::cout << " is given trials again.\n";
  } else if (reply.running_attempts() == 0) {
    std::cout << " is given no more trials.\n";
  } else if (reply.running_attempts() == 1) {
    std::cout << " is given no more trials; the one that runs there goes on to its end.\n";
  } else {
    std::cout << " is given no more trials; " << reply.running_attempts()
              << " that run there go on to their end.\n";
  }
  return {};
}

StatusOr<std::map<std::string, std::string>> ReadLabels(const config::Settings& settings) {
  std::map<std::string, std::string> labels;
  const config::Setting& setting = settings.Find("labels");
  if (setting.value.empty()) return labels;
  for (const std::string& part : Split(setting.value, ',')) {
    const size_t equals = part.find('=');
    if (equals == std::string::npos || equals == 0)
      return InvalidArgument(setting.origin + ": labels: expected name=value, such as gpu=a100, found '" +
                             part + "'");
    labels[part.substr(0, equals)] = part.substr(equals + 1);
  }
  return labels;
}

// What the scheduler of the machine says of the end, as a walltime from now.
StatusOr<int64_t> ReadWalltime(const config::Settings& settings) {
  if (const std::string& text = settings.Get("walltime"); !text.empty()) {
    const auto walltime_ms = ParseDurationMs(text);
    if (walltime_ms && *walltime_ms > 0) return *walltime_ms;
    return InvalidArgument(settings.Find("walltime").origin +
                           ": walltime: expected a time such as 90m, 4h or 2d, found '" + text + "'");
  }
  const char* const end = std::getenv("SLURM_JOB_END_TIME");
  if (end == nullptr) return 0;
  const auto seconds = ParseInt(end);
  if (!seconds)
    return InvalidArgument("SLURM_JOB_END_TIME: expected seconds since 1970, found '" + std::string(end) +
                           "'; give --walltime instead");
  // A job whose time is over already has some left, or it would not run.
  return std::max<int64_t>(1'000, *seconds * 1000 - SystemClock().WallUs() / 1000);
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
  CANOPY_ASSIGN_OR_RETURN(options.labels, ReadLabels(settings));
  CANOPY_ASSIGN_OR_RETURN(options.walltime_ms, ReadWalltime(settings));
  options.trainer = settings.Get("trainer");
  options.operator_libraries = settings.Get("operator_libraries");
  CANOPY_RETURN_IF_ERROR(PrepareServer(settings, server));
  return ServerEnded(agent::RunAgent(options), server);
}

}  // namespace

void AddWorker(CLI::App& app, Context& context) {
  CLI::App* noun = AddNoun(app, "worker", "Start an agent on this machine, look at the workers, drain them");
  auto server = std::make_shared<ServerOptions>();
  CLI::App* start = AddVerb(*noun, context, "start", "Train candidates on this machine until it is stopped",
                            "canopy worker start --controller host:7443 --credentials ~/worker --slots 4",
                            [&context, server] { return Start(context, *server); });
  AddConnectionSettings(start, context);
  for (const char* setting :
       {"slots", "labels", "walltime", "trainer", "operator_libraries", "data", "log_level"})
    AddSetting(start, context, setting);
  AddServerOptions(start, *server);
  auto options = std::make_shared<WorkerOptions>();
  CLI::App* list =
      AddVerb(*noun, context, "list", "List the workers that the controller knows", "canopy worker list",
              [&context, options] { return List(context, options->format); });
  CLI::App* show =
      AddVerb(*noun, context, "show", "Show a worker: state, device, datasets, what it runs",
              "canopy worker show 3f2a", [&context, options] { return Show(context, *options); });
  CLI::App* drain =
      AddVerb(*noun, context, "drain", "Give a worker no more trials; what runs there goes on to its end",
              "canopy worker drain node17 --reason \"new driver\"",
              [&context, options] { return Drain(context, *options); });
  drain->add_flag("--undo", options->undo, "give it trials again, its device and host being drained or not");
  drain->add_option("--reason", options->reason, "shown to whoever looks at the worker");
  for (CLI::App* verb : {show, drain}) {
    verb->add_option("WORKER", options->worker, "the id, its beginning, or the host of the only worker there")
        ->required();
  }
  for (CLI::App* verb : {list, show, drain}) AddConnectionSettings(verb, context);
  for (CLI::App* verb : {list, show}) AddFormat(verb, options->format);
}

}  // namespace canopy::cli
