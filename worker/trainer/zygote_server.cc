#include "worker/trainer/zygote_server.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <deque>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <variant>

#include "base/log.h"
#include "worker/protocol/descriptors.h"
#include "worker/protocol/line_reader.h"
#include "worker/protocol/zygote.h"

namespace canopy::trainer {
namespace {

using trainer_protocol::Exited;
using trainer_protocol::Hello;
using trainer_protocol::Spawn;
using trainer_protocol::Spawned;
using trainer_protocol::SpawnFailed;
using trainer_protocol::ZygoteMessage;

// Of oom_score_adj (proc(5)): what a child has above its zygote, and the most there is.
constexpr int64_t kChildOomScore = 300;
constexpr int64_t kHighestOomScore = 1000;

bool is_zygote_child = false;

int64_t Milliseconds(const timeval& time) { return int64_t{time.tv_sec} * 1000 + time.tv_usec / 1000; }

// A child's end costs one attempt, the zygote's all of them. Best effort: without it the kernel may choose
// either.
void BecomeLikelierToBeKilledForMemory() {
  const std::string file = "/proc/self/oom_score_adj";
  int64_t now = 0;
  std::ifstream(file) >> now;
  std::ofstream(file) << std::min(now + kChildOomScore, kHighestOomScore);
}

int ThreadCount() {
  const std::filesystem::directory_iterator tasks("/proc/self/task");
  return static_cast<int>(std::distance(begin(tasks), end(tasks)));
}

class ZygoteServer {
 public:
  ZygoteServer(int control, DatasetCache& datasets, const ChildMain& child_main)
      : control_(control), datasets_(datasets), child_main_(child_main) {}

  ~ZygoteServer() {
    for (const auto& [pid, attempt] : attempts_) ::kill(-pid, SIGKILL);
    for (const int descriptor : descriptors_) ::close(descriptor);
    if (child_ended_ >= 0) ::close(child_ended_);
  }

  Status Serve() {
    CANOPY_RETURN_IF_ERROR(WatchChildren());
    CANOPY_RETURN_IF_ERROR(Send(Hello{}));
    while (!closed_) {
      pollfd items[] = {{.fd = control_, .events = POLLIN, .revents = 0},
                        {.fd = child_ended_, .events = POLLIN, .revents = 0}};
      if (::poll(items, std::size(items), -1) < 0 && errno != EINTR)
        return FromErrno(errno, "poll in the zygote");
      if (items[1].revents != 0) CANOPY_RETURN_IF_ERROR(ReapChildren());
      if (items[0].revents != 0) CANOPY_RETURN_IF_ERROR(HandleInput());
    }
    return absl::OkStatus();
  }

 private:
  // SIGCHLD becomes readable instead of interrupting; children get the old mask back.
  Status WatchChildren() {
    sigset_t child;
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    ::sigprocmask(SIG_BLOCK, &child, &inherited_mask_);
    child_ended_ = ::signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);
    return child_ended_ >= 0 ? absl::OkStatus() : FromErrno(errno, "signalfd in the zygote");
  }

  Status Send(const ZygoteMessage& message) {
    CANOPY_ASSIGN_OR_RETURN(const std::string line, trainer_protocol::EncodeZygote(message));
    return trainer_protocol::SendBytes(control_, line + "\n");
  }

  Status HandleInput() {
    CANOPY_ASSIGN_OR_RETURN(const trainer_protocol::Received received,
                            trainer_protocol::ReceiveBytes(control_));
    closed_ = received.bytes.empty();
    descriptors_.insert(descriptors_.end(), received.descriptors.begin(), received.descriptors.end());
    reader_.Append(received.bytes);
    for (;;) {
      CANOPY_ASSIGN_OR_RETURN(const std::optional<std::string> line, reader_.Next());
      if (!line) return absl::OkStatus();
      CANOPY_ASSIGN_OR_RETURN(const ZygoteMessage message, trainer_protocol::DecodeZygote(*line));
      CANOPY_RETURN_IF_ERROR(Handle(message));
    }
  }

  Status Handle(const ZygoteMessage& message) {
    if (const auto* spawn = std::get_if<Spawn>(&message)) return SpawnChild(*spawn);
    if (const auto* signal = std::get_if<trainer_protocol::Signal>(&message)) {
      for (const auto& [pid, attempt] : attempts_)
        if (attempt == signal->attempt_id) ::kill(-pid, static_cast<int>(signal->signal));
      return absl::OkStatus();
    }
    if (const auto* hello = std::get_if<Hello>(&message)) {
      if (hello->version == trainer_protocol::kVersion) return absl::OkStatus();
      return FailedPrecondition("trainer protocol: the agent speaks version " +
                                std::to_string(hello->version) + ", this trainer version " +
                                std::to_string(trainer_protocol::kVersion));
    }
    return InvalidArgument("the zygote got a message that only it sends");
  }

  Status SpawnChild(const Spawn& spawn) {
    if (descriptors_.size() < 2)
      return InvalidArgument(
          "spawn: expected two descriptors with the line, the trainer's socket and its log");
    const int socket = descriptors_[0];
    const int log = descriptors_[1];
    descriptors_.erase(descriptors_.begin(), descriptors_.begin() + 2);
    if (!spawn.dataset.name.empty()) {
      // The child meets the same error and reports it as its job's.
      const Status loaded = datasets_.TrainingImages(spawn.dataset).status();
      if (!loaded.ok()) CANOPY_LOG(Warning, Message(loaded));
    }
    const pid_t zygote = ::getpid();
    const pid_t pid = ::fork();
    if (pid == 0) RunChild(socket, log, zygote);
    const int fork_error = errno;
    ::close(socket);
    ::close(log);
    if (pid < 0)
      return Send(SpawnFailed{.attempt_id = spawn.attempt_id,
                              .message = Message(FromErrno(fork_error, "fork a trainer"))});
    ::setpgid(pid, pid);  // here as well, so that it holds before the agent learns of the child
    attempts_.emplace(pid, spawn.attempt_id);
    return Send(Spawned{.attempt_id = spawn.attempt_id, .pid = pid});
  }

  [[noreturn]] void RunChild(int socket, int log, pid_t zygote) {
    is_zygote_child = true;
    ::setpgid(0, 0);
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != zygote) ::_exit(1);  // it died before the line above
    ::sigprocmask(SIG_SETMASK, &inherited_mask_, nullptr);
    BecomeLikelierToBeKilledForMemory();
    ::dup2(log, STDOUT_FILENO);
    ::dup2(log, STDERR_FILENO);
    ::close(log);
    ::close(control_);
    ::close(child_ended_);
    ::_exit(child_main_(socket));
  }

  Status ReapChildren() {
    signalfd_siginfo ignored[8];
    while (::read(child_ended_, ignored, sizeof ignored) > 0) {
    }
    for (;;) {
      int wait_status = 0;
      rusage usage{};
      const pid_t pid = ::wait4(-1, &wait_status, WNOHANG, &usage);
      if (pid <= 0) return absl::OkStatus();
      const auto found = attempts_.find(pid);
      if (found == attempts_.end()) continue;
      ::kill(-pid, SIGKILL);  // what the child may have started
      CANOPY_RETURN_IF_ERROR(Send(Exited{.attempt_id = found->second,
                                         .pid = pid,
                                         .wait_status = wait_status,
                                         .user_ms = Milliseconds(usage.ru_utime),
                                         .system_ms = Milliseconds(usage.ru_stime),
                                         .max_rss_bytes = int64_t{usage.ru_maxrss} * 1024}));
      attempts_.erase(found);
    }
  }

  int control_;
  DatasetCache& datasets_;
  const ChildMain& child_main_;
  trainer_protocol::LineReader reader_;
  std::deque<int> descriptors_;            // received, not yet used
  std::map<pid_t, std::string> attempts_;  // of children not yet reaped
  sigset_t inherited_mask_{};
  int child_ended_ = -1;
  bool closed_ = false;
};

}  // namespace

bool IsZygoteChild() { return is_zygote_child; }

Status ServeZygote(int control_socket, DatasetCache& datasets, const ChildMain& child_main) {
  if (const int threads = ThreadCount(); threads != 1)
    return FailedPrecondition("a zygote must have one thread and has " + std::to_string(threads) +
                              "; set OMP_NUM_THREADS=1 and OPENBLAS_NUM_THREADS=1");
  return ZygoteServer(control_socket, datasets, child_main).Serve();
}

}  // namespace canopy::trainer
