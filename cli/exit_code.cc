#include "cli/exit_code.h"

#include <optional>
#include <string_view>

#include "absl/strings/cord.h"
#include "base/strings.h"

namespace canopy::cli {
namespace {

// A status payload that holds the number of an exit code that no status code stands for.
constexpr std::string_view kPayload = "canopy.cli.exit_code";

Status WithExitCode(Status status, ExitCode code) {
  status.SetPayload(ToAbsl(kPayload), absl::Cord(std::to_string(static_cast<int>(code))));
  return status;
}

}  // namespace

ExitCode ExitCodeOf(const Status& status) {
  if (const auto payload = status.GetPayload(ToAbsl(kPayload)); payload.has_value()) {
    return static_cast<ExitCode>(ParseInt(std::string(*payload)).value_or(1));
  }
  switch (status.code()) {
    case absl::StatusCode::kOk:
      return ExitCode::kOk;
    case absl::StatusCode::kInvalidArgument:
      return ExitCode::kRefused;
    case absl::StatusCode::kNotFound:
      return ExitCode::kNotFound;
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kUnauthenticated:
    case absl::StatusCode::kPermissionDenied:
      return ExitCode::kUnreachable;
    default:
      return ExitCode::kError;
  }
}

Status Interrupted() { return WithExitCode(absl::CancelledError("interrupted"), ExitCode::kInterrupted); }

Status ProblemsFound(std::string_view message) {
  return WithExitCode(FailedPrecondition(message), ExitCode::kProblemsFound);
}

Status CampaignEnded(std::string_view message) {
  return WithExitCode(FailedPrecondition(message), ExitCode::kCampaignEnded);
}

}  // namespace canopy::cli
