#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/status.h"
#include "controller/core/strategy.h"
#include "search_spaces/space.h"
#include "search_spaces/training_memory.h"
#include "storage/model/candidate_key.h"
#include "storage/model/records.h"

namespace canopy::controller {

// Lowers, counts and hashes a candidate of the space, constraints aside. InvalidArgument where its network
// cannot be built.
StatusOr<model::CandidateFacts> LowerCandidate(const search_space::SearchSpace& space,
                                               const search_space::Candidate& candidate,
                                               const model::TaskSpec& task);

// How a campaign's trials are trained, as far as their memory depends on it.
search_space::TrainingSetup TrainingSetupOf(const model::CampaignSettings& settings);

// A SEARCH trial's accepted outcome on its way to the strategy.
struct ObservedResult {
  int64_t seq = 0;
  std::string candidate_json, candidate_hash;
  bool feasible = true;
  double score = 0;
  int64_t rung = 0;  // at which it was stopped; 0: it was trained in full
};

// One logged proposal.
struct Proposal {
  enum class Verdict { kAccepted, kRejected, kCached };
  Verdict verdict = Verdict::kAccepted;
  model::CandidateFacts candidate;  // graph_json where accepted alone; hashes where it could be built
  int64_t replicate = 0;
  std::string reason;  // of a rejection
};

// The proposal's event in the log; docs/storage_format.md.
std::string ProposalPayload(const Proposal& proposal, int64_t seen_seq);

struct ProposalBatch {
  int64_t seen_seq = 0;
  std::vector<Proposal> proposals;  // in order; `count` accepted ones at most
  std::string state;                // of the proposer after them
  // Why there are fewer than were asked for: the space is exhausted, or every proposal of a bounded
  // number was rejected. Empty otherwise.
  std::string ended;
};

// A campaign's strategy with what surrounds it: lowering, constraints, duplicates. Deterministic: the
// batches are a function of the state it started from, the results and the calls. Not thread-safe; runs
// off the writer's thread.
class Proposer {
 public:
  Proposer(const model::CampaignRecord& campaign, search_space::SearchSpace space,
           std::vector<search_space::Constraint> constraints, std::unique_ptr<Strategy> strategy);

  // Continues from a state that Propose gave. `known` are the campaign's SEARCH candidates in trial order
  // with their outcomes as of `seen_seq` of that state.
  struct Known {
    model::CandidateKey candidate;
    int64_t replicate = 0;
    bool finished = false, feasible = true;
    double score = 0;
    int64_t rung = 0;
  };
  Status Restore(std::string_view state, std::span<const Known> known);
  // The same, one after the other: Restore without any, then these.
  void Know(const Known& trial);

  // Shows `results` (ascending seq, each once over the proposer's life) to the strategy, then proposes
  // until `count` are accepted or a bound ends it.
  StatusOr<ProposalBatch> Propose(std::span<const ObservedResult> results, int64_t seen_seq, int64_t count);

 private:
  struct Outcome {
    double score = 0;
    int32_t replicates = 0;
    int16_t rung = 0;
    bool finished = false, feasible = true;
  };
  StatusOr<Proposal> ProposeOne();
  StatusOr<Proposal> Judge();  // graph_json stays
  // Fills the facts, and the reason where it may not be trained; gives the sum of the broken amounts.
  StatusOr<double> CheckTrainable(const search_space::Candidate& candidate, Proposal& proposal) const;

  const model::DuplicatePolicy duplicates_;
  const search_space::TaskShape task_;
  const search_space::TrainingSetup setup_;
  const search_space::SearchSpace space_;
  const std::vector<search_space::Constraint> constraints_;
  const std::unique_ptr<Strategy> strategy_;
  // Millions of them. Looked up, never iterated.
  std::unordered_map<model::CandidateKey, Outcome, model::CandidateKeyHash> outcomes_;
};

}  // namespace canopy::controller
