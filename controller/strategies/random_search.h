#pragma once

#include <string>
#include <string_view>

#include "base/random.h"
#include "controller/core/strategy.h"
#include "search_spaces/space.h"

namespace canopy::strategies {

// Every proposal is drawn anew: each active decision uniformly among its values, independently. The
// baseline that other strategies are compared with. It never ends by itself: a finite space is exhausted
// when the proposer, which knows what was tried, rejects its bound of proposals in a row.
class RandomSearch final : public controller::Strategy {
 public:
  RandomSearch(search_space::SearchSpace space, Rng rng);

  StatusOr<search_space::Candidate> Propose() override;
  void Record(const controller::Observation& observation) override;
  std::string Save() const override;
  Status Restore(std::string_view state) override;

 private:
  const search_space::SearchSpace space_;
  Rng rng_;
};

}  // namespace canopy::strategies
