#include "controller/core/proposer.h"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <numeric>
#include <utility>

#include "search_spaces/evaluation.h"

namespace canopy::controller {
namespace {

// Proposals in a row that are not accepted before the search is taken to be over.
constexpr int kMaxRejectedInARow = 1000;

model::CandidateFacts Describe(const search_space::Candidate& candidate,
                               const search_space::Evaluation& evaluation) {
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

}  // namespace

StatusOr<model::CandidateFacts> LowerCandidate(const search_space::SearchSpace& space,
                                               const search_space::Candidate& candidate,
                                               const model::TaskSpec& task) {
  CANOPY_ASSIGN_OR_RETURN(const search_space::Evaluation evaluation,
                          search_space::Evaluate(space, candidate, {task.input_shape, task.classes}));
  return Describe(candidate, evaluation);
}

Proposer::Proposer(const model::CampaignRecord& campaign, search_space::SearchSpace space,
                   std::vector<search_space::Constraint> constraints, std::unique_ptr<Strategy> strategy)
    : campaign_(campaign),
      space_(std::move(space)),
      constraints_(std::move(constraints)),
      strategy_(std::move(strategy)) {}

Status Proposer::Restore(std::string_view state, std::span<const Known> known) {
  if (!state.empty()) CANOPY_RETURN_IF_ERROR(strategy_->Restore(state));
  outcomes_.clear();
  for (const Known& candidate : known) {
    Outcome& outcome = outcomes_[candidate.candidate_hash];
    outcome.replicates = std::max(outcome.replicates, candidate.replicate + 1);
    outcome.finished = candidate.finished;
    outcome.feasible = candidate.feasible;
    outcome.score = candidate.score;
  }
  return absl::OkStatus();
}

StatusOr<ProposalBatch> Proposer::Propose(std::span<const ObservedResult> results, int64_t seen_seq,
                                          int64_t count) {
  for (const ObservedResult& result : results) {
    CANOPY_ASSIGN_OR_RETURN(search_space::Candidate candidate, space_.ParseCandidate(result.candidate_json));
    Outcome& outcome = outcomes_[result.candidate_hash];
    outcome.replicates = std::max<int64_t>(outcome.replicates, 1);
    outcome.finished = true;
    outcome.feasible = result.feasible;
    outcome.score = result.score;
    strategy_->Record({result.feasible ? Observation::Kind::kCompleted : Observation::Kind::kInfeasible,
                       std::move(candidate), result.score, 0});
  }

  ProposalBatch batch;
  batch.seen_seq = seen_seq;
  std::map<std::string, int> reasons;
  int64_t accepted = 0;
  int rejected_in_a_row = 0;
  while (accepted < count) {
    auto proposal = ProposeOne();
    if (proposal.status().code() == absl::StatusCode::kOutOfRange) {
      batch.ended = Message(proposal.status());
      break;
    }
    if (!proposal.ok()) return proposal.status();
    if (proposal->verdict == Proposal::Verdict::kAccepted) {
      ++accepted;
      rejected_in_a_row = 0;
      reasons.clear();
    } else {
      ++rejected_in_a_row;
      ++reasons[proposal->verdict == Proposal::Verdict::kCached ? "it was evaluated before" : proposal->reason];
    }
    batch.proposals.push_back(*std::move(proposal));
    if (rejected_in_a_row == kMaxRejectedInARow) {
      const auto most = std::max_element(reasons.begin(), reasons.end(), [](const auto& a, const auto& b) {
        return a.second < b.second;
      });
      batch.ended = std::to_string(kMaxRejectedInARow) +
                    " proposals in a row gave nothing new, most often because " + most->first;
      break;
    }
  }
  batch.state = strategy_->Save();
  return batch;
}

StatusOr<Proposal> Proposer::ProposeOne() {
  CANOPY_ASSIGN_OR_RETURN(search_space::Candidate candidate, strategy_->Propose());
  Proposal proposal;
  const auto reject = [&](std::string reason, double violation) {
    proposal.verdict = Proposal::Verdict::kRejected;
    proposal.reason = std::move(reason);
    strategy_->Record({Observation::Kind::kRejected, candidate, 0, violation});
    return proposal;
  };
  proposal.candidate.candidate_json = candidate.ToJson();
  const model::TaskSpec& task = campaign_.settings.task;
  const auto evaluation = search_space::Evaluate(space_, candidate, {task.input_shape, task.classes});
  if (!evaluation.ok()) return reject("it cannot be built: " + Message(evaluation.status()), 0);
  proposal.candidate = Describe(candidate, *evaluation);
  if (!evaluation->depends_on_input) return reject("its output does not depend on its input", 0);

  std::vector<search_space::Violation> violations = evaluation->violations;
  CANOPY_ASSIGN_OR_RETURN(const std::vector<search_space::Violation> own,
                          search_space::CheckConstraints(constraints_, candidate, evaluation->costs));
  violations.insert(violations.end(), own.begin(), own.end());
  if (!violations.empty()) {
    const double amount =
        std::accumulate(violations.begin(), violations.end(), 0.0,
                        [](double sum, const search_space::Violation& v) { return sum + v.amount; });
    return reject("it breaks " + violations[0].constraint, amount);
  }

  const auto [known, is_new] = outcomes_.try_emplace(proposal.candidate.candidate_hash);
  Outcome& outcome = known->second;
  if (!is_new && campaign_.settings.duplicates == model::DuplicatePolicy::kCached) {
    if (!outcome.finished) return reject("an equal candidate has not ended yet", 0);
    proposal.verdict = Proposal::Verdict::kCached;
    strategy_->Record({outcome.feasible ? Observation::Kind::kCompleted : Observation::Kind::kInfeasible,
                       candidate, outcome.score, 0});
    return proposal;
  }
  proposal.replicate = outcome.replicates++;
  return proposal;
}

}  // namespace canopy::controller
