#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <variant>

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

// A proposer for a campaign at the beginning of its space's version: a strategy that has seen nothing.
StatusOr<std::unique_ptr<controller::Proposer>> MakeProposer(const model::CampaignRecord& campaign,
                                                             const StrategyFactory& make_strategy);
// The outcome as strategies score it: higher is better whatever the campaign's goal is.
double Score(const model::CampaignSettings& settings, double objective);

// Runs the live campaigns' proposers off the writer's thread, each on a thread of its own while it has
// something to do: a strategy that is slow, or never comes back, holds up its own campaign alone. A
// campaign's tasks are done in the order in which they are given. Thread-safe.
class ProposerPool {
 public:
  // Gets each batch, on a thread of the pool; must not call the pool. A failed one drops the campaign's
  // proposer: what it had in memory may differ from what is saved.
  using Ready = std::function<void(controller::ProposalsReady)>;

  ProposerPool(StrategyFactory make_strategy, Ready ready);
  // Waits a moment for what runs; `ready` is not called after it. A strategy that does not come back is left
  // behind.
  ~ProposerPool();

  bool Has(int64_t campaign_id) const;
  // Continues from what the database has: a result that it knows must not be published again.
  void Add(std::shared_ptr<const model::CampaignRecord> campaign, storage::TrialStore::ProposerRows rows);
  // Forgets the campaign; what runs for it is answered to nobody.
  void Remove(int64_t campaign_id);
  // Ascending seq; nothing where the campaign has no proposer here.
  void Publish(controller::PublishResult result);
  void Request(controller::RequestProposals request);

 private:
  struct Addition {
    std::shared_ptr<const model::CampaignRecord> campaign;
    storage::TrialStore::ProposerRows rows;
  };
  using Task = std::variant<Addition, controller::PublishResult, controller::RequestProposals>;
  struct Lane;
  struct Shared;

  static void Run(const std::shared_ptr<Shared>& shared);
  void Push(int64_t campaign_id, Task task);

  // With the threads, which may outlive the pool.
  const std::shared_ptr<Shared> shared_;
};

}  // namespace canopy::engine
