#include "worker/agent/measurement_lock.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <optional>

#include "base/log.h"

namespace canopy::agent {
namespace {

constexpr int kWatchMs = 200;  // how late an agent may learn that somebody wants to measure
constexpr int kTurnMs = 20;

// The lock; not held where another has it.
StatusOr<HeldLock> TryLock(const std::string& path, int operation) {
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) return FromErrno(errno, "open " + path);
  if (::flock(fd, operation | LOCK_NB) == 0) return HeldLock(fd);
  const int error = errno;
  ::close(fd);
  if (error == EWOULDBLOCK) return HeldLock();
  return FromErrno(error, "lock " + path);
}

StatusOr<HeldLock> WaitForLock(const std::string& path, const std::function<bool()>& cancelled) {
  for (;;) {
    CANOPY_ASSIGN_OR_RETURN(HeldLock lock, TryLock(path, LOCK_EX));
    if (lock.held()) return lock;
    if (cancelled()) return absl::CancelledError("the wait for the measurement lock was cancelled");
    ::poll(nullptr, 0, kTurnMs);
  }
}

Status OwnFolder(const std::string& path) {
  if (::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) return FromErrno(errno, "create folder " + path);
  struct stat info {};
  if (::lstat(path.c_str(), &info) != 0) return FromErrno(errno, "stat " + path);
  if (S_ISDIR(info.st_mode) && info.st_uid == ::getuid() && (info.st_mode & 022) == 0)
    return absl::OkStatus();
  return FailedPrecondition(path + " must be a folder of this user that nobody else can write; remove it");
}

}  // namespace

StatusOr<std::string> DefaultLockFolder() {
  const std::string name = "/canopy-" + std::to_string(::getuid());
  const std::string run = "/run/lock" + name;
  if (OwnFolder(run).ok()) return run;
  const std::string temporary = "/tmp" + name;
  CANOPY_RETURN_IF_ERROR(OwnFolder(temporary));
  return temporary;
}

HeldLock::~HeldLock() {
  if (fd_ >= 0) ::close(fd_);
}

StatusOr<MeasurementLock> AcquireMeasurementLock(const std::string& folder,
                                                 const std::function<bool()>& cancelled) {
  MeasurementLock lock;
  CANOPY_ASSIGN_OR_RETURN(lock.measure, WaitForLock(folder + "/measure.lock", cancelled));
  CANOPY_ASSIGN_OR_RETURN(lock.running, WaitForLock(folder + "/running.lock", cancelled));
  return lock;
}

RunningTrainers::RunningTrainers(std::string lock_folder, const Clock& clock)
    : folder_(std::move(lock_folder)), clock_(clock), watcher_([this] { Watch(); }) {}

RunningTrainers::~RunningTrainers() {
  {
    const MutexLock lock(mutex_);
    ending_ = true;
  }
  changed_.NotifyAll();
  watcher_.join();
}

StatusOr<bool> RunningTrainers::SomebodyMeasures() const {
  CANOPY_ASSIGN_OR_RETURN(const HeldLock lock, TryLock(folder_ + "/measure.lock", LOCK_SH));
  return !lock.held();
}

Status RunningTrainers::Enter(int64_t attempt_id, const std::function<bool()>& cancelled) {
  const MutexLock lock(mutex_);
  for (;;) {
    if (!paused_ && running_.held()) break;
    if (!paused_) {
      // A measurer that waits goes first; otherwise trainers that come and go would hold it up for ever.
      CANOPY_ASSIGN_OR_RETURN(const bool measuring, SomebodyMeasures());
      if (!measuring) {
        CANOPY_ASSIGN_OR_RETURN(running_, TryLock(folder_ + "/running.lock", LOCK_SH));
        if (running_.held()) break;
      }
    }
    if (cancelled()) return absl::CancelledError("the wait for a measurement's end was cancelled");
    changed_.WaitFor(mutex_, kTurnMs);
  }
  trainers_[attempt_id].paused_before = TotalPausedMs();
  return absl::OkStatus();
}

void RunningTrainers::SetSwitch(int64_t attempt_id, Switch control) {
  const MutexLock lock(mutex_);
  Trainer& trainer = trainers_[attempt_id];
  trainer.control = std::move(control);
  trainer.has_switch = true;
  changed_.NotifyAll();
}

void RunningTrainers::Leave(int64_t attempt_id) {
  const MutexLock lock(mutex_);
  trainers_.erase(attempt_id);
  if (trainers_.empty()) running_ = HeldLock();
  changed_.NotifyAll();
}

int64_t RunningTrainers::PausedMs(int64_t attempt_id) const {
  const MutexLock lock(mutex_);
  const auto found = trainers_.find(attempt_id);
  return found == trainers_.end() ? 0 : TotalPausedMs() - found->second.paused_before;
}

bool RunningTrainers::paused() const {
  const MutexLock lock(mutex_);
  return paused_;
}

int64_t RunningTrainers::TotalPausedMs() const {
  return paused_ms_ + (paused_ ? clock_.MonotonicMs() - paused_since_ms_ : 0);
}

void RunningTrainers::Pause() {
  // A trainer that is just being started is stopped once there is something to stop.
  for (const auto& [id, trainer] : trainers_)
    if (!trainer.has_switch) return;
  for (const auto& [id, trainer] : trainers_) trainer.control.stop();
  paused_ = true;
  paused_since_ms_ = clock_.MonotonicMs();
  running_ = HeldLock();
}

void RunningTrainers::Resume() {
  if (!trainers_.empty()) {
    auto running = TryLock(folder_ + "/running.lock", LOCK_SH);
    if (!running.ok() || !running->held()) return;
    running_ = *std::move(running);
  }
  paused_ms_ = TotalPausedMs();
  paused_ = false;
  for (const auto& [id, trainer] : trainers_) trainer.control.resume();
  changed_.NotifyAll();
}

void RunningTrainers::Watch() {
  const MutexLock lock(mutex_);
  while (!ending_) {
    const auto measuring = SomebodyMeasures();
    if (!measuring.ok()) {
      CANOPY_LOG(Warning, "the measurement lock can't be read: " + Message(measuring.status()));
    } else if (!paused_ && *measuring && running_.held()) {
      Pause();
    } else if (paused_ && !*measuring) {
      Resume();
    }
    changed_.WaitFor(mutex_, kWatchMs);
  }
}

}  // namespace canopy::agent
