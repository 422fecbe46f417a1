#include <unistd.h>

#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "CLI/CLI.hpp"
#include "base/strings.h"
#include "cli/campaign_files.h"
#include "cli/campaign_view.h"
#include "cli/dataset_folders.h"
#include "cli/exit_code.h"
#include "cli/interrupt.h"
#include "cli/local_session.h"
#include "cli/nouns.h"
#include "cli/update_view.h"
#include "cli/watching.h"

namespace canopy::cli {
namespace {

struct RunOptions {
  LaunchOptions launch;
  std::vector<std::string> data;
};

// The command line that goes on with this campaign.
std::string ContinueCommand(const RunOptions& options, const Context& context) {
  std::string line = "run " + options.launch.file;
  if (!options.launch.name.empty()) line += " --name " + options.launch.name;
  for (const std::string& folder : options.data) line += " --data " + folder;
  for (const char* setting : {"slots", "trainer", "operator_libraries"}) {
    if (const auto flag = context.flags.find(setting); flag != context.flags.end()) {
      line += " " + config::FlagOf(setting) + " " + flag->second;
    }
  }
  return Suggestion(context, line);
}

void PrintHowToStartAnother(const CampaignFiles& files, const Context& context) {
  const std::string name = files.full_name.substr(files.full_name.find('/') + 1);
  std::cerr << "\nThis campaign has ended. Start another with\n  "
            << Suggestion(context, "run " + files.request.campaign_file() + " --name " + name + "-2") << '\n';
}

void WarnOfOtherFiles(const v1::CampaignStatus& ended, const CampaignFiles& files) {
  if (ended.campaign_text() == files.request.campaign_text() &&
      ended.space_text() == files.request.space_text() && files.request.overrides_size() == 0)
    return;
  std::cerr << "warning: " << files.full_name
            << " has ended as it was; --name starts another campaign with these files\n";
}

// FailedPrecondition where the live campaign of that name has other files, and says which way they go.
Status CheckSameFiles(CampaignClient& client, const v1::CampaignSummary& summary,
                      const CampaignFiles& files) {
  // Once the finals have begun nothing may change, and what was launched goes on.
  if (summary.state() == v1::CAMPAIGN_STATE_FINALIZING) return {};
  v1::LaunchRequest request = files.request;
  request.set_update(true);
  request.set_dry_run(true);
  CANOPY_ASSIGN_OR_RETURN(const v1::LaunchReply reply, client.Launch(request));
  if (reply.update().changes_size() == 0) return {};
  PrintUpdate(reply, /*dry_run=*/true, std::cerr, TerminalWidth(STDERR_FILENO));
  return FailedPrecondition("these files differ from those of " + files.full_name +
                            ": `canopy launch --update " + files.request.campaign_file() +
                            "` changes the campaign, --name starts another with them");
}

// Launches the campaign, or goes on with the one of that name. `ended`: it had ended before.
StatusOr<v1::CampaignStatus> LaunchOrContinue(CampaignClient& client, const CampaignFiles& files,
                                              bool& ended) {
  auto known = client.GetCampaign(files.full_name);
  if (known.status().code() == absl::StatusCode::kNotFound) {
    CANOPY_ASSIGN_OR_RETURN(const v1::LaunchReply reply, client.Launch(files.request));
    for (const std::string& warning : reply.warnings())
      std::cerr << "warning: " << Printable(warning) << '\n';
    std::cerr << "Launched " << reply.name() << '\n';
    return client.GetCampaign(files.full_name);
  }
  if (!known.ok()) return known;
  const v1::CampaignSummary& summary = known->summary();
  ended = HasEnded(summary.state());
  if (ended) {
    WarnOfOtherFiles(*known, files);
    return known;
  }
  CANOPY_RETURN_IF_ERROR(CheckSameFiles(client, summary, files));
  std::cerr << "Going on with " << files.full_name << '\n';
  if (summary.state() != v1::CAMPAIGN_STATE_PAUSED) return known;
  std::cerr << "It was paused: " << Printable(summary.reason()) << '\n';
  CANOPY_RETURN_IF_ERROR(client.Command(files.full_name, v1::CAMPAIGN_VERB_RESUME).status());
  return client.GetCampaign(files.full_name);
}

Status LaunchAndWatch(const Context& context, Connection& connection, const CampaignFiles& files,
                      LocalSession* session) {
  CampaignClient& client = connection.client();
  bool ended = false;
  CANOPY_ASSIGN_OR_RETURN(v1::CampaignStatus status, LaunchOrContinue(client, files, ended));
  if (!ended) {
    CANOPY_ASSIGN_OR_RETURN(status, WatchCampaign(client, files.full_name, [session] {
                              return session ? session->KeepUp() : Status();
                            }));
  }
  const Status outcome = PrintOutcome(context, connection, status);
  if (ended) PrintHowToStartAnother(files, context);
  return outcome;
}

// Starts a session, or finds the controller that another command started at the same time.
StatusOr<std::unique_ptr<Connection>> StartSession(const Context& context, const config::Settings& settings,
                                                   std::optional<LocalSession>& session) {
  constexpr int kTries = 5;
  for (int i = 1;; ++i) {
    session.emplace(context, settings);
    const Status status = session->Start();
    if (status.ok()) return nullptr;
    if (!absl::IsAborted(status) || i == kTries) return status;
    session.reset();
    CANOPY_ASSIGN_OR_RETURN(auto live, Connection::FindGranting(settings));
    if (live) return live;
  }
}

Status Run(Context& context, const RunOptions& options) {
  InterruptGuard guard;
  if (!options.data.empty()) context.flags["data"] = Join(options.data, ",");
  CANOPY_ASSIGN_OR_RETURN(const config::Settings settings, LoadSettings(context));
  CANOPY_ASSIGN_OR_RETURN(const CampaignFiles files, ReadCampaignFiles(options.launch));
  CANOPY_ASSIGN_OR_RETURN(auto live, Connection::FindGranting(settings));
  std::optional<LocalSession> session;
  Status status;
  if (!live) {
    CANOPY_ASSIGN_OR_RETURN(const auto folders, ReadDatasetFolders(settings.Get("data")));
    const auto folder = folders.find(files.campaign.settings.task.dataset);
    CANOPY_RETURN_IF_ERROR(CheckDatasetHere(files, folder == folders.end() ? "" : folder->second));
    auto other = StartSession(context, settings, session);
    status = other.status();
    if (status.ok()) live = *std::move(other);
  }
  if (live) {
    std::cerr << "A controller serves " << StateDirectory(settings, "controller") << " already: "
              << "the campaign runs there.\n";
  }
  if (status.ok())
    status =
        LaunchAndWatch(context, live ? *live : session->connection(), files, session ? &*session : nullptr);
  if (ExitCodeOf(status) == ExitCode::kInterrupted) {
    std::cerr << "\nStopping. "
              << (session ? "Go on with\n  " + ContinueCommand(options, context)
                          : "The campaign goes on; watch it with\n  " +
                                Suggestion(context, "watch " + files.full_name))
              << '\n';
  }
  return status;
}

}  // namespace

void AddRun(CLI::App& app, Context& context) {
  auto options = std::make_shared<RunOptions>();
  CLI::App* verb = AddVerb(app, context, "run", "Run a campaign on this machine, from its file to its result",
                           "canopy run fashion-macro.yaml --set budget.duration=5m",
                           [&context, options] { return Run(context, *options); });
  verb->add_option("FILE", options->launch.file, "the campaign file")->required();
  verb->add_option("--set", options->launch.overrides,
                   "path=value: replace a value of the file; can be repeated")
      ->allow_extra_args(false);
  verb->add_option("--name", options->launch.name, "another name than the file's: another campaign");
  verb->add_option("--data", options->data, "name=path: the folder of a dataset; can be repeated")
      ->allow_extra_args(false);
  for (const char* setting :
       {"state_dir", "slots", "trainer", "operator_libraries", "http_port", "log_level"}) {
    AddSetting(verb, context, setting);
  }
}

}  // namespace canopy::cli
