#include <unistd.h>

#include <iostream>
#include <map>
#include <memory>
#include <string>

#include "CLI/CLI.hpp"
#include "cli/campaign_files.h"
#include "cli/campaign_view.h"
#include "cli/connection.h"
#include "cli/interrupt.h"
#include "cli/nouns.h"
#include "cli/update_view.h"
#include "cli/watching.h"

namespace canopy::cli {
namespace {

struct Options {
  LaunchOptions launch;
  bool update = false, yes = false;
  bool dry_run = false, wait = false, quiet = false;
};

// Asks a person at a terminal whether trials may be set aside.
StatusOr<bool> IsConfirmed(CampaignClient& client, v1::LaunchRequest request) {
  if (isatty(STDIN_FILENO) == 0 || isatty(STDERR_FILENO) == 0) return true;
  request.set_dry_run(true);
  CANOPY_ASSIGN_OR_RETURN(const v1::LaunchReply reply, client.Launch(request));
  if (reply.update().trials_set_aside() == 0) return true;
  PrintUpdate(reply, /*dry_run=*/true, std::cerr, TerminalWidth(STDERR_FILENO));
  std::cerr << "Set these trials aside? [y/N] " << std::flush;
  std::string answer;
  std::getline(std::cin, answer);
  return answer == "y" || answer == "yes";
}

Status Update(CampaignClient& client, const Options& options, v1::LaunchRequest request) {
  if (!options.dry_run && !options.yes) {
    CANOPY_ASSIGN_OR_RETURN(const bool confirmed, IsConfirmed(client, request));
    if (!confirmed) {
      std::cerr << "Nothing was changed.\n";
      return {};
    }
  }
  CANOPY_ASSIGN_OR_RETURN(const v1::LaunchReply reply, client.Launch(request));
  if (options.quiet)
    std::cout << reply.name() << '\n';
  else
    PrintUpdate(reply, options.dry_run, std::cout, TerminalWidth(STDOUT_FILENO));
  return {};
}

StatusOr<std::string> LaunchNew(CampaignClient& client, const Options& options,
                                const v1::LaunchRequest& request) {
  CANOPY_ASSIGN_OR_RETURN(const v1::LaunchReply reply, client.Launch(request));
  for (const std::string& warning : reply.warnings()) std::cerr << "warning: " << Printable(warning) << '\n';
  if (options.quiet) {
    std::cout << reply.name() << '\n';
    return reply.name();
  }
  std::cout << (options.dry_run ? "Would launch " : "Launched ") << reply.name() << '\n';
  for (const auto& [name, value] :
       std::map<std::string, std::string>(reply.settled().begin(), reply.settled().end()))
    std::cout << "  " << name << ": " << Printable(value) << '\n';
  return reply.name();
}

Status Launch(const Context& context, const Options& options) {
  InterruptGuard guard;
  CANOPY_ASSIGN_OR_RETURN(const config::Settings settings, LoadSettings(context));
  CANOPY_ASSIGN_OR_RETURN(CampaignFiles files, ReadCampaignFiles(options.launch));
  CANOPY_ASSIGN_OR_RETURN(const auto connection,
                          Connection::Open(context, settings, Connection::Missing::kCreate));
  files.request.set_dry_run(options.dry_run);
  files.request.set_update(options.update);
  std::string name = files.full_name;
  if (options.update) {
    CANOPY_RETURN_IF_ERROR(Update(connection->client(), options, files.request));
  } else {
    CANOPY_ASSIGN_OR_RETURN(name, LaunchNew(connection->client(), options, files.request));
  }
  if (options.dry_run) return {};
  if (!connection->hello().grants_leases()) {
    std::cerr
        << "No controller runs: the campaign waits until `canopy run` or `canopy controller start` does.\n";
    return {};
  }
  if (!options.wait) return {};
  CANOPY_ASSIGN_OR_RETURN(const v1::CampaignStatus status,
                          WatchCampaign(connection->client(), name, [] { return Status(); }));
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
  CLI::Option* update =
      verb->add_flag("--update", options->update,
                     "give the campaign of that name, which runs or is paused, these files: another space, "
                     "constraints, budget or finals");
  verb->add_flag("--yes", options->yes, "with --update on a terminal: do not ask before trials are set aside")
      ->needs(update);
  verb->add_flag("--dry-run", options->dry_run, "check everything, launch and change nothing");
  verb->add_flag("--wait", options->wait, "wait until the campaign ends");
  verb->add_flag("--quiet", options->quiet, "print the campaign's name alone");
  AddConnectionSettings(verb, context);
}

}  // namespace canopy::cli
