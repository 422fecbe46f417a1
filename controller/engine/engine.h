#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/clock.h"
#include "base/status.h"
#include "controller/core/core.h"
#include "controller/engine/campaign_proposer.h"
#include "controller/engine/disk_guard.h"
#include "controller/engine/event_queue.h"
#include "controller/engine/statistics.h"
#include "controller/fidelity/fidelity.h"
#include "storage/trial_store.h"

namespace canopy::engine {

// How the process ends when memory and database can't be brought to agree: a restart rebuilds the one from
// the other. EX_IOERR of sysexits.h.
inline constexpr int kExitStorageFailed = 74;

struct EngineOptions {
  controller::CoreLimits limits;
  StrategyFactory make_strategy = MakeNamedStrategy;
  controller::ScheduleFactory make_schedule = fidelity::MakeSchedule;
  // False: no time passes for leases and campaigns; for a controller that serves one command.
  bool ticks = true;
  size_t max_queued_events = 65'536;
  // A strategy that takes longer pauses its campaign.
  int64_t proposal_deadline_ms = 120'000;
  // CommitLoopOptions::max_wal_bytes.
  int64_t max_wal_bytes = int64_t{256} << 20;
  // A campaign's terminal state is committed. On the engine's thread; must not block.
  std::function<void(int64_t campaign_id)> on_campaign_ended;
  // Where the database lies; by default no disk is watched.
  DiskGuard::Options disk;
  // A write or a commit failed. By default it is logged and the process ends with kExitStorageFailed; a
  // test's function returns, and the engine answers nothing more.
  std::function<void(const Status&)> on_storage_failure;
};

class Writer;

// The controller behind its ports: one thread that owns the core and the store and commits events in groups,
// and others that run strategies. What it answers is durable. Thread-safe.
class Engine {
 public:
  // Rebuilds the core from the store before it returns; blocks on disk. `clock` outlives the engine.
  // FailedPrecondition where a live campaign has a fidelity schedule that `options` does not make.
  static StatusOr<std::unique_ptr<Engine>> Start(EngineOptions options,
                                                 std::unique_ptr<storage::TrialStore> store,
                                                 const Clock& clock);
  // Stops.
  ~Engine();

  // Callbacks are called exactly once: on the engine's thread once the event is committed, or at once with
  // ResourceExhausted (the queue or the disk is full) or Unavailable (stopped). They must not block.
  using Done = std::function<void(StatusOr<ReplyBody>)>;
  uint64_t NewToken() { return next_token_.fetch_add(1, std::memory_order_relaxed); }
  // A worker's event, carrying `token`. An Exchange that finds no work waits for up to `wait_ms`.
  void Submit(uint64_t token, controller::Event event, Done done, int64_t wait_ms = 0);
  // The caller of a waiting Exchange has gone.
  void EndPoll(uint64_t token);

  // A user's event. Answers what `request.encode` made of the reply, now or when the id was used first;
  // FailedPrecondition where the id was used for another payload.
  using Answered = std::function<void(StatusOr<std::string>)>;
  void SubmitForUser(UserRequest request, controller::Event event, Answered done);
  // The answer that a request id has had, nullopt where it was never used. Blocks on the engine's thread.
  StatusOr<std::optional<std::string>> Recall(const std::string& request_id, const std::string& digest);

  // Runs `work` on the engine's thread between two transactions, and gives what it gave. Everybody waits for
  // it: it must be short. Unavailable, without having run it, once stopped.
  Status BetweenTransactions(std::function<Status(storage::TrialStore& store)> work);

  // Blocks on the engine's thread. Empty once stopped.
  Snapshot Look(LookRequest request);
  Statistics statistics() const;

  // Answers all that waits (polls without work, the rest with Unavailable) and ends both threads. What comes
  // later is Unavailable. Repeatable.
  void Stop();

 private:
  Engine(EngineOptions options, std::unique_ptr<storage::TrialStore> store, const Clock& clock,
         controller::CoreState state);

  const Clock& clock_;
  std::atomic<uint64_t> next_token_{1};
  EventQueue queue_;
  std::unique_ptr<Writer> writer_;
};

}  // namespace canopy::engine
