#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <utility>
#include <variant>
#include <vector>

#include "base/clock.h"
#include "base/log.h"
#include "base/mutex.h"
#include "worker/agent/spawn.h"
#include "worker/agent/trainer_launcher.h"
#include "worker/protocol/descriptors.h"
#include "worker/protocol/line_reader.h"
#include "worker/protocol/zygote.h"

namespace canopy::agent {
namespace {

using trainer_protocol::Exited;
using trainer_protocol::Hello;
using trainer_protocol::Spawned;
using trainer_protocol::SpawnFailed;
using trainer_protocol::ZygoteMessage;

constexpr int kControlSocket = 3;
// Between the end of its connection and that of its process.
constexpr int64_t kZygoteExitMs = 2000;
constexpr int64_t kSuspendMs = 1000;  // for its start, and again for its stop
constexpr int64_t kMaxLogBytes = 8 << 20;

// One zygote's life, from its start to its end. Thread-safe.
class Zygote {
 public:
  static StatusOr<std::shared_ptr<Zygote>> Start(const TrainerCommand& command, const std::string& log_path) {
    int ends[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
      return FromErrno(errno, "make the zygote's socket");
    const int log = OpenLog(log_path);
    std::vector<std::string> arguments = command.arguments;
    arguments.push_back("--zygote");
    const auto pid = Spawn({.program = command.program,
                            .arguments = std::move(arguments),
                            .environment = {{"CANOPY_TRAINER_FD", std::to_string(kControlSocket)},
                                            {"OMP_NUM_THREADS", "1"},
                                            {"OPENBLAS_NUM_THREADS", "1"},
                                            {"MKL_NUM_THREADS", "1"}},
                            .descriptors = {{log, 1}, {log, 2}, {ends[1], kControlSocket}}});
    ::close(ends[1]);
    ::close(log);
    if (!pid.ok()) {
      ::close(ends[0]);
      return pid.status();
    }
    auto zygote = std::make_shared<Zygote>(*pid, ends[0]);
    CANOPY_RETURN_IF_ERROR(zygote->Send(Hello{}, {}));
    return zygote;
  }

  Zygote(pid_t pid, int socket) : pid_(pid), socket_(socket), reader_([this] { Read(); }) {}

  // Its trainers die with it (PDEATHSIG).
  ~Zygote() {
    {
      const MutexLock lock(mutex_);
      if (!ended_) ::kill(-pid_, SIGKILL);
    }
    ::shutdown(socket_, SHUT_RDWR);
    reader_.join();
    ::close(socket_);
  }

  // False where the zygote has ended: nothing was started, another zygote is needed.
  bool SpawnTrainer(const LaunchRequest& request, TrainerLauncher::ExitCallback on_exit) {
    {
      const MutexLock lock(mutex_);
      if (ended_) return false;
      children_[request.attempt_id] = {.on_exit = std::move(on_exit)};
    }
    const int descriptors[] = {request.socket, request.log};
    const Status sent = Send(
        trainer_protocol::Spawn{.attempt_id = request.attempt_id, .dataset = request.dataset}, descriptors);
    // Where it could not be sent the zygote is at its end, of which the child hears as all others do.
    if (!sent.ok()) ::shutdown(socket_, SHUT_RDWR);
    return true;
  }

  void Signal(const std::string& attempt_id, int signal) {
    // An error is the zygote's end, with which the trainer ends too.
    (void)Send(trainer_protocol::Signal{.attempt_id = attempt_id, .signal = signal}, {});
  }

  // As TrainerProcess::Suspend.
  bool Suspend(const std::string& attempt_id) {
    const SystemClock clock;
    const int64_t deadline_ms = clock.MonotonicMs() + kSuspendMs;
    std::optional<pid_t> pid;
    {
      // Earlier, a signal has nobody to stop.
      const MutexLock lock(mutex_);
      for (;;) {
        const auto found = children_.find(attempt_id);
        if (found == children_.end()) return true;
        pid = found->second.pid;
        const int64_t left_ms = deadline_ms - clock.MonotonicMs();
        if (pid || left_ms <= 0) break;
        changed_.WaitFor(mutex_, left_ms);
      }
    }
    if (!pid) return false;
    Signal(attempt_id, SIGSTOP);
    return WaitUntilStopped(*pid, kSuspendMs);
  }

 private:
  struct Child {
    TrainerLauncher::ExitCallback on_exit;
    std::optional<pid_t> pid;  // once it runs
  };

  static int OpenLog(const std::string& path) {
    const int log = ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (log >= 0 && ::lseek(log, 0, SEEK_END) > kMaxLogBytes) (void)::ftruncate(log, 0);
    return log >= 0 ? log : ::open("/dev/null", O_WRONLY | O_CLOEXEC);
  }

  Status Send(const ZygoteMessage& message, std::span<const int> descriptors) {
    CANOPY_ASSIGN_OR_RETURN(const std::string line, trainer_protocol::EncodeZygote(message));
    const MutexLock lock(send_mutex_);
    return trainer_protocol::SendBytes(socket_, line + "\n", descriptors);
  }

  void Read() {
    const Status end = ReadMessages();
    if (!end.ok()) CANOPY_LOG(Warning, "the trainers' zygote: " + Message(end));
    auto wait_status = WaitForExit(pid_, end.ok() ? kZygoteExitMs : 0);
    std::map<std::string, Child> orphans;
    {
      const MutexLock lock(mutex_);
      if (!wait_status) {
        ::kill(-pid_, SIGKILL);
        wait_status.emplace();
        ::waitpid(pid_, &*wait_status, 0);
      }
      ended_ = true;
      orphans.swap(children_);
    }
    changed_.NotifyAll();
    for (const auto& [attempt_id, child] : orphans)
      child.on_exit({.wait_status = *wait_status, .of_zygote = true});
  }

  // OK at the connection's end.
  Status ReadMessages() {
    trainer_protocol::LineReader lines;
    for (;;) {
      const auto received = trainer_protocol::ReceiveBytes(socket_);
      if (!received.ok() || received->bytes.empty()) return absl::OkStatus();
      for (const int descriptor : received->descriptors) ::close(descriptor);
      lines.Append(received->bytes);
      for (;;) {
        CANOPY_ASSIGN_OR_RETURN(const std::optional<std::string> line, lines.Next());
        if (!line) break;
        CANOPY_ASSIGN_OR_RETURN(const ZygoteMessage message, trainer_protocol::DecodeZygote(*line));
        CANOPY_RETURN_IF_ERROR(Handle(message));
      }
    }
  }

  Status Handle(const ZygoteMessage& message) {
    if (const auto* hello = std::get_if<Hello>(&message)) {
      if (hello->version == trainer_protocol::kVersion) return absl::OkStatus();
      return FailedPrecondition("it speaks protocol version " + std::to_string(hello->version) +
                                ", this agent version " + std::to_string(trainer_protocol::kVersion) +
                                "; install both from the same release");
    }
    if (const auto* spawned = std::get_if<Spawned>(&message)) {
      const MutexLock lock(mutex_);
      if (auto found = children_.find(spawned->attempt_id); found != children_.end())
        found->second.pid = static_cast<pid_t>(spawned->pid);
      changed_.NotifyAll();
    } else if (const auto* failed = std::get_if<SpawnFailed>(&message)) {
      End(failed->attempt_id, {.start_error = failed->message});
    } else if (const auto* exited = std::get_if<Exited>(&message)) {
      End(exited->attempt_id, {.wait_status = static_cast<int>(exited->wait_status),
                               .cpu_ms = exited->user_ms + exited->system_ms,
                               .peak_memory_bytes = exited->max_rss_bytes});
    } else {
      return InvalidArgument("it sent a message that only an agent sends");
    }
    return absl::OkStatus();
  }

  void End(const std::string& attempt_id, const TrainerExit& exit) {
    TrainerLauncher::ExitCallback on_exit;
    {
      const MutexLock lock(mutex_);
      const auto found = children_.find(attempt_id);
      if (found == children_.end()) return;
      on_exit = std::move(found->second.on_exit);
      children_.erase(found);
    }
    changed_.NotifyAll();
    on_exit(exit);
  }

  const pid_t pid_;
  const int socket_;
  Mutex send_mutex_;
  Mutex mutex_;
  CondVar changed_;
  bool ended_ CANOPY_GUARDED_BY(mutex_) = false;
  std::map<std::string, Child> children_ CANOPY_GUARDED_BY(mutex_);
  std::thread reader_;
};

class ForkedTrainer final : public TrainerProcess {
 public:
  ForkedTrainer(std::shared_ptr<Zygote> zygote, std::string attempt_id)
      : zygote_(std::move(zygote)), attempt_id_(std::move(attempt_id)) {}
  ~ForkedTrainer() override { Signal(SIGKILL); }

  void Signal(int signal) override { zygote_->Signal(attempt_id_, signal); }
  bool Suspend() override { return zygote_->Suspend(attempt_id_); }

 private:
  const std::shared_ptr<Zygote> zygote_;
  const std::string attempt_id_;
};

class ZygoteLauncher final : public TrainerLauncher {
 public:
  ZygoteLauncher(TrainerCommand command, std::string log_path)
      : command_(std::move(command)), log_path_(std::move(log_path)) {}

  StatusOr<std::unique_ptr<TrainerProcess>> Launch(const LaunchRequest& request,
                                                   ExitCallback on_exit) override {
    const MutexLock lock(mutex_);
    if (zygote_ == nullptr || !zygote_->SpawnTrainer(request, on_exit)) {
      if (zygote_ != nullptr) CANOPY_LOG(Warning, "the trainers' zygote has ended; starting another");
      CANOPY_ASSIGN_OR_RETURN(zygote_, Zygote::Start(command_, log_path_));
      if (!zygote_->SpawnTrainer(request, std::move(on_exit)))
        return Unavailable(command_.program + " --zygote ended at once; its log is " + log_path_);
    }
    return std::make_unique<ForkedTrainer>(zygote_, request.attempt_id);
  }

 private:
  const TrainerCommand command_;
  const std::string log_path_;
  Mutex mutex_;
  std::shared_ptr<Zygote> zygote_ CANOPY_GUARDED_BY(mutex_);
};

}  // namespace

std::unique_ptr<TrainerLauncher> MakeZygoteLauncher(TrainerCommand command, std::string log_path) {
  return std::make_unique<ZygoteLauncher>(std::move(command), std::move(log_path));
}

}  // namespace canopy::agent
