#pragma once

#include <cstdint>
#include <thread>
#include <utility>

#include "base/mutex.h"
#include "storage/trial_store.h"

namespace canopy::engine {

// Moves the database's log on a thread of its own: a round takes as long as some commits, and those who wait
// for one should not wait for it. Thread-safe.
class Checkpointer {
 public:
  explicit Checkpointer(storage::TrialStore::Checkpointer run) : run_(std::move(run)) {}
  ~Checkpointer() { Stop(); }
  // True where a round has ended that was asked for with this `life` of the log, once; otherwise one runs or
  // begins now. A round that failed has ended too: what it left is the caller's.
  bool Done(int64_t life) CANOPY_EXCLUDES(mutex_);
  // Waits for the round that runs. Done is true from now on. Repeatable.
  void Stop() CANOPY_EXCLUDES(mutex_);

 private:
  enum class State { kIdle, kAsked, kDone, kEnding };
  void Run() CANOPY_EXCLUDES(mutex_);

  const storage::TrialStore::Checkpointer run_;
  Mutex mutex_;
  CondVar changed_;
  State state_ CANOPY_GUARDED_BY(mutex_) = State::kIdle;
  int64_t life_ CANOPY_GUARDED_BY(mutex_) = 0;  // what was last asked for
  std::thread thread_{[this] { Run(); }};
};

}  // namespace canopy::engine
