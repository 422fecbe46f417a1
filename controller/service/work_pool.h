#pragma once

#include <deque>
#include <functional>
#include <thread>
#include <vector>

#include "base/mutex.h"

namespace canopy::controller {

// Threads for people's calls, which read the database and parse files: gRPC's own must not block.
class WorkPool {
 public:
  WorkPool(int threads, size_t max_waiting);
  ~WorkPool() { Stop(); }

  // False, and nothing runs, where too much waits already. Where the pool stops before the work's turn, or
  // has stopped, `drop` runs instead; without one what is added before is done, and what comes later is
  // refused.
  bool Add(std::function<void()> work, std::function<void()> drop = nullptr) CANOPY_EXCLUDES(mutex_);
  // Finishes what runs, drops what waits and ends the threads. Repeatable.
  void Stop() CANOPY_EXCLUDES(mutex_);

 private:
  struct Waiting {
    std::function<void()> work, drop;
  };
  void Run() CANOPY_EXCLUDES(mutex_);

  const size_t max_waiting_;
  Mutex mutex_;
  CondVar changed_;
  std::deque<Waiting> waiting_ CANOPY_GUARDED_BY(mutex_);
  bool stopping_ CANOPY_GUARDED_BY(mutex_) = false;
  std::vector<std::thread> threads_;
};

}  // namespace canopy::controller
