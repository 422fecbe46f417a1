#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/status.h"

namespace canopy::agent {

struct SpawnRequest {
  std::string program;                                           // a path
  std::vector<std::string> arguments;                            // without the program
  std::vector<std::pair<std::string, std::string>> environment;  // beside the agent's own
  // {here, there}: these descriptors alone are open in the child; 0, where it is none of them, is /dev/null.
  std::vector<std::pair<int, int>> descriptors;
};

// Starts a program as the leader of its own process group, with an empty signal mask and default signal
// actions. NotFound or PermissionDenied name the program.
StatusOr<pid_t> Spawn(const SpawnRequest& request);

// Waits until the child has ended and reaps it; nullopt after `timeout_ms`.
std::optional<int> WaitForExit(pid_t pid, int64_t timeout_ms);

// Waits until the process is stopped by a signal or has ended; false after `timeout_ms`.
bool WaitUntilStopped(pid_t pid, int64_t timeout_ms);

// What the program prints to stdout, at most 64 KiB, when it ends with status 0 in time; else
// FailedPrecondition or DeadlineExceeded, which name it. Its process group is killed.
StatusOr<std::string> OutputOf(const std::string& program, const std::vector<std::string>& arguments,
                               int64_t timeout_ms);

}  // namespace canopy::agent
