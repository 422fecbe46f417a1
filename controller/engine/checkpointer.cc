#include "controller/engine/checkpointer.h"

#include "base/log.h"

namespace canopy::engine {

bool Checkpointer::Done(int64_t life) {
  MutexLock lock(mutex_);
  if (state_ == State::kEnding) return true;
  if (state_ == State::kAsked) return false;
  // A log that began anew since has what no round has seen.
  const bool done = state_ == State::kDone && life_ == life;
  state_ = done ? State::kIdle : State::kAsked;
  life_ = life;
  changed_.NotifyAll();
  return done;
}

void Checkpointer::Stop() {
  {
    MutexLock lock(mutex_);
    state_ = State::kEnding;
    changed_.NotifyAll();
  }
  if (thread_.joinable()) thread_.join();
}

void Checkpointer::Run() {
  for (;;) {
    {
      MutexLock lock(mutex_);
      while (state_ != State::kAsked && state_ != State::kEnding) changed_.Wait(mutex_);
      if (state_ == State::kEnding) return;
    }
    if (const Status status = run_(); !status.ok())
      CANOPY_LOG(Warning, "The log could not be moved ahead; the writer does it",
                 {{"error", Message(status)}});
    MutexLock lock(mutex_);
    if (state_ == State::kAsked) state_ = State::kDone;
  }
}

}  // namespace canopy::engine
