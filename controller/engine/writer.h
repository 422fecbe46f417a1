#pragma once

#include <deque>
#include <memory>
#include <thread>

#include "base/clock.h"
#include "base/status.h"
#include "controller/engine/answers.h"
#include "controller/engine/checkpointer.h"
#include "controller/engine/commit_loop.h"
#include "controller/engine/engine.h"
#include "controller/engine/event_queue.h"
#include "controller/engine/proposer_pool.h"
#include "controller/engine/statistics.h"
#include "storage/trial_store.h"

namespace canopy::engine {

// The thread that owns the commit loop. Whatever is queued becomes one batch; a lone event is not kept
// waiting for others.
class Writer {
 public:
  Writer(EngineOptions options, std::unique_ptr<storage::TrialStore> store, const Clock& clock,
         controller::CoreState state, EventQueue& queue);
  ~Writer() { Stop(); }
  // Commits what is queued, answers all that waits and ends the threads. REQUIRES a closed queue. Repeatable.
  void Stop();

  Statistics statistics() const;

 private:
  void Run();
  // Waits for jobs, and adds what is due.
  std::deque<Job> NextBatch();
  // Commits what the batch has to commit, then does its StoreJobs.
  void Work(std::deque<Job> batch);
  void Commit(std::deque<Job> batch);

  DiskGuard disk_;
  const std::function<void(const Status&)> on_storage_failure_;
  const Clock& clock_;
  EventQueue& queue_;
  bool failed_ = false;

  Answers answers_;
  Checkpointer checkpointer_;
  std::unique_ptr<ProposerPool> proposers_;
  std::unique_ptr<CommitLoop> loop_;
  std::thread thread_;
};

}  // namespace canopy::engine
