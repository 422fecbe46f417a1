#include "worker/agent/spawn.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <string_view>

#include "base/clock.h"
#include "base/file.h"

extern char** environ;

namespace canopy::agent {
namespace {

constexpr size_t kMaxOutputBytes = 64 * 1024;
constexpr int kExitPollMs = 5;

std::vector<std::string> Environment(const SpawnRequest& request) {
  std::map<std::string, std::string> values;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string text = *entry;
    const size_t equals = text.find('=');
    if (equals != std::string::npos) values[text.substr(0, equals)] = text.substr(equals + 1);
  }
  for (const auto& [name, value] : request.environment) values[name] = value;
  std::vector<std::string> lines;
  for (const auto& [name, value] : values) lines.push_back(name + "=" + value);
  return lines;
}

std::vector<char*> Pointers(std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  for (std::string& text : texts) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

// The descriptors of a request, copied to numbers above all that the child gets: none is overwritten before
// it has been used.
class CopiedDescriptors {
 public:
  static StatusOr<CopiedDescriptors> Above(int highest, const SpawnRequest& request) {
    CopiedDescriptors copies;
    for (const auto& [here, there] : request.descriptors) {
      const int copy = ::fcntl(here, F_DUPFD_CLOEXEC, highest + 1);
      if (copy < 0) return FromErrno(errno, "copy a descriptor for " + request.program);
      copies.copies_.push_back(copy);
    }
    return copies;
  }
  CopiedDescriptors(CopiedDescriptors&&) = default;
  ~CopiedDescriptors() {
    for (const int copy : copies_) ::close(copy);
  }
  int at(size_t i) const { return copies_[i]; }

 private:
  CopiedDescriptors() = default;
  std::vector<int> copies_;
};

void SetAttributes(posix_spawnattr_t& attributes) {
  sigset_t none, all;
  sigemptyset(&none);
  sigfillset(&all);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &all);
  posix_spawnattr_setpgroup(&attributes, 0);
  posix_spawnattr_setflags(&attributes,
                           POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
}

}  // namespace

StatusOr<pid_t> Spawn(const SpawnRequest& request) {
  std::vector<std::string> arguments = {request.program};
  arguments.insert(arguments.end(), request.arguments.begin(), request.arguments.end());
  std::vector<std::string> environment = Environment(request);

  int highest = STDERR_FILENO;
  for (const auto& [here, there] : request.descriptors) highest = std::max(highest, there);
  CANOPY_ASSIGN_OR_RETURN(const CopiedDescriptors copies, CopiedDescriptors::Above(highest, request));
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  for (size_t i = 0; i < request.descriptors.size(); ++i)
    posix_spawn_file_actions_adddup2(&actions, copies.at(i), request.descriptors[i].second);
  posix_spawn_file_actions_addclosefrom_np(&actions, highest + 1);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  SetAttributes(attributes);

  pid_t pid = -1;
  const int error = ::posix_spawn(&pid, request.program.c_str(), &actions, &attributes,
                                  Pointers(arguments).data(), Pointers(environment).data());
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0) return FromErrno(error, "start " + request.program);
  return pid;
}

std::optional<int> WaitForExit(pid_t pid, int64_t timeout_ms) {
  const SystemClock clock;
  const int64_t deadline_ms = clock.MonotonicMs() + timeout_ms;
  for (;;) {
    int wait_status = 0;
    if (::waitpid(pid, &wait_status, WNOHANG) == pid) return wait_status;
    if (clock.MonotonicMs() >= deadline_ms) return std::nullopt;
    ::poll(nullptr, 0, kExitPollMs);
  }
}

bool WaitUntilStopped(pid_t pid, int64_t timeout_ms) {
  const SystemClock clock;
  const int64_t deadline_ms = clock.MonotonicMs() + timeout_ms;
  for (;;) {
    // "pid (name) state ...": the name may hold anything, blanks and brackets too.
    const auto stat = ReadFile("/proc/" + std::to_string(pid) + "/stat");
    if (!stat.ok()) return true;
    const size_t name_end = stat->rfind(')');
    const char state = name_end + 2 < stat->size() ? (*stat)[name_end + 2] : '?';
    if (std::string_view("TtZX").find(state) != std::string_view::npos) return true;
    if (clock.MonotonicMs() >= deadline_ms) return false;
    ::poll(nullptr, 0, kExitPollMs);
  }
}

StatusOr<std::string> OutputOf(const std::string& program, const std::vector<std::string>& arguments,
                               int64_t timeout_ms) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return FromErrno(errno, "make a pipe");
  const auto pid = Spawn(
      {.program = program, .arguments = arguments, .descriptors = {{ends[1], 1}, {STDERR_FILENO, 2}}});
  ::close(ends[1]);
  if (!pid.ok()) {
    ::close(ends[0]);
    return pid.status();
  }
  const SystemClock clock;
  const int64_t deadline_ms = clock.MonotonicMs() + timeout_ms;
  std::string output;
  bool ended = false;
  while (!ended && output.size() < kMaxOutputBytes) {
    pollfd item{.fd = ends[0], .events = POLLIN, .revents = 0};
    const int64_t left_ms = deadline_ms - clock.MonotonicMs();
    if (left_ms <= 0 || ::poll(&item, 1, static_cast<int>(left_ms)) == 0) break;
    char buffer[4096];
    const ssize_t count = ::read(ends[0], buffer, sizeof buffer);
    ended = count == 0;
    if (count > 0) output.append(buffer, static_cast<size_t>(count));
  }
  ::close(ends[0]);
  const auto wait_status =
      WaitForExit(*pid, ended ? std::max<int64_t>(0, deadline_ms - clock.MonotonicMs()) : 0);
  if (!wait_status) {
    ::kill(-*pid, SIGKILL);
    int ignored = 0;
    ::waitpid(*pid, &ignored, 0);
    return DeadlineExceeded(program + " did not end within " + std::to_string(timeout_ms) + " ms");
  }
  if (WIFSIGNALED(*wait_status))
    return FailedPrecondition(program + " was ended by signal " + std::to_string(WTERMSIG(*wait_status)) +
                              "; run it by hand to see whether it happens again");
  if (WEXITSTATUS(*wait_status) != 0)
    return FailedPrecondition(program + " ended with status " + std::to_string(WEXITSTATUS(*wait_status)) +
                              "; run it by hand to see why");
  return output;
}

}  // namespace canopy::agent
