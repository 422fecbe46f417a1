#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <cerrno>
#include <thread>
#include <utility>

#include "base/mutex.h"
#include "worker/agent/spawn.h"
#include "worker/agent/trainer_launcher.h"

namespace canopy::agent {
namespace {

constexpr int kTrainerSocket = 3;
constexpr int64_t kSuspendMs = 1000;

int64_t Milliseconds(const timeval& time) { return int64_t{time.tv_sec} * 1000 + time.tv_usec / 1000; }

class SpawnedTrainer final : public TrainerProcess {
 public:
  SpawnedTrainer(pid_t pid, TrainerLauncher::ExitCallback on_exit)
      : pid_(pid), on_exit_(std::move(on_exit)), waiter_([this] { Wait(); }) {}

  ~SpawnedTrainer() override {
    Signal(SIGKILL);
    waiter_.join();
  }

  void Signal(int signal) override {
    const MutexLock lock(mutex_);
    if (!reaped_) ::kill(-pid_, signal);
  }
  bool Suspend() override {
    Signal(SIGSTOP);
    return WaitUntilStopped(pid_, kSuspendMs);
  }

 private:
  void Wait() {
    siginfo_t info;
    while (::waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOWAIT) != 0 && errno == EINTR) {
    }
    TrainerExit exit;
    rusage usage{};
    {
      // Until it is reaped, its number and that of its group are no one else's.
      const MutexLock lock(mutex_);
      ::kill(-pid_, SIGKILL);  // what the trainer may have started
      ::wait4(pid_, &exit.wait_status, 0, &usage);
      reaped_ = true;
    }
    exit.cpu_ms = Milliseconds(usage.ru_utime) + Milliseconds(usage.ru_stime);
    exit.peak_memory_bytes = int64_t{usage.ru_maxrss} * 1024;
    on_exit_(exit);
  }

  const pid_t pid_;
  const TrainerLauncher::ExitCallback on_exit_;
  Mutex mutex_;
  bool reaped_ CANOPY_GUARDED_BY(mutex_) = false;
  std::thread waiter_;
};

class ProcessLauncher final : public TrainerLauncher {
 public:
  explicit ProcessLauncher(TrainerCommand command) : command_(std::move(command)) {}

  StatusOr<std::unique_ptr<TrainerProcess>> Launch(const LaunchRequest& request,
                                                   ExitCallback on_exit) override {
    CANOPY_ASSIGN_OR_RETURN(
        const pid_t pid,
        Spawn({.program = command_.program,
               .arguments = command_.arguments,
               .environment = {{"CANOPY_TRAINER_FD", std::to_string(kTrainerSocket)}},
               .descriptors = {{request.log, 1}, {request.log, 2}, {request.socket, kTrainerSocket}}}));
    return std::make_unique<SpawnedTrainer>(pid, std::move(on_exit));
  }

 private:
  const TrainerCommand command_;
};

}  // namespace

std::unique_ptr<TrainerLauncher> MakeProcessLauncher(TrainerCommand command) {
  return std::make_unique<ProcessLauncher>(std::move(command));
}

}  // namespace canopy::agent
