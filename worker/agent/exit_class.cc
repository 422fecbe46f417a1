#include "worker/agent/exit_class.h"

#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#include <fstream>

#include "base/check.h"
#include "worker/agent/host.h"

namespace canopy::agent {
namespace {

using model::FailureClass;

std::string SignalName(int signal) {
  const char* name = ::sigabbrev_np(signal);
  return name != nullptr ? "SIG" + std::string(name) : "signal " + std::to_string(signal);
}

}  // namespace

v1::AttemptFailure MakeFailure(FailureClass failure_class, const std::string& message) {
  v1::AttemptFailure failure;
  v1::FailureClass value = v1::FAILURE_CLASS_UNSPECIFIED;
  CANOPY_CHECK(
      v1::FailureClass_Parse("FAILURE_CLASS_" + std::string(model::ToString(failure_class)), &value));
  failure.set_failure_class(value);
  failure.set_message(message);
  return failure;
}

v1::AttemptFailure ClassifyExit(const TrainerExit& exit, bool oom_killed) {
  if (!exit.start_error.empty())
    return MakeFailure(FailureClass::kWorkerLost, "the trainer could not be started: " + exit.start_error);
  const std::string who = exit.of_zygote ? "the zygote of the trainers" : "the trainer";
  if (!WIFSIGNALED(exit.wait_status))
    return MakeFailure(FailureClass::kTrainerCrash, who + " ended with status " +
                                                        std::to_string(WEXITSTATUS(exit.wait_status)) +
                                                        " before it sent a result; its log says more");
  const int signal = WTERMSIG(exit.wait_status);
  const std::string message = who + " was killed by " + SignalName(signal);
  if (signal == SIGKILL && oom_killed && !exit.of_zygote)
    return MakeFailure(FailureClass::kOutOfMemory,
                       message + ", because the host or its cgroup ran out of memory");
  if (signal == SIGKILL || signal == SIGTERM || signal == SIGINT)
    return MakeFailure(FailureClass::kWorkerLost, message + " from outside");
  return MakeFailure(FailureClass::kTrainerCrash, message);
}

int64_t OomKills() {
  // The nearest cgroup that tells: those above it count the kills of others too.
  for (const std::string& folder : CgroupFolders("memory")) {
    for (const char* file : {"/memory.events", "/memory.oom_control"}) {
      std::ifstream lines(folder + file);
      int64_t count = 0;
      for (std::string key; lines >> key >> count;)
        if (key == "oom_kill") return count;
    }
  }
  return 0;
}

}  // namespace canopy::agent
