#include "controller/engine/writer.h"

#include <algorithm>
#include <cstdlib>
#include <functional>
#include <iterator>
#include <utility>
#include <variant>
#include <vector>

#include "base/log.h"

namespace canopy::engine {
namespace {

constexpr size_t kMaxBatch = 512;
constexpr int64_t kIdleMs = 500;

void EndProcess(const Status& status) {
  CANOPY_LOG(Error,
             "The database can't be written; the controller ends, and goes on where it was when it is "
             "started again",
             {{"error", Message(status)}});
  std::_Exit(kExitStorageFailed);
}

}  // namespace

Writer::Writer(EngineOptions options, std::unique_ptr<storage::TrialStore> store, const Clock& clock,
               controller::CoreState state, EventQueue& queue)
    : disk_(std::move(options.disk)),
      on_storage_failure_(std::move(options.on_storage_failure)),
      clock_(clock),
      queue_(queue),
      checkpointer_(store->LaterCheckpoint()) {
  proposers_ =
      std::make_unique<ProposerPool>(options.make_strategy, [this](controller::ProposalsReady ready) {
        Job job = EventJob{.event = std::move(ready)};
        queue_.Push(job, /*internal=*/true);
      });
  loop_ = std::make_unique<CommitLoop>(
      CommitLoopOptions{
          options.limits, options.make_schedule, options.ticks, options.proposal_deadline_ms,
          options.max_wal_bytes, [this](int64_t life) { return checkpointer_.Done(life); },
          std::move(options.on_campaign_ended),
          [this](std::vector<std::function<void()>> answers) { answers_.Give(std::move(answers)); }},
      std::move(store), clock, std::move(state), *proposers_);
  thread_ = std::thread([this] { Run(); });
}

void Writer::Stop() {
  if (thread_.joinable()) thread_.join();
}

void Writer::Run() {
  while (!queue_.closed() && !failed_) {
    std::deque<Job> batch = NextBatch();
    disk_.Look();
    if (disk_.low()) loop_->RefuseNewWork(batch, disk_.Refusal());
    Work(std::move(batch));
    if (!failed_) loop_->CheckpointWhenGrown();
  }
  if (!failed_) Work(queue_.Take(SIZE_MAX, 0));
  proposers_.reset();
  answers_.Stop();
  checkpointer_.Stop();
  const Status stopped = Unavailable("the controller is stopping; try again when it is up");
  loop_->AnswerAllThatWaits(stopped);
  for (Job& job : queue_.Take(SIZE_MAX, 0)) Refuse(job, stopped);
  if (!failed_) loop_->FinalCheckpoint();
}

std::deque<Job> Writer::NextBatch() {
  const int64_t wait_ms = std::clamp<int64_t>(loop_->WakeMs() - clock_.MonotonicMs(), 0, kIdleMs);
  std::deque<Job> batch = queue_.Take(kMaxBatch, wait_ms);
  loop_->AddDue(batch);
  return batch;
}

Statistics Writer::statistics() const {
  Statistics statistics = loop_->statistics();
  statistics.disk_low = disk_.low();
  return statistics;
}

void Writer::Work(std::deque<Job> batch) {
  const auto between = std::stable_partition(
      batch.begin(), batch.end(), [](const Job& job) { return !std::holds_alternative<StoreJob>(job); });
  std::vector<Job> store_jobs(std::make_move_iterator(between), std::make_move_iterator(batch.end()));
  batch.erase(between, batch.end());
  if (!batch.empty()) Commit(std::move(batch));
  for (Job& job : store_jobs) {
    StoreJob& concrete = std::get<StoreJob>(job);
    if (failed_)
      Refuse(job, Unavailable("the database can't be written"));
    else
      concrete.done(concrete.work(loop_->store()));
  }
}

void Writer::Commit(std::deque<Job> batch) {
  const Status status = loop_->Commit(std::move(batch));
  if (status.ok()) return;
  failed_ = true;
  queue_.Close();
  on_storage_failure_ ? on_storage_failure_(status) : EndProcess(status);
}

}  // namespace canopy::engine
