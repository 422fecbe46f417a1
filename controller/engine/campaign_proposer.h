#pragma once

#include <deque>
#include <functional>
#include <memory>

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

// A campaign's proposer, continued from what the database has, with the results that it has not seen yet.
// Not thread-safe.
class CampaignProposer {
 public:
  // A proposer that cannot be made answers every request with the reason.
  CampaignProposer(const model::CampaignRecord& campaign, const storage::TrialStore::ProposerRows& rows,
                   const StrategyFactory& make_strategy);
  explicit CampaignProposer(const Status& why_not) : proposer_(why_not) {}
  // Ascending seq; one that the database had must not be published again.
  void Publish(controller::ObservedResult result) { unseen_.push_back(std::move(result)); }
  // After an error what is in memory may differ from what is saved: make another.
  StatusOr<controller::ProposalBatch> Propose(const controller::RequestProposals& request);

 private:
  StatusOr<std::unique_ptr<controller::Proposer>> proposer_;
  std::deque<controller::ObservedResult> unseen_;  // ascending seq
};

// The live campaigns' proposers, as the commit loop uses them. A campaign's calls take effect in their order;
// each request's answer reaches the loop as a ProposalsReady event.
class Proposers {
 public:
  virtual ~Proposers() = default;
  virtual bool Has(int64_t campaign_id) const = 0;
  // Continues from what the database has: a result that it knows must not be published again.
  virtual void Add(std::shared_ptr<const model::CampaignRecord> campaign,
                   storage::TrialStore::ProposerRows rows) = 0;
  // The same with rows that are read later, on a thread of its own, as millions take seconds. False: not
  // here.
  virtual bool AddLater(const std::shared_ptr<const model::CampaignRecord>& /*campaign*/,
                        const storage::TrialStore::ProposerLoader& /*load*/) {
    return false;
  }
  // Forgets the campaign; what runs for it is answered to nobody.
  virtual void Remove(int64_t campaign_id) = 0;
  // Ascending seq; nothing where the campaign has no proposer here.
  virtual void Publish(controller::PublishResult result) = 0;
  virtual void Request(controller::RequestProposals request) = 0;
};

}  // namespace canopy::engine
