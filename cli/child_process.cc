#include "cli/child_process.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <utility>

#include "base/file.h"
#include "base/strings.h"
#include "worker/agent/spawn.h"

namespace canopy::cli {
namespace {

constexpr int64_t kStopTimeoutMs = 15'000;
constexpr size_t kShownBytes = 1500;

// The last lines of a file; empty where there is none.
std::string TailOf(const std::string& path) {
  const StatusOr<std::string> content = ReadFile(path);
  if (!content.ok()) return "";
  std::string tail(Trim(*content));
  if (tail.size() <= kShownBytes) return tail;
  tail.erase(0, tail.size() - kShownBytes);
  return tail.substr(std::min(tail.find('\n') + 1, tail.size()));
}

}  // namespace

StatusOr<ChildProcess> ChildProcess::Start(const std::string& program, std::vector<std::string> arguments,
                                           const std::string& output, const std::string& log) {
  CANOPY_RETURN_IF_ERROR(MakeDirectories(std::filesystem::path(output).parent_path(), 0700));
  const size_t verb = arguments.at(0) == "--config" ? 2 : 0;
  const std::string name = "canopy " + arguments.at(verb) + " " + arguments.at(verb + 1);
  arguments.push_back("--parent");
  arguments.push_back(std::to_string(getpid()));
  const int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
  const int out = open(output.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (out < 0) return FromErrno(errno, "open " + output);
  const auto pid = agent::Spawn({.program = program,
                                 .arguments = arguments,
                                 .environment = {},
                                 .descriptors = {{null, 0}, {out, 1}, {out, 2}}});
  close(null);
  close(out);
  if (!pid.ok()) return pid.status();
  return ChildProcess(*pid, name, output, log);
}

ChildProcess::ChildProcess(ChildProcess&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)),
      name_(std::move(other.name_)),
      output_(std::move(other.output_)),
      log_(std::move(other.log_)),
      wait_status_(other.wait_status_) {}

ChildProcess::~ChildProcess() { Stop(kStopTimeoutMs); }

bool ChildProcess::Running() {
  if (pid_ > 0 && !wait_status_) wait_status_ = agent::WaitForExit(pid_, 0);
  return pid_ > 0 && !wait_status_;
}

void ChildProcess::Stop(int64_t timeout_ms) {
  if (!Running()) return;
  kill(pid_, SIGTERM);
  wait_status_ = agent::WaitForExit(pid_, timeout_ms);
  if (wait_status_) return;
  kill(-pid_, SIGKILL);
  int status = 0;
  while (waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
  }
  wait_status_ = status;
}

Status ChildProcess::Failure() const {
  const int status = wait_status_.value_or(0);
  std::string text = name_ + " ended with " +
                     (WIFSIGNALED(status) ? "signal " + std::to_string(WTERMSIG(status))
                                          : "status " + std::to_string(WEXITSTATUS(status)));
  for (const std::string& file : {log_, output_}) {
    if (file.empty()) continue;
    const std::string tail = TailOf(file);
    if (!tail.empty()) text += "\n" + tail + "\n(end of " + file + ")";
  }
  return FailedPrecondition(text);
}

Status EndWithParent(int64_t parent_pid) {
  if (prctl(PR_SET_PDEATHSIG, SIGTERM) != 0) return FromErrno(errno, "prctl(PR_SET_PDEATHSIG)");
  if (getppid() != parent_pid) return FailedPrecondition("the process that started this one has ended");
  return {};
}

}  // namespace canopy::cli
