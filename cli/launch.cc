#include <iostream>
#include <memory>
#include <string>

#include "CLI/CLI.hpp"
#include "cli/campaign_files.h"
#include "cli/campaign_view.h"
#include "cli/connection.h"
#include "cli/interrupt.h"
#include "cli/nouns.h"
#include "cli/watching.h"

namespace canopy::cli {
namespace {

struct Options {
  LaunchOptions launch;
  bool dry_run = false, wait = false, quiet = false;
};

Status Launch(const Context& context, const Options& options) {
  InterruptGuard guard;
  CANOPY_ASSIGN_OR_RETURN(const config::Settings settings, LoadSettings(context));
  CANOPY_ASSIGN_OR_RETURN(CampaignFiles files, ReadCampaignFiles(options.launch));
  CANOPY_ASSIGN_OR_RETURN(const auto connection,
                          Connection::Open(context, settings, Connection::Missing::kCreate));
  files.request.set_dry_run(options.dry_run);
  CANOPY_ASSIGN_OR_RETURN(const v1::LaunchReply reply, connection->client().Launch(files.request));
  for (const std::string& warning : reply.warnings()) std::cerr << "warning: " << Printable(warning) << '\n';
  if (options.quiet) {
    std::cout << reply.name() << '\n';
  } else {
    std::cout << (options.dry_run ? "Would launch " : "Launched ") << reply.name() << '\n';
    for (const auto& [name, value] :
         std::map<std::string, std::string>(reply.settled().begin(), reply.settled().end()))
      std::cout << "  " << name << ": " << Printable(value) << '\n';
  }
  if (options.dry_run) return {};
  if (!connection->hello().grants_leases()) {
    std::cerr
        << "No controller runs: the campaign waits until `canopy run` or `canopy controller start` does.\n";
    return {};
  }
  if (!options.wait) return {};
  CANOPY_ASSIGN_OR_RETURN(const v1::CampaignStatus status,
                          WatchCampaign(connection->client(), reply.name(), [] { return Status(); }));
  return PrintOutcome(context, *connection, status);
}

}  // namespace

void AddLaunch(CLI::App& app, Context& context) {
  auto options = std::make_shared<Options>();
  CLI::App* verb = AddVerb(app, context, "launch", "Hand a campaign to a running controller",
                           "canopy launch fashion-macro.yaml --set budget.duration=2h --wait",
                           [&context, options] { return Launch(context, *options); });
  verb->add_option("FILE", options->launch.file, "the campaign file")->required();
  verb->add_option("--set", options->launch.overrides,
                   "path=value: replace a value of the file; can be repeated")
      ->allow_extra_args(false);
  verb->add_option("--name", options->launch.name, "another name than the file's");
  verb->add_flag("--dry-run", options->dry_run, "check everything, launch nothing");
  verb->add_flag("--wait", options->wait, "wait until the campaign ends");
  verb->add_flag("--quiet", options->quiet, "print the campaign's name alone");
  AddConnectionSettings(verb, context);
}

}  // namespace canopy::cli
