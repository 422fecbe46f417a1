#include "cli/watching.h"

#include <unistd.h>

#include <iostream>

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

Status PrintOutcome(CampaignClient& client, const v1::UserHelloReply& controller,
                    const v1::CampaignStatus& status) {
  const v1::CampaignSummary& summary = status.summary();
  const std::string name = summary.project() + "/" + summary.name();
  CANOPY_ASSIGN_OR_RETURN(const v1::CampaignReport report, client.GetReport(name));
  std::cout << '\n';
  PrintReport(report, status, std::cout);
  std::cout << "Database      " << controller.database_path() << '\n';
  if (!report.result_path().empty()) std::cout << "Result        " << report.result_path() << '\n';
  std::cout << "\nTry next:\n"
            << "  canopy best " << name << '\n'
            << "  canopy trial show " << (summary.best_trial().empty() ? name + "/1" : summary.best_trial())
            << '\n'
            << "  canopy query \"select * from campaigns\"\n"
            << std::flush;
  if (summary.state() == v1::CAMPAIGN_STATE_COMPLETED) return {};
  return CampaignEnded(name + " is " + StateName(summary.state()) +
                       (summary.reason().empty() ? "" : ": " + summary.reason()));
}

}  // namespace canopy::cli
