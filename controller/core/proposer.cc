#include "controller/core/proposer.h"

#include <algorithm>
#include <map>
#include <utility>

#include "base/strings.h"
#include "nlohmann/json.hpp"
#include "search_spaces/evaluation.h"

namespace canopy::controller {
namespace {

using search_space::Candidate;
using search_space::Evaluation;
using search_space::Verdict;
using search_space::Violation;

// Proposals in a row that may come to nothing before the search is taken to be over.
constexpr int64_t kMaxFruitless = 1'000;

model::CandidateFacts Facts(const Candidate& candidate, const Evaluation& evaluation) {
  model::CandidateFacts facts;
  facts.candidate_json = candidate.ToJson();
  facts.candidate_hash = evaluation.candidate_hash;
  facts.graph_hash = evaluation.graph_hash;
  facts.graph_json = evaluation.graph.ToJson();
  facts.params = evaluation.costs.params;
  facts.macs = evaluation.costs.macs;
  facts.activation_memory = evaluation.costs.activation_memory;
  facts.depth = evaluation.costs.depth;
  facts.params_as_written = evaluation.costs_as_written.params;
  facts.macs_as_written = evaluation.costs_as_written.macs;
  return facts;
}

Observation Observed(Candidate candidate, bool feasible, double score, int64_t rung) {
  if (!feasible) return {Observation::Kind::kInfeasible, std::move(candidate)};
  return {rung > 0 ? Observation::Kind::kStopped : Observation::Kind::kCompleted, std::move(candidate), score,
          0, rung};
}

std::string Describe(const std::vector<Violation>& violations) {
  std::vector<std::string> texts;
  for (const Violation& violation : violations)
    texts.push_back("breaks '" + violation.constraint + "' by " + FormatDouble(violation.amount));
  return Join(texts, ", ");
}

// The reason up to its amount, so that alike rejections count together.
std::string Cause(const Proposal& proposal) {
  if (proposal.verdict == Proposal::Verdict::kCached) return "it was evaluated before";
  const size_t amount = proposal.reason.find("' by ");
  return "it " + (amount == std::string::npos ? proposal.reason : proposal.reason.substr(0, amount + 1));
}

}  // namespace

StatusOr<model::CandidateFacts> LowerCandidate(const search_space::SearchSpace& space,
                                               const Candidate& candidate, const model::TaskSpec& task) {
  CANOPY_ASSIGN_OR_RETURN(const Evaluation evaluation,
                          search_space::Evaluate(space, candidate, {task.input_shape, task.classes}));
  return Facts(candidate, evaluation);
}

search_space::TrainingSetup TrainingSetupOf(const model::CampaignSettings& settings) {
  search_space::TrainingSetup setup;
  // `auto`, not settled yet, may become either: the smaller one refuses nothing that could be trained.
  if (settings.numeric_mode != "fp32") setup.type = search_space::NumberType::kBf16;
  const auto recipe = nlohmann::json::parse(settings.recipe_json, nullptr, /*allow_exceptions=*/false);
  if (!recipe.is_object()) return setup;
  const auto batch_size = recipe.find("batch_size");
  if (batch_size != recipe.end() && batch_size->is_number()) setup.batch_size = batch_size->get<int64_t>();
  setup.adamw = recipe.value("optimizer", nlohmann::json()) == "adamw";
  return setup;
}

Proposer::Proposer(const model::CampaignRecord& campaign, search_space::SearchSpace space,
                   std::vector<search_space::Constraint> constraints, std::unique_ptr<Strategy> strategy)
    : duplicates_(campaign.settings.duplicates),
      task_{campaign.settings.task.input_shape, campaign.settings.task.classes},
      setup_(TrainingSetupOf(campaign.settings)),
      space_(std::move(space)),
      constraints_(std::move(constraints)),
      strategy_(std::move(strategy)) {}

Status Proposer::Restore(std::string_view state, std::span<const Known> known) {
  if (!state.empty()) CANOPY_RETURN_IF_ERROR(strategy_->Restore(state));
  outcomes_.clear();
  for (const Known& trial : known) Know(trial);
  return {};
}

void Proposer::Know(const Known& trial) {
  Outcome& outcome = outcomes_[trial.candidate];
  outcome.replicates = std::max(outcome.replicates, static_cast<int32_t>(trial.replicate) + 1);
  if (trial.finished)
    outcome = {trial.score, outcome.replicates, static_cast<int16_t>(trial.rung), true, trial.feasible};
}

StatusOr<ProposalBatch> Proposer::Propose(std::span<const ObservedResult> results, int64_t seen_seq,
                                          int64_t count) {
  for (const ObservedResult& result : results) {
    CANOPY_ASSIGN_OR_RETURN(Candidate candidate, space_.ParseCandidate(result.candidate_json));
    Outcome& outcome = outcomes_[model::CandidateKey::Of(result.candidate_hash)];
    outcome = {result.score, std::max(outcome.replicates, 1), static_cast<int16_t>(result.rung), true,
               result.feasible};
    strategy_->Record(Observed(std::move(candidate), result.feasible, result.score, result.rung));
  }
  ProposalBatch batch;
  batch.seen_seq = seen_seq;
  std::map<std::string, int64_t> causes;
  int64_t accepted = 0, fruitless = 0;
  while (accepted < count && batch.ended.empty()) {
    auto proposal = ProposeOne();
    if (absl::IsOutOfRange(proposal.status())) {
      batch.ended = Message(proposal.status());
      break;
    }
    CANOPY_RETURN_IF_ERROR(proposal.status());
    if (proposal->verdict == Proposal::Verdict::kAccepted) {
      ++accepted;
      fruitless = 0;
      causes.clear();
    } else {
      ++causes[Cause(*proposal)];
      if (++fruitless == kMaxFruitless) {
        const auto most = std::max_element(causes.begin(), causes.end(),
                                           [](const auto& a, const auto& b) { return a.second < b.second; });
        batch.ended = FormatCount(kMaxFruitless) +
                      " proposals in a row gave nothing new, most often because " + most->first;
      }
    }
    batch.proposals.push_back(*std::move(proposal));
  }
  batch.state = strategy_->Save();
  return batch;
}

StatusOr<Proposal> Proposer::ProposeOne() {
  CANOPY_ASSIGN_OR_RETURN(Proposal proposal, Judge());
  // A thousand may be logged at once; only what is trained needs its network.
  if (proposal.verdict != Proposal::Verdict::kAccepted) proposal.candidate.graph_json.clear();
  return proposal;
}

StatusOr<Proposal> Proposer::Judge() {
  CANOPY_ASSIGN_OR_RETURN(Candidate candidate, strategy_->Propose());
  CANOPY_RETURN_IF_ERROR(WithContext(space_.CheckCandidate(candidate), "the strategy left its space"));
  Proposal proposal;
  proposal.candidate.candidate_json = candidate.ToJson();
  CANOPY_ASSIGN_OR_RETURN(const double violation, CheckTrainable(candidate, proposal));
  if (!proposal.reason.empty()) {
    proposal.verdict = Proposal::Verdict::kRejected;
    strategy_->Record({Observation::Kind::kRejected, std::move(candidate), 0, violation});
    return proposal;
  }
  Outcome& outcome = outcomes_[model::CandidateKey::Of(proposal.candidate.candidate_hash)];
  if (outcome.replicates == 0 || duplicates_ == model::DuplicatePolicy::kEvaluate) {
    proposal.replicate = outcome.replicates++;
  } else if (outcome.finished) {
    proposal.verdict = Proposal::Verdict::kCached;
    strategy_->Record(Observed(std::move(candidate), outcome.feasible, outcome.score, outcome.rung));
  } else {
    proposal.verdict = Proposal::Verdict::kRejected;
    proposal.reason = "is a duplicate of a trial without a result";
    strategy_->Record({Observation::Kind::kRejected, std::move(candidate), 0, 0});
  }
  return proposal;
}

StatusOr<double> Proposer::CheckTrainable(const Candidate& candidate, Proposal& proposal) const {
  const auto evaluation = search_space::Evaluate(space_, candidate, task_, setup_);
  CANOPY_ASSIGN_OR_RETURN(const Verdict verdict,
                          search_space::JudgeTrainable(evaluation, candidate, constraints_));
  if (verdict.kind == Verdict::Kind::kNotBuilt) {
    proposal.reason = "cannot be built: " + Message(evaluation.status());
    return 0.0;
  }
  proposal.candidate = Facts(candidate, *evaluation);
  if (verdict.kind == Verdict::Kind::kNoInput) {
    proposal.reason = "has an output that does not depend on its input";
    return 0.0;
  }
  proposal.reason = Describe(verdict.violations);
  double amount = 0;
  for (const Violation& violation : verdict.violations) amount += violation.amount;
  return amount;
}

}  // namespace canopy::controller
