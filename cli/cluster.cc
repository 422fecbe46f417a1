#include <unistd.h>

#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "CLI/CLI.hpp"
#include "cli/nouns.h"
#include "config/credentials.h"

namespace canopy::cli {
namespace {

struct ClusterOptions {
  std::string folder;
  std::vector<std::string> hosts;
  std::string user = "operator";
  std::string name;
};

Status Init(const ClusterOptions& options) {
  CANOPY_RETURN_IF_ERROR(config::InitCluster(options.folder, options.hosts, options.user));
  std::cout << "Made the cluster's certificates in " << options.folder << ":\n"
            << "  ca.crt, ca.key                   the authority; ca.key signs new ones: keep it safe\n"
            << "  controller.crt, controller.key   for `canopy controller start --credentials "
            << options.folder << " --listen HOST:PORT`\n"
            << "  user.crt, user.key               for `canopy VERB --credentials " << options.folder
            << " --controller HOST:PORT`, as " << options.user << "\n"
            << "Next: `canopy cluster add-worker --credentials " << options.folder
            << " NAME` for each worker.\n";
  return {};
}

Status AddOne(const ClusterOptions& options) {
  CANOPY_ASSIGN_OR_RETURN(const config::WorkerBundle bundle, config::AddWorker(options.folder, options.name));
  std::cout << "Made worker " << bundle.worker_id << " in " << bundle.folder << ".\n"
            << "Copy that folder to the worker's machine and start it there:\n"
            << "  canopy worker start --credentials FOLDER --controller HOST:PORT\n";
  return {};
}

}  // namespace

void AddCluster(CLI::App& app, Context& context) {
  CLI::App* noun = AddNoun(app, "cluster", "Make the certificates of a cluster (docs/cluster.md)");
  auto options = std::make_shared<ClusterOptions>();
  CLI::App* init =
      AddVerb(*noun, context, "init", "Make an authority, the controller's certificate and a user's",
              "canopy cluster init --credentials ~/canopy-cluster --host controller.example.org",
              [options] { return Init(*options); });
  CLI::App* add = AddVerb(*noun, context, "add-worker", "Make a worker's certificate",
                          "canopy cluster add-worker --credentials ~/canopy-cluster rack1-node3",
                          [options] { return AddOne(*options); });
  for (CLI::App* verb : {init, add}) {
    verb->add_option("--credentials", options->folder, "the cluster's folder")->required();
  }
  init->add_option("--host", options->hosts,
                   "name or address by which workers and users reach the controller")
      ->required();
  init->add_option("--user", options->user, "the user's name (default: operator)");
  add->add_option("NAME", options->name, "a name for the worker's folder")->required();
}

}  // namespace canopy::cli
