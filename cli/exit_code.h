#pragma once

#include "base/status.h"

namespace canopy::cli {

// What the program's exit status means; docs/command_line.md. Never renumbered.
enum class ExitCode {
  kOk = 0,
  kError = 1,          // anything without a number of its own
  kUsage = 2,          // the command line itself
  kRefused = 3,        // a file or value was read and refused
  kNotFound = 4,       // no such campaign, trial or file
  kUnreachable = 5,    // no controller answers, or it does not permit this
  kCampaignEnded = 6,  // the campaign was waited for, and paused itself, failed or was cancelled
  kProblemsFound = 7,  // `db check` or `doctor` found something that has to be seen to
  kInterrupted = 130,  // Ctrl-C
};

ExitCode ExitCodeOf(const Status& status);

// The status of a command that Ctrl-C ended.
Status Interrupted();
// The status of a command that waited for a campaign which ended without a result.
Status CampaignEnded(std::string_view message);
// The status of a command that looked for problems and found some.
Status ProblemsFound(std::string_view message);

}  // namespace canopy::cli
