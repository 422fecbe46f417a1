#include "controller/engine/proposer_pool.h"

#include <deque>
#include <map>
#include <optional>
#include <thread>
#include <utility>

#include "base/mutex.h"

namespace canopy::engine {

using storage::TrialStore;

// One campaign's tasks, and its proposer.
struct ProposerPool::Lane {
  int64_t campaign_id = 0;
  // Guarded by the pool's mutex.
  std::deque<Task> tasks;
  bool scheduled = false;  // waits for a thread, or has one
  bool removed = false;
  // Of the thread that has the lane.
  std::optional<CampaignProposer> proposer;
};

struct ProposerPool::Shared {
  Shared(StrategyFactory factory, Ready deliver)
      : make_strategy(std::move(factory)), ready(std::move(deliver)) {}

  // Starts a thread where lanes wait and few run.
  static void Schedule(const std::shared_ptr<Shared>& shared) CANOPY_REQUIRES(shared->mutex) {
    if (shared->waiting.empty() || shared->threads >= kMaxThreads || shared->ending) return;
    ++shared->threads;
    std::thread([shared] { Run(shared); }).detach();
  }

  static constexpr int kMaxThreads = 32;
  const StrategyFactory make_strategy;
  const Ready ready;
  Mutex mutex;
  CondVar changed;
  std::map<int64_t, std::shared_ptr<Lane>> lanes CANOPY_GUARDED_BY(mutex);
  std::deque<std::shared_ptr<Lane>> waiting CANOPY_GUARDED_BY(mutex);
  int threads CANOPY_GUARDED_BY(mutex) = 0;  // those that were left with a removed lane aside
  bool ending CANOPY_GUARDED_BY(mutex) = false;
};

ProposerPool::ProposerPool(StrategyFactory make_strategy, Ready ready)
    : shared_(std::make_shared<Shared>(std::move(make_strategy), std::move(ready))) {}

ProposerPool::~ProposerPool() {
  constexpr int64_t kPatienceMs = 2'000, kStepMs = 100;
  MutexLock lock(shared_->mutex);
  shared_->ending = true;
  for (int64_t waited_ms = 0; shared_->threads > 0 && waited_ms < kPatienceMs; waited_ms += kStepMs)
    while (shared_->threads > 0 && shared_->changed.WaitFor(shared_->mutex, kStepMs)) {
    }
}

bool ProposerPool::Has(int64_t campaign_id) const {
  MutexLock lock(shared_->mutex);
  return shared_->lanes.count(campaign_id) > 0;
}

void ProposerPool::Add(std::shared_ptr<const model::CampaignRecord> campaign, TrialStore::ProposerRows rows) {
  AddLater(campaign, [rows = std::move(rows)] { return rows; });
}

bool ProposerPool::AddLater(const std::shared_ptr<const model::CampaignRecord>& campaign,
                            const TrialStore::ProposerLoader& load) {
  const int64_t campaign_id = campaign->id;
  {
    MutexLock lock(shared_->mutex);
    auto lane = std::make_shared<Lane>();
    lane->campaign_id = campaign_id;
    shared_->lanes.insert_or_assign(campaign_id, std::move(lane));
  }
  Push(campaign_id, Addition{campaign, load});
  return true;
}

void ProposerPool::Remove(int64_t campaign_id) {
  MutexLock lock(shared_->mutex);
  const auto found = shared_->lanes.find(campaign_id);
  if (found == shared_->lanes.end()) return;
  const std::shared_ptr<Lane> lane = std::move(found->second);
  shared_->lanes.erase(found);
  lane->removed = true;
  lane->tasks.clear();
  if (!lane->scheduled) return;
  // It waits, or a thread has it: that one ends when it comes back, and another takes its place.
  if (std::erase(shared_->waiting, lane) == 0) --shared_->threads;
  Shared::Schedule(shared_);
}

void ProposerPool::Publish(controller::PublishResult result) { Push(result.campaign_id, std::move(result)); }

void ProposerPool::Request(controller::RequestProposals request) { Push(request.campaign_id, request); }

void ProposerPool::Push(int64_t campaign_id, Task task) {
  MutexLock lock(shared_->mutex);
  const auto found = shared_->lanes.find(campaign_id);
  if (found == shared_->lanes.end()) return;
  const std::shared_ptr<Lane>& lane = found->second;
  lane->tasks.push_back(std::move(task));
  if (std::exchange(lane->scheduled, true)) return;
  shared_->waiting.push_back(lane);
  Shared::Schedule(shared_);
}

void ProposerPool::Run(const std::shared_ptr<Shared>& shared) {
  std::shared_ptr<Lane> lane;
  for (;;) {
    Task task;
    {
      MutexLock lock(shared->mutex);
      if (lane != nullptr && lane->removed) return;
      if (lane != nullptr && lane->tasks.empty()) {
        lane->scheduled = false;
        lane.reset();
      }
      if (lane == nullptr && !shared->waiting.empty()) {
        lane = std::move(shared->waiting.front());
        shared->waiting.pop_front();
      }
      if (lane == nullptr || shared->ending) {
        --shared->threads;
        shared->changed.NotifyAll();
        return;
      }
      task = std::move(lane->tasks.front());
      lane->tasks.pop_front();
    }
    if (auto* addition = std::get_if<Addition>(&task)) {
      const StatusOr<TrialStore::ProposerRows> rows = addition->load();
      if (rows.ok())
        lane->proposer.emplace(*addition->campaign, *rows, shared->make_strategy);
      else
        lane->proposer.emplace(rows.status());
    } else if (auto* published = std::get_if<controller::PublishResult>(&task)) {
      lane->proposer->Publish(std::move(published->result));
    } else {
      const auto& request = std::get<controller::RequestProposals>(task);
      controller::ProposalsReady ready{lane->campaign_id, request.seen_seq, lane->proposer->Propose(request),
                                       request.space_version};
      MutexLock lock(shared->mutex);
      if (lane->removed || shared->ending) continue;
      if (!ready.batch.ok()) {
        shared->lanes.erase(lane->campaign_id);
        lane->tasks.clear();
      }
      shared->ready(std::move(ready));
    }
  }
}

}  // namespace canopy::engine
