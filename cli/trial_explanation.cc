#include "cli/trial_explanation.h"

#include <algorithm>
#include <string>

#include "base/clock.h"
#include "base/strings.h"
#include "cli/campaign_view.h"
#include "cli/table.h"
#include "nlohmann/json.hpp"

namespace canopy::cli {
namespace {

using nlohmann::ordered_json;

ordered_json Time(int64_t us) { return us == 0 ? ordered_json() : ordered_json(FormatWallUs(us)); }

std::string NameOf(const v1::WorkerVerdict& worker) {
  if (worker.workers() <= 1) return worker.worker_id();
  return worker.worker_id() + " and " + FormatCount(worker.workers() - 1) + " like it";
}

}  // namespace

void PrintExplanation(const v1::TrialExplanation& explanation, std::ostream& out, int width) {
  const v1::TrialSummary& trial = explanation.summary();
  out << Printable(trial.name()) << " (" << PurposeName(trial.purpose()) << ") is "
      << StateName(trial.state()) << ": " << Printable(explanation.sentence()) << ".\n";
  for (const std::string& reason : explanation.reasons()) out << "- " << Printable(reason) << '\n';
  if (explanation.workers_size() > 0) {
    Table workers({{"worker"}, {"host"}, {"may_run_it"}, {"free"}, {"why_not"}});
    for (const v1::WorkerVerdict& worker : explanation.workers())
      workers.AddRow({NameOf(worker), worker.host(), std::string(worker.eligible() ? "yes" : "no"),
                      std::string(worker.free() ? "yes" : "no"), worker.why()});
    out << "\nWorkers\n";
    workers.Print(out, Format::kTable, width);
  }
  if (explanation.attempts_size() > 0) {
    Table attempts({{"attempt", Display::kNumber},
                    {"state"},
                    {"class"},
                    {"host"},
                    {"started", Display::kTime},
                    {"ended", Display::kTime},
                    {"message"}});
    for (const v1::AttemptDetails& attempt : explanation.attempts())
      attempts.AddRow({attempt.id(), StateName(attempt.state()), FailureName(attempt.failure_class()),
                       attempt.host(), attempt.started_us(),
                       attempt.ended_us() == 0 ? Cell() : Cell(attempt.ended_us()), attempt.message()});
    out << "\nAttempts\n";
    attempts.Print(out, Format::kTable, width);
  }
  if (explanation.events_size() > 0) out << "\nEvents\n";
  for (const v1::EventRow& event : explanation.events())
    out << FormatWallUs(event.wall_us()) << "  " << Printable(event.kind()) << "  "
        << Printable(CutTo(event.payload_json(), 200)) << '\n';
}

std::string ExplanationJson(const v1::TrialExplanation& explanation) {
  const v1::TrialSummary& trial = explanation.summary();
  ordered_json object = {{"trial", trial.name()},
                         {"id", trial.id()},
                         {"purpose", PurposeName(trial.purpose())},
                         {"state", StateName(trial.state())},
                         {"explanation", explanation.sentence()},
                         {"reasons", ordered_json::array()},
                         {"trials_before", explanation.trials_before()},
                         {"campaigns_before", ordered_json::array()},
                         {"workers", ordered_json::array()},
                         {"attempts", ordered_json::array()},
                         {"events", ordered_json::array()}};
  for (const std::string& reason : explanation.reasons()) object["reasons"].push_back(reason);
  for (const v1::CampaignBefore& before : explanation.before())
    object["campaigns_before"].push_back(
        {{"campaign", before.campaign()}, {"running", before.running()}, {"priority", before.priority()}});
  for (const v1::WorkerVerdict& worker : explanation.workers())
    object["workers"].push_back({{"worker", worker.worker_id()},
                                 {"host", worker.host()},
                                 {"eligible", worker.eligible()},
                                 {"free", worker.free()},
                                 {"workers", std::max<int64_t>(1, worker.workers())},
                                 {"why_not", worker.why()}});
  for (const v1::AttemptDetails& attempt : explanation.attempts())
    object["attempts"].push_back({{"id", attempt.id()},
                                  {"fence", attempt.fence()},
                                  {"state", StateName(attempt.state())},
                                  {"failure_class", FailureName(attempt.failure_class())},
                                  {"worker", attempt.worker_id()},
                                  {"host", attempt.host()},
                                  {"started", Time(attempt.started_us())},
                                  {"ended", Time(attempt.ended_us())},
                                  {"message", attempt.message()}});
  for (const v1::EventRow& event : explanation.events())
    object["events"].push_back({{"seq", event.seq()},
                                {"at", Time(event.wall_us())},
                                {"kind", event.kind()},
                                {"principal", event.principal()},
                                {"payload", ordered_json::parse(event.payload_json(), nullptr, false)}});
  return object.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
}

}  // namespace canopy::cli
