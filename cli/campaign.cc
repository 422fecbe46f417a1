#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "CLI/CLI.hpp"
#include "base/strings.h"
#include "cli/campaign_choice.h"
#include "cli/campaign_view.h"
#include "cli/connection.h"
#include "cli/nouns.h"
#include "cli/table.h"

namespace canopy::cli {
namespace {

constexpr int kPage = 200;

struct CampaignOptions {
  std::string campaign, project;
  Format format = Format::kTable;
};

StatusOr<std::unique_ptr<Connection>> Connect(const Context& context) {
  CANOPY_ASSIGN_OR_RETURN(const config::Settings settings, LoadSettings(context));
  return Connection::Open(context, settings, Connection::Missing::kRefuse);
}

Cell BestOf(const v1::CampaignSummary& summary) {
  return summary.best_trial().empty() ? Cell() : Cell(summary.best_objective());
}

std::vector<Column> SummaryColumns() {
  return {{"id", Display::kNumber},
          {"campaign"},
          {"state"},
          {"trials_done", Display::kCount},
          {"metric"},
          {"best", Display::kFraction},
          {"best_trial"},
          {"space"},
          {"space_version", Display::kNumber},
          {"strategy"},
          {"epochs", Display::kCount},
          {"numeric_mode"},
          {"owner"},
          {"created", Display::kTime},
          {"finished", Display::kTime},
          {"reason"}};
}

std::vector<Cell> SummaryRow(const v1::CampaignSummary& c) {
  return {c.id(),
          FullName(c),
          StateName(c.state()),
          c.trials_done(),
          c.objective_metric(),
          BestOf(c),
          c.best_trial(),
          c.space(),
          c.space_version(),
          c.strategy(),
          c.epochs(),
          c.numeric_mode(),
          c.owner(),
          c.created_us(),
          c.finished_us(),
          c.reason()};
}

Status List(const Context& context, const CampaignOptions& options) {
  CANOPY_ASSIGN_OR_RETURN(const auto connection, Connect(context));
  Table table(SummaryColumns());
  v1::ListCampaignsRequest request;
  request.set_limit(kPage);
  request.set_project(options.project);
  do {
    CANOPY_ASSIGN_OR_RETURN(const v1::ListCampaignsReply reply, connection->client().ListCampaigns(request));
    for (const v1::CampaignSummary& campaign : reply.campaigns()) table.AddRow(SummaryRow(campaign));
    request.set_after_id(reply.next_after_id());
  } while (request.after_id() > 0);
  table.Print(std::cout, options.format, TerminalWidth(1));
  return {};
}

// Where there is more than the launch's.
void PrintSpaceVersions(const v1::CampaignStatus& status) {
  if (status.space_versions_size() < 2) return;
  Table table({{"version", Display::kNumber},
               {"space"},
               {"hash"},
               {"constraints"},
               {"trials", Display::kCount},
               {"set_aside", Display::kCount},
               {"since", Display::kTime},
               {"by"}});
  for (const v1::SpaceVersion& version : status.space_versions())
    table.AddRow(
        {version.version(), version.space(), version.space_hash().substr(0, 12),
         Join(std::vector<std::string>(version.constraints().begin(), version.constraints().end()), "; "),
         version.trials(), version.set_aside(), version.created_us(), version.principal()});
  table.Print(std::cout, Format::kTable, TerminalWidth(1));
  std::cout << '\n';
}

Status Show(const Context& context, const CampaignOptions& options) {
  CANOPY_ASSIGN_OR_RETURN(const auto connection, Connect(context));
  CANOPY_ASSIGN_OR_RETURN(const std::string name, CampaignOrNewest(connection->client(), options.campaign));
  CANOPY_ASSIGN_OR_RETURN(const v1::CampaignStatus status, connection->client().GetCampaign(name));
  if (options.format != Format::kTable) {
    Table table(SummaryColumns());
    table.AddRow(SummaryRow(status.summary()));
    table.Print(std::cout, options.format);
    return {};
  }
  for (const std::string& line : ProgressLines(status)) std::cout << line << '\n';
  std::cout << "space       " << Printable(status.summary().space()) << "  " << status.summary().space_hash()
            << "\nseed        " << status.seed() << "\ntest reads  " << status.test_reads()
            << "\nfiles       " << Printable(status.files_path()) << "\n\n";
  PrintSpaceVersions(status);
  std::cout << status.campaign_text();
  return {};
}

Status Order(const Context& context, const CampaignOptions& options, v1::CampaignVerb verb) {
  CANOPY_ASSIGN_OR_RETURN(const auto connection, Connect(context));
  CANOPY_ASSIGN_OR_RETURN(const v1::CommandReply reply, connection->client().Command(options.campaign, verb));
  std::cerr << options.campaign << " is " << StateName(reply.state()) << '\n';
  return {};
}

}  // namespace

StatusOr<std::string> CampaignOrNewest(CampaignClient& client, const std::string& name) {
  if (!name.empty()) return name;
  v1::ListCampaignsRequest request;
  request.set_limit(kPage);
  std::string newest;
  do {
    CANOPY_ASSIGN_OR_RETURN(const v1::ListCampaignsReply reply, client.ListCampaigns(request));
    for (const v1::CampaignSummary& campaign : reply.campaigns())
      newest = campaign.project() + "/" + campaign.name();
    request.set_after_id(reply.next_after_id());
  } while (request.after_id() > 0);
  if (newest.empty()) return NotFound("there is no campaign yet: start one with `canopy run FILE`");
  return newest;
}

void AddCampaign(CLI::App& app, Context& context) {
  CLI::App* noun = AddNoun(app, "campaign", "List, show, pause, resume and cancel campaigns");
  auto options = std::make_shared<CampaignOptions>();
  CLI::App* list =
      AddVerb(*noun, context, "list", "List all campaigns", "canopy campaign list --format jsonl",
              [&context, options] { return List(context, *options); });
  list->add_option("--project", options->project, "only this project's");
  AddConnectionSettings(list, context);
  AddFormat(list, options->format);
  CLI::App* show = AddVerb(*noun, context, "show", "Show a campaign's progress and its file",
                           "canopy campaign show default/fashion-macro",
                           [&context, options] { return Show(context, *options); });
  show->add_option("CAMPAIGN", options->campaign, "name, project/name or id (default: the newest)");
  AddConnectionSettings(show, context);
  AddFormat(show, options->format);
  const struct {
    const char *name, *description;
    v1::CampaignVerb verb;
  } kOrders[] = {
      {"pause", "Grant no more leases; what runs goes on to its end", v1::CAMPAIGN_VERB_PAUSE},
      {"resume", "Go on with a paused campaign", v1::CAMPAIGN_VERB_RESUME},
      {"cancel", "End a campaign for good; its results stay", v1::CAMPAIGN_VERB_CANCEL},
  };
  for (const auto& order : kOrders) {
    CLI::App* verb =
        AddVerb(*noun, context, order.name, order.description,
                std::string("canopy campaign ") + order.name + " fashion-macro",
                [&context, options, which = order.verb] { return Order(context, *options, which); });
    verb->add_option("CAMPAIGN", options->campaign, "name, project/name or id")->required();
    AddConnectionSettings(verb, context);
  }
}

}  // namespace canopy::cli
