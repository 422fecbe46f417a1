#include "controller/engine/campaign_proposer.h"

#include <string>
#include <utility>
#include <vector>

#include "base/random.h"
#include "controller/strategies/strategies.h"
#include "search_spaces/constraint.h"

namespace canopy::engine {
namespace {

using controller::ObservedResult;
using controller::Proposer;
using storage::TrialStore;

StatusOr<std::unique_ptr<Proposer>> Continue(const model::CampaignRecord& campaign,
                                             const TrialStore::ProposerRows& rows,
                                             const StrategyFactory& make_strategy) {
  CANOPY_ASSIGN_OR_RETURN(std::unique_ptr<Proposer> proposer, MakeProposer(campaign, make_strategy));
  CANOPY_RETURN_IF_ERROR(proposer->Restore(rows.state, {}));
  for (const TrialStore::ProposerRows::Known& trial : rows.known)
    proposer->Know({trial.candidate, trial.replicate, trial.seen, trial.feasible,
                    trial.seen && trial.feasible ? Score(campaign.settings, trial.objective) : 0,
                    trial.rung});
  return proposer;
}

std::deque<ObservedResult> Unseen(const model::CampaignRecord& campaign,
                                  const TrialStore::ProposerRows& rows) {
  std::deque<ObservedResult> unseen;
  for (const TrialStore::ProposerRows::Unseen& result : rows.unseen)
    unseen.push_back({result.seq, result.candidate_json, result.candidate_hash, result.feasible,
                      result.feasible ? Score(campaign.settings, result.objective) : 0, result.rung});
  return unseen;
}

}  // namespace

StatusOr<std::unique_ptr<controller::Strategy>> MakeNamedStrategy(const search_space::SearchSpace& space,
                                                                  const model::CampaignSettings& settings) {
  return strategies::MakeStrategy(settings.strategy_kind, settings.strategy_json, space,
                                  {settings.task.input_shape, settings.task.classes}, settings.seed);
}

double Score(const model::CampaignSettings& settings, double objective) {
  return settings.objective_goal == model::Goal::kMaximize ? objective : -objective;
}

StatusOr<std::unique_ptr<Proposer>> MakeProposer(const model::CampaignRecord& campaign,
                                                 const StrategyFactory& make_strategy) {
  CANOPY_ASSIGN_OR_RETURN(search_space::SearchSpace space,
                          search_space::SearchSpace::Parse(campaign.space_text, campaign.space_file_name));
  std::vector<search_space::Constraint> constraints;
  for (const std::string& text : campaign.settings.constraints) {
    CANOPY_ASSIGN_OR_RETURN(search_space::Constraint constraint,
                            search_space::Constraint::Parse(text, space));
    constraints.push_back(std::move(constraint));
  }
  model::CampaignSettings settings = campaign.settings;
  // The launch's strategy would propose the same again.
  if (campaign.space_version > 1)
    settings.seed = Rng::DeriveSeed(settings.seed, "space_version/" + std::to_string(campaign.space_version));
  CANOPY_ASSIGN_OR_RETURN(std::unique_ptr<controller::Strategy> strategy, make_strategy(space, settings));
  return std::make_unique<Proposer>(campaign, std::move(space), std::move(constraints), std::move(strategy));
}

CampaignProposer::CampaignProposer(const model::CampaignRecord& campaign,
                                   const TrialStore::ProposerRows& rows, const StrategyFactory& make_strategy)
    : proposer_(Continue(campaign, rows, make_strategy)), unseen_(Unseen(campaign, rows)) {}

StatusOr<controller::ProposalBatch> CampaignProposer::Propose(const controller::RequestProposals& request) {
  // A copy that shares nothing with ours, which another thread may end: ThreadSanitizer does not see how the
  // installed abseil counts them.
  if (const Status& status = proposer_.status(); !status.ok()) return Status(status.code(), status.message());
  std::vector<ObservedResult> results;
  while (!unseen_.empty() && unseen_.front().seq <= request.seen_seq) {
    results.push_back(std::move(unseen_.front()));
    unseen_.pop_front();
  }
  return (*proposer_)->Propose(results, request.seen_seq, request.count);
}

}  // namespace canopy::engine
