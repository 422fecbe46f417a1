#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>

#include "base/random.h"
#include "controller/core/strategy.h"
#include "search_spaces/space.h"

namespace canopy::strategies {

// Regularized (aging) evolution: Real, Aggarwal, Huang and Le, "Regularized Evolution for Image Classifier
// Architecture Search", AAAI 2019, algorithm 1. The population is the last `population` observed
// candidates; a child is the best of `sample` members drawn without replacement with one decision changed:
// any, as in the paper, or one by which the network or the recipe is another (search_space::MutateNetwork).
// With probability `crossover` what is changed is a crossover of two such parents, each the best of a sample
// of its own. Random candidates are proposed until as many as the population holds have been proposed.
class RegularizedEvolution final : public controller::Strategy {
 public:
  enum class Mutation { kOneDecision, kNetwork };
  struct Parameters {
    int64_t population = 50;
    int64_t sample = 10;
    Mutation mutation = Mutation::kOneDecision;
    double crossover = 0;
  };
  // REQUIRES 1 <= sample <= population, 0 <= crossover <= 1. Networks are those of `task`.
  RegularizedEvolution(const Parameters& parameters, search_space::SearchSpace space,
                       search_space::TaskShape task, Rng rng);

  StatusOr<search_space::Candidate> Propose() override;
  // What is infeasible is a member worse than every finite score, and ages like others; what was stopped at a
  // rung is worse than what got further, whatever the scores. What was rejected is none.
  void Record(const controller::Observation& observation) override;
  std::string Save() const override;
  Status Restore(std::string_view state) override;

 private:
  struct Member {
    search_space::Candidate candidate;
    bool feasible = true;
    double score = 0;
    int64_t rung = 0;  // at which it was stopped; 0: it was trained in full
    bool IsWorseThan(const Member& other) const;
  };

  // REQUIRES members.
  const search_space::Candidate& BestOfSample();
  search_space::Candidate Mutated(const search_space::Candidate& parent);

  const Parameters parameters_;
  const search_space::SearchSpace space_;
  const search_space::TaskShape task_;
  Rng rng_;
  std::deque<Member> population_;  // oldest first
  int64_t initial_proposals_ = 0;  // random ones that were not rejected, or the members if these are more
};

}  // namespace canopy::strategies
