#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <variant>

#include "controller/core/events.h"
#include "controller/engine/campaign_proposer.h"

namespace canopy::engine {

// Runs the live campaigns' proposers off the writer's thread, each on a thread of its own while it has
// something to do: a strategy that is slow, or never comes back, holds up its own campaign alone. A
// campaign's tasks are done in the order in which they are given. Thread-safe.
class ProposerPool final : public Proposers {
 public:
  // Gets each batch, on a thread of the pool; must not call the pool. A failed one drops the campaign's
  // proposer: what it had in memory may differ from what is saved.
  using Ready = std::function<void(controller::ProposalsReady)>;

  ProposerPool(StrategyFactory make_strategy, Ready ready);
  // Waits a moment for what runs; `ready` is not called after it. A strategy that does not come back is left
  // behind.
  ~ProposerPool() override;

  bool Has(int64_t campaign_id) const override;
  void Add(std::shared_ptr<const model::CampaignRecord> campaign,
           storage::TrialStore::ProposerRows rows) override;
  bool AddLater(const std::shared_ptr<const model::CampaignRecord>& campaign,
                const storage::TrialStore::ProposerLoader& load) override;
  void Remove(int64_t campaign_id) override;
  void Publish(controller::PublishResult result) override;
  void Request(controller::RequestProposals request) override;

 private:
  struct Addition {
    std::shared_ptr<const model::CampaignRecord> campaign;
    storage::TrialStore::ProposerLoader load;
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
