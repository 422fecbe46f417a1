// The canopy command: wires the verbs together; docs/command_line.md describes them.
#include <unistd.h>

#include <iostream>
#include <string>
#include <string_view>

#include "CLI/CLI.hpp"
#include "base/strings.h"
#include "cli/exit_code.h"
#include "cli/nouns.h"
#include "controller/service/query_process.h"

namespace canopy::cli {
namespace {

// This program's own path, so that it can start itself whatever the working directory.
std::string OwnPath() {
  char path[4096];
  const ssize_t size = readlink("/proc/self/exe", path, sizeof path);
  return size > 0 ? std::string(path, static_cast<size_t>(size)) : "canopy";
}

int Main(int argc, char** argv) {
  // The controller starts this for each query; it is no verb for people.
  if (argc == 4 && std::string_view(argv[1]) == "query-process") {
    return controller::RunQueryProcess(argv[2], ParseInt(argv[3]).value_or(0));
  }
  Context context;
  context.program = OwnPath();
  context.invoked_as = argv[0];
  CLI::App app("Canopy searches for neural network architectures, on one machine or many.", "canopy");
  app.set_version_flag("--version", "canopy " CANOPY_VERSION);
  app.add_option("--config", context.config_file,
                 "the configuration file (default: ~/.config/canopy/canopy.yaml)");
  app.require_subcommand(1);
  app.footer(
      "Example:\n  canopy run fashion-macro.yaml\n\nSee `canopy VERB --help` for each verb, with an "
      "example.");
  AddRun(app, context);
  AddLaunch(app, context);
  AddStatus(app, context);
  AddQuery(app, context);
  AddCampaign(app, context);
  AddTrial(app, context);
  AddWorker(app, context);
  AddController(app, context);
  AddSpace(app, context);
  AddCluster(app, context);
  AddDb(app, context);
  AddDoctor(app, context);
  AddConfig(app, context);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    const bool asked = error.get_exit_code() == 0;
    app.exit(error, std::cout, std::cerr);
    return static_cast<int>(asked ? ExitCode::kOk : ExitCode::kUsage);
  }
  const Status status = context.action();
  if (!status.ok()) std::cerr << "canopy: " << Message(status) << '\n';
  std::cout << std::flush;
  if (status.ok() && !std::cout) {
    std::cerr << "canopy: standard output could not be written\n";
    return static_cast<int>(ExitCode::kError);
  }
  return static_cast<int>(ExitCodeOf(status));
}

}  // namespace
}  // namespace canopy::cli

int main(int argc, char** argv) { return canopy::cli::Main(argc, argv); }
