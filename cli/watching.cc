#include "cli/watching.h"

#include <unistd.h>

#include <algorithm>
#include <iostream>
#include <string>

#include "base/clock.h"
#include "base/strings.h"
#include "cli/campaign_view.h"
#include "cli/command.h"
#include "cli/exit_code.h"
#include "cli/interrupt.h"
#include "cli/live_view.h"

namespace canopy::cli {
namespace {

constexpr int64_t kPollMs = 1000;
constexpr int64_t kPatienceMs = 120'000;

bool MayPass(const Status& status) {
  return status.code() == absl::StatusCode::kUnavailable ||
         status.code() == absl::StatusCode::kDeadlineExceeded;
}

}  // namespace

StatusOr<v1::CampaignStatus> WatchCampaign(CampaignClient& client, const std::string& campaign,
                                           const std::function<Status()>& keep_up) {
  const SystemClock clock;
  LiveView view(std::cerr, TerminalWidth(STDERR_FILENO), clock);
  int64_t answered_ms = clock.MonotonicMs();
  for (;;) {
    const auto status = client.GetCampaign(campaign);
    if (status.ok()) {
      answered_ms = clock.MonotonicMs();
      view.Show(*status);
      const v1::CampaignState state = status->summary().state();
      if (HasEnded(state) || state == v1::CAMPAIGN_STATE_PAUSED) return status;
    } else if (!MayPass(status.status()) || clock.MonotonicMs() - answered_ms > kPatienceMs) {
      return status.status();
    }
    if (InterruptGuard::SleepFor(kPollMs)) return Interrupted();
    CANOPY_RETURN_IF_ERROR(keep_up());
  }
}

Status PrintOutcome(const Context& context, Connection& connection, const v1::CampaignStatus& status) {
  const v1::CampaignSummary& summary = status.summary();
  const std::string name = summary.project() + "/" + summary.name();
  CANOPY_ASSIGN_OR_RETURN(const v1::CampaignReport report, connection.client().GetReport(name));
  std::cout << '\n';
  PrintReport(report, status, std::cout, TerminalWidth(STDOUT_FILENO));
  std::string graph_json = report.winner().graph_json();
  if (graph_json.empty() && !summary.best_trial().empty()) {
    CANOPY_ASSIGN_OR_RETURN(const v1::TrialDetails best, connection.client().GetTrial(summary.best_trial()));
    graph_json = best.graph_json();
  }
  if (!graph_json.empty()) PrintArchitecture(graph_json, std::cout);
  std::cout << "Database  " << connection.hello().database_path() << '\n';
  if (!report.result_path().empty()) std::cout << "Result    " << report.result_path() << '\n';
  std::string view = summary.project() + "__" + summary.name();
  std::replace(view.begin(), view.end(), '-', '_');
  std::string trial = report.winner().trial();
  if (trial.empty()) trial = summary.best_trial().empty() ? name + "/1" : summary.best_trial();
  std::cout << "\nTry next:\n  " << Suggestion(context, "best " + name) << "\n  "
            << Suggestion(context, "trial show " + trial) << "\n  "
            << Suggestion(context, "query \"select trial, objective, params, macs from " + view +
                                       " where purpose = 'SEARCH' order by objective desc limit 5\"")
            << '\n'
            << std::flush;
  if (summary.state() == v1::CAMPAIGN_STATE_COMPLETED) return {};
  std::string message = name + " is " + StateName(summary.state());
  if (!summary.reason().empty()) message += ": " + Printable(summary.reason());
  if (summary.state() == v1::CAMPAIGN_STATE_PAUSED) {
    message += "\ngo on with: " + Suggestion(context, "campaign resume " + name);
  }
  return CampaignEnded(message);
}

}  // namespace canopy::cli
