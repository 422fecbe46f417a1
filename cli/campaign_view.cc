#include "cli/campaign_view.h"

#include <algorithm>
#include <set>
#include <utility>

#include "base/strings.h"
#include "cli/architecture_drawing.h"

namespace canopy::cli {
namespace {

std::string WithoutPrefix(const std::string& name, std::string_view prefix) {
  return name.rfind(prefix, 0) == 0 ? name.substr(prefix.size()) : name;
}

std::string Plural(int64_t count, const std::string& word) {
  return FormatCount(count) + " " + word + (count == 1 ? "" : "s");
}

std::string Objective(const v1::CampaignSummary& summary) {
  return summary.objective_metric() + " " + FormatFixed(summary.best_objective(), 4);
}

// "1,234 of these" for what is not 0.
void AddCount(std::string& text, int64_t count, const std::string& what) {
  if (count == 0) return;
  if (!text.empty()) text += ", ";
  text += FormatCount(count) + " " + what;
}

std::string TrialCounts(const v1::CampaignStatus& status) {
  std::string text = FormatCount(status.completed() + status.infeasible()) + " done";
  AddCount(text, status.infeasible(), "of them infeasible");
  AddCount(text, status.running(), "running");
  AddCount(text, status.failed() + status.quarantined(), "failed");
  AddCount(text, status.cancelled(), "cancelled");
  AddCount(text, status.cached(), "repeated");
  AddCount(text, status.rejected(), "rejected");
  return text;
}

std::string Left(const v1::CampaignStatus& status) {
  std::string text;
  if (status.time_left_ms() >= 0) text += FormatDuration(status.time_left_ms());
  if (status.trials_left() >= 0) text += (text.empty() ? "" : ", ") + Plural(status.trials_left(), "trial");
  if (status.has_device_left_ms())
    text += (text.empty() ? "" : ", ") + FormatDuration(status.device_left_ms()) + " of device time";
  return text;
}

std::string Accuracies(const google::protobuf::RepeatedField<double>& values) {
  std::string text;
  for (const double value : values) text += (text.empty() ? "" : " ") + FormatFixed(value, 4);
  return text;
}

void PrintFinalists(const v1::CampaignReport& report, std::ostream& out) {
  Table table({{"rank", Display::kText},
               {"network", Display::kText},
               {"val_accuracy", Display::kFraction},
               {"seeds", Display::kText},
               {"params", Display::kCount},
               {"macs", Display::kCount},
               {"test_accuracy", Display::kText}});
  int64_t rank = 0;
  for (const v1::Contender& contender : report.finalists()) {
    const bool reference = report.has_reference() && contender.trial() == report.reference().trial() &&
                           contender.decisions_json() == report.reference().decisions_json();
    const bool winner = report.has_winner() && contender.trial() == report.winner().trial() &&
                        contender.decisions_json() == report.winner().decisions_json();
    const v1::Contender& tested = winner ? report.winner() : reference ? report.reference() : contender;
    std::string name = contender.trial();
    if (reference) name += name.empty() ? "reference" : " (reference)";
    if (winner) name += " (winner)";
    Cell test;
    if (tested.test_accuracies_size() > 0) {
      test = FormatFixed(tested.test_accuracy_mean(), 4) + " [" + FormatFixed(tested.test_accuracy_low(), 4) +
             ", " + FormatFixed(tested.test_accuracy_high(), 4) + "]";
    }
    table.AddRow({std::to_string(++rank), name, contender.val_accuracy(),
                  Accuracies(contender.val_accuracies()), contender.params(), contender.macs(), test});
  }
  out << "Finals of " << FullName(report.summary()) << ": mean validation accuracy over the seeds at "
      << ComparedAt(report.summary()) << ";\ntest accuracy with its 95 % interval over "
      << FormatCount(report.winner().test_images()) << " test images, read once\n\n";
  table.Print(out, Format::kTable);
  out << '\n';
}

void PrintBest(const v1::CampaignStatus& status, std::ostream& out, int width) {
  if (status.best_size() == 0) {
    out << "No trial has a result yet.\n";
    return;
  }
  out << "Best SEARCH trials of " << FullName(status.summary()) << " at " << ComparedAt(status.summary())
      << ", one seed each\n\n";
  TrialTable({status.best().begin(), status.best().end()}, {status.summary().objective_metric()})
      .Print(out, Format::kTable, width);
  out << '\n';
}

}  // namespace

std::string FullName(const v1::CampaignSummary& summary) {
  return Printable(summary.project() + "/" + summary.name());
}

std::string StateName(v1::CampaignState state) {
  return WithoutPrefix(v1::CampaignState_Name(state), "CAMPAIGN_STATE_");
}
std::string StateName(v1::AttemptState state) {
  return WithoutPrefix(v1::AttemptState_Name(state), "ATTEMPT_STATE_");
}
std::string StateName(v1::TrialState state) {
  return WithoutPrefix(v1::TrialState_Name(state), "TRIAL_STATE_");
}
std::string PurposeName(v1::Purpose purpose) { return WithoutPrefix(v1::Purpose_Name(purpose), "PURPOSE_"); }
std::string FailureName(v1::FailureClass failure) {
  return failure == v1::FAILURE_CLASS_UNSPECIFIED
             ? ""
             : WithoutPrefix(v1::FailureClass_Name(failure), "FAILURE_CLASS_");
}

bool HasEnded(v1::CampaignState state) {
  return state == v1::CAMPAIGN_STATE_COMPLETED || state == v1::CAMPAIGN_STATE_CANCELLED ||
         state == v1::CAMPAIGN_STATE_FAILED;
}

std::string ComparedAt(const v1::CampaignSummary& summary) {
  const std::string epochs =
      summary.epochs() > 0 ? Plural(summary.epochs(), "epoch") : "epochs not settled yet";
  return Printable(epochs + ", " + summary.numeric_mode() + ", " + summary.dataset());
}

std::vector<std::string> ProgressLines(const v1::CampaignStatus& status) {
  const v1::CampaignSummary& summary = status.summary();
  std::string head = FullName(summary) + "  " + StateName(summary.state());
  if (!summary.reason().empty()) head += ": " + summary.reason();
  std::vector<std::string> lines = {head + "  (" + ComparedAt(summary) + ", " + summary.strategy() + ")",
                                    "trials      " + TrialCounts(status)};
  if (status.candidates_an_hour() > 0) {
    lines.push_back("speed       " + FormatFixed(status.candidates_an_hour(), 0) + " candidates an hour" +
                    (status.slots() > 0 ? " on " + Plural(status.slots(), "slot") : ""));
  }
  lines.push_back(
      "best        " +
      (summary.best_trial().empty()
           ? std::string("none yet")
           : Objective(summary) + "  " + summary.best_trial() +
                 (status.best_size() > 0 ? ", " + FormatCount(status.best(0).params()) + " parameters"
                                         : "")));
  if (status.device_ms() > 0)
    lines.push_back("spent       " + FormatDuration(status.device_ms()) + " of device time, " +
                    FormatDuration(status.useful_device_ms()) + " of it in results");
  if (const std::string left = Left(status); !left.empty() && !HasEnded(summary.state())) {
    lines.push_back("left        " + left);
  }
  if (status.finals_total() > 0) {
    lines.push_back("finals      " + FormatCount(status.finals_done()) + " of " +
                    FormatCount(status.finals_total()) + " trials done");
  }
  if (!status.waiting_reason().empty()) lines.push_back("waiting     " + status.waiting_reason());
  for (const std::string& notice : status.notices()) lines.push_back("note        " + notice);
  for (const std::string& warning : status.warnings()) lines.push_back("warning     " + Printable(warning));
  for (const std::string& failure : status.failures()) lines.push_back("failed      " + failure);
  std::transform(lines.begin(), lines.end(), lines.begin(), Printable);
  return lines;
}

std::string ProgressLine(const v1::CampaignStatus& status) {
  const v1::CampaignSummary& summary = status.summary();
  std::string line = FullName(summary) + " " + StateName(summary.state()) + ": " + TrialCounts(status);
  if (status.candidates_an_hour() > 0)
    line += ", " + FormatFixed(status.candidates_an_hour(), 0) + " an hour";
  if (!summary.best_trial().empty())
    line += ", best " + Objective(summary) + " (" + summary.best_trial() + ")";
  if (status.finals_total() > 0) {
    line += ", finals " + FormatCount(status.finals_done()) + "/" + FormatCount(status.finals_total());
  }
  if (const std::string left = Left(status); !left.empty() && !HasEnded(summary.state()))
    line += ", left " + left;
  if (!status.waiting_reason().empty()) line += ", waiting: " + status.waiting_reason();
  return Printable(line);
}

std::vector<std::string> MetricsOf(const std::vector<v1::TrialSummary>& trials) {
  // What is ranked stands first.
  const auto rank = [](const std::string& name) {
    return name.rfind("val_", 0) == 0 ? 0 : name.rfind("test_", 0) == 0 ? 1 : 2;
  };
  std::set<std::pair<int, std::string>> names;
  for (const v1::TrialSummary& trial : trials) {
    for (const auto& [name, value] : trial.metrics()) names.emplace(rank(name), name);
  }
  std::vector<std::string> ordered;
  for (const auto& [position, name] : names) ordered.push_back(name);
  return ordered;
}

Table TrialTable(const std::vector<v1::TrialSummary>& trials, const std::vector<std::string>& metrics) {
  std::vector<Column> columns = {{"trial"}, {"purpose"}, {"state"}};
  for (const std::string& metric : metrics) columns.push_back({metric, Display::kFraction});
  for (const Column& column : std::vector<Column>{{"params", Display::kCount},
                                                  {"macs", Display::kCount},
                                                  {"epochs", Display::kCount},
                                                  {"replicate", Display::kCount},
                                                  {"busy_ms", Display::kDuration},
                                                  {"failure_class"},
                                                  {"decisions"}}) {
    columns.push_back(column);
  }
  // Most campaigns have one space from launch to end.
  const bool versions = std::any_of(trials.begin(), trials.end(), [](const v1::TrialSummary& trial) {
    return trial.space_version() > 1 || !trial.set_aside().empty();
  });
  if (versions) columns.insert(columns.end() - 1, {{"space_version", Display::kNumber}, {"set_aside"}});
  Table table(columns);
  for (const v1::TrialSummary& trial : trials) {
    std::vector<Cell> row = {trial.name(), PurposeName(trial.purpose()), StateName(trial.state())};
    for (const std::string& metric : metrics) {
      const auto value = trial.metrics().find(metric);
      row.push_back(value == trial.metrics().end() ? Cell() : Cell(value->second));
    }
    row.insert(row.end(), {trial.params(), trial.macs(), trial.epochs(), trial.replicate(), trial.busy_ms(),
                           FailureName(trial.failure_class()), trial.decisions_json()});
    if (versions) row.insert(row.end() - 1, {trial.space_version(), trial.set_aside()});
    table.AddRow(std::move(row));
  }
  return table;
}

void PrintReport(const v1::CampaignReport& report, const v1::CampaignStatus& status, std::ostream& out,
                 int width) {
  if (report.finalists_size() == 0) return PrintBest(status, out, width);
  PrintFinalists(report, out);
  if (!report.sentence().empty()) out << Printable(report.sentence()) << "\n\n";
}

void PrintArchitecture(const std::string& graph_json, std::ostream& out) {
  const auto drawing = DrawArchitecture(graph_json);
  out << "The best architecture:\n\n"
      << (drawing.ok() ? Join(*drawing, "\n") : Message(drawing.status())) << "\n\n";
}

}  // namespace canopy::cli
