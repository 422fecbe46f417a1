#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/random.h"
#include "controller/core/strategy.h"
#include "search_spaces/space.h"

namespace canopy::strategies {

// Candidates at random, whatever was observed: the baseline that other strategies are compared with. A
// space whose decisions have at most kMaxEnumerated combinations is walked in a random order, each candidate
// once, and is exhausted (OutOfRange) after the last. From a larger one every proposal is drawn anew, each
// active decision uniformly among its values; it never ends by itself.
class RandomSearch final : public controller::Strategy {
 public:
  static constexpr uint64_t kMaxEnumerated = uint64_t{1} << 18;
  RandomSearch(search_space::SearchSpace space, Rng rng);

  StatusOr<search_space::Candidate> Propose() override;
  void Record(const controller::Observation& observation) override;
  // The position in a walk, the generator's state otherwise.
  std::string Save() const override;
  Status Restore(std::string_view state) override;

 private:
  const search_space::SearchSpace space_;
  Rng rng_;
  std::vector<uint32_t> order_;  // of the combinations; empty: not a walk
  size_t position_ = 0;
};

}  // namespace canopy::strategies
