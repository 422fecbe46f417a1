#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/random.h"
#include "controller/core/strategy.h"
#include "search_spaces/exploration.h"
#include "search_spaces/space.h"

namespace canopy::strategies {

// Candidates at random, whatever was observed: the baseline that other strategies are compared with.
class RandomSearch final : public controller::Strategy {
 public:
  enum class Sampling {
    kAuto,      // kDistinct for up to kMaxWalked candidates, else kUniform
    kUniform,   // every proposal is drawn anew, each active decision uniformly; never ends by itself
    kDistinct,  // every candidate once, in a random order; then OutOfRange
  };
  static constexpr uint64_t kMaxWalked = uint64_t{1} << 18;

  // InvalidArgument where kDistinct is asked for and the space cannot be enumerated.
  static StatusOr<std::unique_ptr<RandomSearch>> Make(Sampling sampling,
                                                      const search_space::SearchSpace& space, Rng rng);

  StatusOr<search_space::Candidate> Propose() override;
  void Record(const controller::Observation& observation) override;
  // The position in a walk, the generator's state otherwise.
  std::string Save() const override;
  Status Restore(std::string_view state) override;

 private:
  struct Walk {
    search_space::Enumeration candidates;
    search_space::Permutation order;
    int64_t position = 0;

    // At 2^63 a search has not arrived.
    bool ended() const { return static_cast<uint64_t>(position) >= candidates.size(); }
  };

  RandomSearch(search_space::SearchSpace space, Rng rng, std::optional<search_space::Enumeration> walked);

  const search_space::SearchSpace space_;
  Rng rng_;
  std::optional<Walk> walk_;
};

}  // namespace canopy::strategies
