#pragma once

#include <deque>
#include <functional>
#include <thread>
#include <vector>

#include "base/mutex.h"

namespace canopy::engine {

// Gives answers on a thread of its own, in their order, so that the writer need not wait while hundreds are
// sent. Thread-safe.
class Answers {
 public:
  Answers();
  ~Answers() { Stop(); }
  // A few are given at once: a lone caller waits for no other thread.
  void Give(std::vector<std::function<void()>> answers) CANOPY_EXCLUDES(mutex_);
  // Gives what is left and ends the thread; later ones are given at once. Repeatable.
  void Stop() CANOPY_EXCLUDES(mutex_);

 private:
  void Run() CANOPY_EXCLUDES(mutex_);

  Mutex mutex_;
  CondVar changed_;
  std::deque<std::vector<std::function<void()>>> waiting_ CANOPY_GUARDED_BY(mutex_);
  bool busy_ CANOPY_GUARDED_BY(mutex_) = false;
  bool ending_ CANOPY_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace canopy::engine
