#include "worker/agent/measurement_lock.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
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
    if (!measuring_ && running_.held()) break;
    if (!paused_ && !running_.held()) {
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
  trainers_.try_emplace(attempt_id);
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
  while (switched_ == attempt_id) changed_.Wait(mutex_);
  trainers_.erase(attempt_id);
  if (trainers_.empty()) running_ = HeldLock();
  changed_.NotifyAll();
}

int64_t RunningTrainers::PausedMs(int64_t attempt_id) const {
  const MutexLock lock(mutex_);
  const auto found = trainers_.find(attempt_id);
  if (found == trainers_.end()) return 0;
  const Trainer& trainer = found->second;
  return trainer.paused_ms + (trainer.stopped ? clock_.MonotonicMs() - trainer.stopped_since_ms : 0);
}

bool RunningTrainers::paused() const {
  const MutexLock lock(mutex_);
  return paused_ || std::any_of(trainers_.begin(), trainers_.end(),
                                [](const auto& entry) { return entry.second.stopped; });
}

std::optional<std::pair<int64_t, RunningTrainers::Switch>> RunningTrainers::BeginSwitch(int64_t after,
                                                                                        bool stop) {
  const MutexLock lock(mutex_);
  for (auto next = trainers_.upper_bound(after); next != trainers_.end(); ++next) {
    // One that is just being started is stopped once there is something to stop.
    if (!next->second.has_switch || next->second.stopped == stop) continue;
    switched_ = next->first;
    return std::pair(next->first, next->second.control);
  }
  return std::nullopt;
}

void RunningTrainers::EndSwitch(int64_t attempt_id, bool stop, bool done) {
  const MutexLock lock(mutex_);
  switched_ = kNone;
  changed_.NotifyAll();
  if (!done) return;
  Trainer& trainer = trainers_.at(attempt_id);
  trainer.stopped = stop;
  if (stop) {
    trainer.stopped_since_ms = clock_.MonotonicMs();
  } else {
    trainer.paused_ms += clock_.MonotonicMs() - trainer.stopped_since_ms;
  }
}

// Without the lock: a trainer that can't be stopped, because its zygote hangs, is not to hang the others.
void RunningTrainers::SwitchAll(bool stop) {
  int64_t after = kNone;
  while (const auto next = BeginSwitch(after, stop)) {
    after = next->first;
    bool done = true;
    if (stop) {
      done = next->second.stop();
      if (!done) {
        CANOPY_LOG(Warning, "a trainer can't be stopped for a measurement, which waits",
                   {{"attempt", std::to_string(after)}});
        next->second.resume();  // it may stop late, when nobody measures any more
      }
    } else {
      next->second.resume();
    }
    EndSwitch(after, stop, done);
  }
}

void RunningTrainers::Watch() {
  for (;;) {
    bool measuring = false;
    {
      const MutexLock lock(mutex_);
      if (ending_) return;
      const auto found = SomebodyMeasures();
      if (found.ok()) measuring_ = *found;
      if (!found.ok()) CANOPY_LOG(Warning, "the measurement lock can't be read: " + Message(found.status()));
      if (paused_ && !measuring_) {
        if (!trainers_.empty()) {
          auto running = TryLock(folder_ + "/running.lock", LOCK_SH);
          if (running.ok()) running_ = *std::move(running);
        }
        paused_ = !trainers_.empty() && !running_.held();
      }
      measuring = measuring_ || paused_;
    }
    SwitchAll(/*stop=*/measuring);
    const MutexLock lock(mutex_);
    if (measuring_ && running_.held() &&
        std::all_of(trainers_.begin(), trainers_.end(),
                    [](const auto& entry) { return entry.second.stopped; })) {
      paused_ = true;
      running_ = HeldLock();
    }
    if (!ending_) changed_.WaitFor(mutex_, kWatchMs);
  }
}

}  // namespace canopy::agent
