#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <thread>
#include <variant>
#include <vector>

#include "base/mutex.h"
#include "base/status.h"
#include "controller/core/effects.h"
#include "controller/core/proposer.h"
#include "search_spaces/space.h"
#include "storage/trial_store.h"

namespace canopy::engine {

// Makes a campaign's strategy, seeded by its settings.
using StrategyFactory = std::function<StatusOr<std::unique_ptr<controller::Strategy>>(
    const search_space::SearchSpace& space, const model::CampaignSettings& settings)>;

// The strategy that the settings name.
StatusOr<std::unique_ptr<controller::Strategy>> MakeNamedStrategy(const search_space::SearchSpace& space,
                                                                  const model::CampaignSettings& settings);

// A proposer for a campaign at its beginning.
StatusOr<std::unique_ptr<controller::Proposer>> MakeProposer(const model::CampaignRecord& campaign,
                                                             const StrategyFactory& make_strategy);
// The outcome as strategies score it: higher is better whatever the campaign's goal is.
double Score(const model::CampaignSettings& settings, double objective);

// Runs the live campaigns' proposers on one thread of its own, so that no strategy holds up the writer.
// Tasks are done in the order in which they are given. Thread-safe.
class ProposerPool {
 public:
  // Gets each batch, on the pool's thread. A failed one drops the campaign's proposer: what it had in memory
  // may differ from what is saved.
  using Ready = std::function<void(controller::ProposalsReady)>;

  ProposerPool(StrategyFactory make_strategy, Ready ready);
  // Ends the thread after the task that runs.
  ~ProposerPool();

  bool Has(int64_t campaign_id) const CANOPY_EXCLUDES(mutex_);
  // Continues from what the database has: a result that it knows must not be published again.
  void Add(std::shared_ptr<const model::CampaignRecord> campaign, storage::TrialStore::ProposerRows rows)
      CANOPY_EXCLUDES(mutex_);
  void Remove(int64_t campaign_id) CANOPY_EXCLUDES(mutex_);
  // Ascending seq; nothing where the campaign has no proposer here.
  void Publish(controller::PublishResult result) CANOPY_EXCLUDES(mutex_);
  void Request(controller::RequestProposals request) CANOPY_EXCLUDES(mutex_);

 private:
  struct Addition {
    std::shared_ptr<const model::CampaignRecord> campaign;
    storage::TrialStore::ProposerRows rows;
  };
  struct Removal {
    int64_t campaign_id = 0;
  };
  using Task = std::variant<Addition, Removal, controller::PublishResult, controller::RequestProposals>;
  struct Entry {
    StatusOr<std::unique_ptr<controller::Proposer>> proposer;
    std::deque<controller::ObservedResult> unseen;  // ascending seq
  };

  void Run() CANOPY_EXCLUDES(mutex_);
  void Push(Task task) CANOPY_REQUIRES(mutex_);
  void Do(Addition task);
  void Do(Removal task);
  void Do(controller::PublishResult task);
  void Do(controller::RequestProposals task);
  static StatusOr<controller::ProposalBatch> Propose(Entry& entry,
                                                     const controller::RequestProposals& request);

  const StrategyFactory make_strategy_;
  const Ready ready_;
  mutable Mutex mutex_;
  CondVar changed_;
  std::deque<Task> tasks_ CANOPY_GUARDED_BY(mutex_);
  std::set<int64_t> known_ CANOPY_GUARDED_BY(mutex_);
  bool ending_ CANOPY_GUARDED_BY(mutex_) = false;
  std::map<int64_t, Entry> entries_;  // of the thread
  std::thread thread_;
};

}  // namespace canopy::engine
