#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>

#if defined(__clang__)
#define CANOPY_THREAD_ANNOTATION(x) __attribute__((x))
#else
#define CANOPY_THREAD_ANNOTATION(x)
#endif
#define CANOPY_GUARDED_BY(x) CANOPY_THREAD_ANNOTATION(guarded_by(x))
#define CANOPY_REQUIRES(...) CANOPY_THREAD_ANNOTATION(requires_capability(__VA_ARGS__))
#define CANOPY_EXCLUDES(...) CANOPY_THREAD_ANNOTATION(locks_excluded(__VA_ARGS__))

namespace canopy {

// std::mutex with Clang's thread-safety annotations. The only lock type of the project: absl::Mutex is
// not instrumented in distribution builds, so that TSan reports correct code.
class CANOPY_THREAD_ANNOTATION(capability("mutex")) Mutex {
 public:
  void Lock() CANOPY_THREAD_ANNOTATION(acquire_capability()) { mutex_.lock(); }
  void Unlock() CANOPY_THREAD_ANNOTATION(release_capability()) { mutex_.unlock(); }

 private:
  friend class CondVar;
  std::mutex mutex_;
};

class CANOPY_THREAD_ANNOTATION(scoped_lockable) MutexLock {
 public:
  explicit MutexLock(Mutex& mutex) CANOPY_THREAD_ANNOTATION(acquire_capability(mutex)) : mutex_(mutex) {
    mutex_.Lock();
  }
  ~MutexLock() CANOPY_THREAD_ANNOTATION(release_capability()) { mutex_.Unlock(); }
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;

 private:
  Mutex& mutex_;
};

// Waits re-check their condition in the caller's loop: `while (!ready_) cv_.Wait(mutex_);`.
class CondVar {
 public:
  void Wait(Mutex& mutex) CANOPY_REQUIRES(mutex) {
    std::unique_lock<std::mutex> lock(mutex.mutex_, std::adopt_lock);
    condition_.wait(lock);
    lock.release();
  }
  // False when `timeout_ms` passed without a notification.
  bool WaitFor(Mutex& mutex, int64_t timeout_ms) CANOPY_REQUIRES(mutex) {
    std::unique_lock<std::mutex> lock(mutex.mutex_, std::adopt_lock);
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(timeout_ms);
    const bool notified = condition_.wait_until(lock, deadline) == std::cv_status::no_timeout;
    lock.release();
    return notified;
  }
  void NotifyOne() { condition_.notify_one(); }
  void NotifyAll() { condition_.notify_all(); }

 private:
  std::condition_variable condition_;
};

}  // namespace canopy
