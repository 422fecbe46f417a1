#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "CLI/CLI.hpp"
#include "base/strings.h"
#include "cli/campaign_choice.h"
#include "cli/campaign_view.h"
#include "cli/connection.h"
#include "cli/exit_code.h"
#include "cli/interrupt.h"
#include "cli/nouns.h"
#include "cli/table.h"
#include "cli/watching.h"

namespace canopy::cli {
namespace {

struct StatusOptions {
  std::string campaign;
  int count = 10;
  Format format = Format::kTable;
};

StatusOr<std::unique_ptr<Connection>> Connect(const Context& context) {
  CANOPY_ASSIGN_OR_RETURN(const config::Settings settings, LoadSettings(context));
  return Connection::Open(context, settings, Connection::Missing::kRefuse);
}

Status ShowStatus(const Context& context, const StatusOptions& options) {
  CANOPY_ASSIGN_OR_RETURN(const auto connection, Connect(context));
  CampaignClient& client = connection->client();
  CANOPY_ASSIGN_OR_RETURN(const std::string name, CampaignOrNewest(client, options.campaign));
  CANOPY_ASSIGN_OR_RETURN(const v1::CampaignStatus status, client.GetCampaign(name));
  if (options.format == Format::kTable) {
    for (const std::string& line : ProgressLines(status)) std::cout << line << '\n';
    if (!connection->hello().grants_leases() && !HasEnded(status.summary().state())) {
      std::cout << "No controller runs, so nothing is trained: go on with `canopy run`.\n";
    }
    return {};
  }
  const v1::CampaignSummary& summary = status.summary();
  const auto joined = [](const auto& texts) {
    return Join(std::vector<std::string>(texts.begin(), texts.end()), "; ");
  };
  const auto optional = [](int64_t value) { return value < 0 ? Cell() : Cell(value); };
  Table table({{"campaign"},         {"state"},          {"reason"},
               {"pending"},          {"running"},        {"completed"},
               {"infeasible"},       {"failed"},         {"quarantined"},
               {"cancelled"},        {"cached"},         {"rejected"},
               {"finals_done"},      {"finals_total"},   {"candidates_an_hour"},
               {"time_left_ms"},     {"trials_left"},    {"best_trial"},
               {"metric"},           {"best"},           {"epochs"},
               {"numeric_mode"},     {"test_reads"},     {"waiting_reason"},
               {"notices"},          {"warnings"},       {"device_ms"},
               {"useful_device_ms"}, {"device_left_ms"}, {"until", Display::kTime}});
  table.AddRow({FullName(summary),
                StateName(summary.state()),
                summary.reason(),
                status.pending(),
                status.running(),
                status.completed(),
                status.infeasible(),
                status.failed(),
                status.quarantined(),
                status.cancelled(),
                status.cached(),
                status.rejected(),
                status.finals_done(),
                status.finals_total(),
                status.candidates_an_hour(),
                optional(status.time_left_ms()),
                optional(status.trials_left()),
                summary.best_trial(),
                summary.objective_metric(),
                summary.best_trial().empty() ? Cell() : Cell(summary.best_objective()),
                summary.epochs(),
                summary.numeric_mode(),
                status.test_reads(),
                status.waiting_reason(),
                joined(status.notices()),
                joined(status.warnings()),
                status.device_ms(),
                status.useful_device_ms(),
                status.has_device_left_ms() ? Cell(status.device_left_ms()) : Cell(),
                status.until_us() == 0 ? Cell() : Cell(status.until_us())});
  table.Print(std::cout, options.format);
  return {};
}

Status Watch(const Context& context, const StatusOptions& options) {
  InterruptGuard guard;
  CANOPY_ASSIGN_OR_RETURN(const auto connection, Connect(context));
  CampaignClient& client = connection->client();
  CANOPY_ASSIGN_OR_RETURN(const std::string name, CampaignOrNewest(client, options.campaign));
  CANOPY_ASSIGN_OR_RETURN(v1::CampaignStatus status, client.GetCampaign(name));
  if (!connection->hello().grants_leases() && !HasEnded(status.summary().state())) {
    for (const std::string& line : ProgressLines(status)) std::cerr << line << '\n';
    return Unavailable("no controller runs, so there is nothing to watch: go on with `canopy run`");
  }
  CANOPY_ASSIGN_OR_RETURN(status, WatchCampaign(client, name, [] { return Status(); }));
  return PrintOutcome(context, *connection, status);
}

Status Best(const Context& context, const StatusOptions& options) {
  CANOPY_ASSIGN_OR_RETURN(const auto connection, Connect(context));
  CampaignClient& client = connection->client();
  v1::ListTrialsRequest request;
  CANOPY_ASSIGN_OR_RETURN(*request.mutable_campaign(), CampaignOrNewest(client, options.campaign));
  CANOPY_ASSIGN_OR_RETURN(const v1::CampaignStatus status, client.GetCampaign(request.campaign()));
  request.set_best_first(true);
  request.set_limit(options.count);
  CANOPY_ASSIGN_OR_RETURN(const v1::ListTrialsReply reply, client.ListTrials(request));
  const std::vector<v1::TrialSummary> trials(reply.trials().begin(), reply.trials().end());
  if (options.format == Format::kTable) {
    std::cout << "Best SEARCH trials of " << FullName(status.summary()) << " by "
              << status.summary().objective_metric() << " at " << ComparedAt(status.summary())
              << ", one seed each\n\n";
  }
  TrialTable(trials, MetricsOf(trials)).Print(std::cout, options.format, TerminalWidth(1));
  return {};
}

}  // namespace

void AddStatus(CLI::App& app, Context& context) {
  auto options = std::make_shared<StatusOptions>();
  CLI::App* status =
      AddVerb(app, context, "status", "Show a campaign's progress once", "canopy status fashion-macro",
              [&context, options] { return ShowStatus(context, *options); });
  CLI::App* watch =
      AddVerb(app, context, "watch", "Show a campaign's progress until it ends", "canopy watch fashion-macro",
              [&context, options] { return Watch(context, *options); });
  CLI::App* best =
      AddVerb(app, context, "best", "List a campaign's best trials", "canopy best fashion-macro -n 20",
              [&context, options] { return Best(context, *options); });
  for (CLI::App* verb : {status, watch, best}) {
    verb->add_option("CAMPAIGN", options->campaign, "name, project/name or id (default: the newest)");
    AddConnectionSettings(verb, context);
  }
  best->add_option("-n", options->count, "how many (default: 10)")->check(CLI::PositiveNumber);
  AddFormat(status, options->format);
  AddFormat(best, options->format);
}

}  // namespace canopy::cli
