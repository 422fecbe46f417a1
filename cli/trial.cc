#include <iostream>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "CLI/CLI.hpp"
#include "base/clock.h"
#include "base/strings.h"
#include "cli/architecture_drawing.h"
#include "cli/campaign_choice.h"
#include "cli/campaign_view.h"
#include "cli/connection.h"
#include "cli/nouns.h"
#include "cli/table.h"
#include "cli/trial_explanation.h"
#include "cli/trial_json.h"

namespace canopy::cli {
namespace {

constexpr int kPage = 500;

struct TrialOptions {
  std::string campaign, trial;
  std::vector<std::string> states, purposes;
  int64_t limit = 100;
  Format format = Format::kTable;
};

StatusOr<std::unique_ptr<Connection>> Connect(const Context& context) {
  CANOPY_ASSIGN_OR_RETURN(const config::Settings settings, LoadSettings(context));
  return Connection::Open(context, settings, Connection::Missing::kRefuse);
}

template <typename Enum>
std::set<std::string> Names(const google::protobuf::EnumDescriptor& type, std::string (*name)(Enum)) {
  std::set<std::string> names;
  for (int i = 0; i < type.value_count(); ++i) {
    if (const int number = type.value(i)->number(); number != 0)
      names.insert(name(static_cast<Enum>(number)));
  }
  return names;
}

template <typename Enum>
Enum FromName(const google::protobuf::EnumDescriptor& type, std::string (*name)(Enum),
              const std::string& text) {
  for (int i = 0; i < type.value_count(); ++i) {
    const auto value = static_cast<Enum>(type.value(i)->number());
    if (name(value) == text) return value;
  }
  return static_cast<Enum>(0);
}

StatusOr<std::vector<v1::TrialSummary>> ListTrials(CampaignClient& client, v1::ListTrialsRequest request,
                                                   int64_t limit) {
  std::vector<v1::TrialSummary> trials;
  do {
    const int64_t left = limit - static_cast<int64_t>(trials.size());
    request.set_limit(static_cast<int32_t>(left < kPage ? left : kPage));
    CANOPY_ASSIGN_OR_RETURN(const v1::ListTrialsReply reply, client.ListTrials(request));
    trials.insert(trials.end(), reply.trials().begin(), reply.trials().end());
    request.set_after_id(reply.next_after_id());
  } while (request.after_id() > 0 && static_cast<int64_t>(trials.size()) < limit);
  if (request.after_id() > 0) {
    std::cerr << "There are more than these " << trials.size() << " trials: see --limit\n";
  }
  return trials;
}

Status List(const Context& context, const TrialOptions& options) {
  CANOPY_ASSIGN_OR_RETURN(const auto connection, Connect(context));
  CampaignClient& client = connection->client();
  v1::ListTrialsRequest request;
  CANOPY_ASSIGN_OR_RETURN(*request.mutable_campaign(), CampaignOrNewest(client, options.campaign));
  for (const std::string& state : options.states) {
    request.add_states(FromName<v1::TrialState>(*v1::TrialState_descriptor(), StateName, state));
  }
  for (const std::string& purpose : options.purposes) {
    request.add_purposes(FromName<v1::Purpose>(*v1::Purpose_descriptor(), PurposeName, purpose));
  }
  CANOPY_ASSIGN_OR_RETURN(const auto trials, ListTrials(client, request, options.limit));
  TrialTable(trials, MetricsOf(trials)).Print(std::cout, options.format, TerminalWidth(1));
  return {};
}

std::string Optional(int64_t value) { return value == 0 ? "" : FormatCount(value); }

void PrintResult(const v1::TrialDetails& trial) {
  const v1::TrialSummary& summary = trial.summary();
  PrintFields(
      {{"trial", summary.name() + "  " + PurposeName(summary.purpose()) + "  " + StateName(summary.state())},
       {"failure", FailureName(summary.failure_class())},
       {"reason", summary.reason()},
       {"reference", summary.reference() ? "yes" : ""},
       {"space version", std::to_string(summary.space_version())},
       {"set aside", summary.set_aside()},
       {"parent", trial.parent()},
       {"replicate", std::to_string(summary.replicate())},
       {"decisions", summary.decisions_json()},
       {"parameters", FormatCount(summary.params())},
       {"MACs", FormatCount(summary.macs())},
       {"activation memory", FormatCount(trial.activation_memory()) + " bytes"},
       {"depth", FormatCount(trial.depth())}});
  for (const auto& [name, value] :
       std::map<std::string, double>(summary.metrics().begin(), summary.metrics().end())) {
    PrintFields({{name, FormatDouble(value)}});
  }
  PrintFields({{"epochs", Optional(summary.epochs())},
               {"candidate hash", summary.candidate_hash()},
               {"graph hash", trial.graph_hash()},
               {"recipe hash", trial.recipe_hash()},
               {"split hash", trial.split_hash()},
               {"dataset digest", trial.dataset_digest()},
               {"seeds", trial.seeds_json()},
               {"numeric mode", trial.numeric_mode()},
               {"trainer", trial.trainer_build()},
               {"LibTorch", trial.libtorch_version()},
               {"device", trial.device_model()},
               {"weights", trial.weights_path()},
               {"weights SHA-256", trial.weights_sha256()}});
}

void PrintAttempts(const v1::TrialDetails& trial) {
  Table table({{"attempt", Display::kNumber},
               {"fence", Display::kNumber},
               {"state"},
               {"class"},
               {"host"},
               {"device"},
               {"started", Display::kTime},
               {"busy", Display::kDuration},
               {"cpu", Display::kDuration},
               {"peak_bytes", Display::kCount},
               {"message"}});
  for (const v1::AttemptDetails& attempt : trial.attempts()) {
    table.AddRow({attempt.id(), attempt.fence(), StateName(attempt.state()),
                  FailureName(attempt.failure_class()), attempt.host(),
                  attempt.device_kind() + " " + attempt.device_model(), attempt.started_us(),
                  attempt.busy_ms(), attempt.cpu_ms(), attempt.peak_memory_bytes(), attempt.message()});
  }
  std::cout << "\nAttempts\n";
  table.Print(std::cout, Format::kTable, TerminalWidth(1));
  for (const v1::AttemptDetails& attempt : trial.attempts()) {
    if (attempt.failure_class() == v1::FAILURE_CLASS_UNSPECIFIED || attempt.log_tail().empty()) continue;
    std::cout << "\nThe end of the log of attempt " << attempt.id() << '\n';
    for (const std::string& line : Split(attempt.log_tail(), '\n'))
      std::cout << "  " << Printable(line) << '\n';
  }
}

Status Show(const Context& context, const TrialOptions& options) {
  CANOPY_ASSIGN_OR_RETURN(const auto connection, Connect(context));
  CANOPY_ASSIGN_OR_RETURN(const v1::TrialDetails trial, connection->client().GetTrial(options.trial));
  if (options.format == Format::kCsv) {
    TrialTable({trial.summary()}, MetricsOf({trial.summary()})).Print(std::cout, options.format);
    return {};
  }
  if (options.format != Format::kTable) {
    std::cout << TrialJson(trial) << '\n';
    return {};
  }
  PrintResult(trial);
  if (trial.attempts_size() > 0) PrintAttempts(trial);
  if (!trial.graph_json().empty()) {
    CANOPY_ASSIGN_OR_RETURN(const auto drawing, DrawArchitecture(trial.graph_json()));
    std::cout << "\nNetwork\n" << Join(drawing, "\n") << '\n';
  }
  if (trial.events_size() > 0) std::cout << "\nEvents\n";
  for (const v1::EventRow& event : trial.events()) {
    std::cout << FormatWallUs(event.wall_us()) << "  " << event.seq() << "  " << Printable(event.kind())
              << "  " << Printable(CutTo(event.payload_json(), 200)) << '\n';
  }
  return {};
}

Status Logs(const Context& context, const TrialOptions& options) {
  CANOPY_ASSIGN_OR_RETURN(const auto connection, Connect(context));
  CANOPY_ASSIGN_OR_RETURN(const v1::TrialDetails trial, connection->client().GetTrial(options.trial));
  if (trial.attempts_size() == 0) std::cerr << options.trial << " has no attempt yet\n";
  for (const v1::AttemptDetails& attempt : trial.attempts()) {
    std::cerr << "Attempt " << attempt.id() << " on " << Printable(attempt.host()) << ":\n";
    for (const std::string& line : Split(attempt.log_tail(), '\n')) std::cout << Printable(line) << '\n';
  }
  return {};
}

Status Explain(const Context& context, const TrialOptions& options, bool json) {
  CANOPY_ASSIGN_OR_RETURN(const auto connection, Connect(context));
  CANOPY_ASSIGN_OR_RETURN(const v1::TrialExplanation explanation,
                          connection->client().ExplainTrial(options.trial));
  if (json) {
    std::cout << ExplanationJson(explanation) << '\n';
  } else {
    PrintExplanation(explanation, std::cout, TerminalWidth(1));
  }
  return {};
}

}  // namespace

void AddTrial(CLI::App& app, Context& context) {
  CLI::App* noun = AddNoun(app, "trial", "List and show trials");
  auto options = std::make_shared<TrialOptions>();
  CLI::App* list = AddVerb(*noun, context, "list", "List a campaign's trials by number",
                           "canopy trial list fashion-macro --state COMPLETED --format csv > trials.csv",
                           [&context, options] { return List(context, *options); });
  list->add_option("CAMPAIGN", options->campaign, "name, project/name or id (default: the newest)");
  list->add_option("--state", options->states, "only trials in this state; can be repeated")
      ->check(CLI::IsMember(Names<v1::TrialState>(*v1::TrialState_descriptor(), StateName)));
  list->add_option("--purpose", options->purposes, "only trials of this purpose; can be repeated")
      ->check(CLI::IsMember(Names<v1::Purpose>(*v1::Purpose_descriptor(), PurposeName)));
  list->add_option("--limit", options->limit, "at most so many (default: 100)")->check(CLI::PositiveNumber);
  AddConnectionSettings(list, context);
  AddFormat(list, options->format);
  CLI::App* show =
      AddVerb(*noun, context, "show",
              "Show a trial: decisions, result and where it comes from, attempts, network, events",
              "canopy trial show fashion-macro/17", [&context, options] { return Show(context, *options); });
  CLI::App* logs =
      AddVerb(*noun, context, "logs", "Print the end of the log of each of a trial's attempts",
              "canopy trial logs fashion-macro/17", [&context, options] { return Logs(context, *options); });
  auto explained = std::make_shared<std::string>("text");
  CLI::App* explain =
      AddVerb(*noun, context, "explain", "Say why a trial waits, where it runs, or how it ended",
              "canopy trial explain fashion-macro/17",
              [&context, options, explained] { return Explain(context, *options, *explained == "json"); });
  explain->add_option("--format", *explained, "text or json")->check(CLI::IsMember({"text", "json"}));
  AddFormat(show, options->format);
  for (CLI::App* verb : {show, logs, explain}) {
    verb->add_option("TRIAL", options->trial, "name/17, project/name/17 or the id")->required();
    AddConnectionSettings(verb, context);
  }
}

}  // namespace canopy::cli
