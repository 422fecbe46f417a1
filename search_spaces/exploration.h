#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/numeric/int128.h"
#include "base/random.h"
#include "base/status.h"
#include "search_spaces/candidate.h"
#include "search_spaces/space.h"

// The ways to move in a search space (docs/search_spaces.md): what strategies are made of.
// SearchSpace::Sample is the first of them. All are functions of their arguments and the generator's state
// and are pinned by golden values, so that a search replays on every release; all give candidates of the
// space and REQUIRE such.
namespace canopy::search_space {

class Assignments;

// Exactly one active decision changed to another of its values, both drawn uniformly; decisions that this
// activates are drawn, those that it deactivates are gone. The same candidate where none has a second value.
Candidate Mutate(const SearchSpace& space, const Candidate& candidate, Rng& rng);

// The same, drawn again until the candidate hash differs: another network, or another recipe, than that of
// `candidate`. What cannot be built is drawn again, too. After 100 draws up to 1,000 of MovesFrom are tried
// in random order; NotFound where none of these is another network.
StatusOr<Candidate> MutateNetwork(const SearchSpace& space, const TaskShape& task, const Candidate& candidate,
                                  Rng& rng);

// Uniform crossover (Syswerda, "Uniform Crossover in Genetic Algorithms", ICGA 1989): each active decision
// from one of the parents in which it is active, either as likely; what is active in neither is drawn.
Candidate Crossover(const SearchSpace& space, const Candidate& first, const Candidate& second, Rng& rng);

// The same architecture with every recipe decision drawn anew.
Candidate SampleRecipe(const SearchSpace& space, const Candidate& candidate, Rng& rng);

// One decision (its index in SearchSpace::decisions) changed to another of its values.
struct Move {
  size_t decision = 0;
  Value value;
  friend bool operator==(const Move&, const Move&) = default;
};
// Every move from the candidate, by decision and then by value. Of floats, and of integers with more than 16
// values, these: positions 1/64, 1/16 and 1/4 of the range below and above (in the logarithm where `log`),
// and for integers the next ones.
std::vector<Move> MovesFrom(const SearchSpace& space, const Candidate& candidate);
// The neighbour that a move leads to. What it activates takes the first of its choices, or the middle of its
// ordinals or its range; what it deactivates is gone. REQUIRES a move from `candidate`.
Candidate Apply(const SearchSpace& space, const Candidate& candidate, const Move& move);

// The candidates of a space, or its architectures, by number, without holding them: each exactly once. Cheap
// to copy; safe to share between threads.
class Enumeration {
 public:
  // kArchitectures: candidates with the recipe at its first values. Their number is that of their networks as
  // written.
  enum class Scope { kCandidates, kArchitectures };
  // InvalidArgument where there are infinitely many (a searched float), 2^128 or more, or more than can be
  // counted.
  static StatusOr<Enumeration> Make(const SearchSpace& space, Scope scope = Scope::kCandidates);

  const SearchSpace& space() const { return space_; }
  absl::uint128 size() const { return size_; }
  // REQUIRES index < size().
  Candidate At(absl::uint128 index) const;
  // The inverse; of an architecture whatever the recipe is.
  absl::uint128 IndexOf(const Candidate& candidate) const;

 private:
  Enumeration(SearchSpace space, std::shared_ptr<const Assignments> assignments);

  SearchSpace space_;
  std::shared_ptr<const Assignments> assignments_;
  absl::uint128 size_;
};

// The number of the first architecture of each network (graph_hash), rising; what has no network is left out.
// Evaluates all of `architectures`. REQUIRES as many as fit the memory.
std::vector<absl::uint128> DistinctNetworks(const Enumeration& architectures, const TaskShape& task);

// A random order of 0, ..., size - 1, any place of which is computed without the others: a walk through an
// enumeration that draws every candidate once. A Feistel network with cycle walking (Black and Rogaway,
// "Ciphers with Arbitrary Finite Domains", CT-RSA 2002); up to 4,096 numbers, where that would reach few of
// the orders, are shuffled.
class Permutation {
 public:
  Permutation(absl::uint128 size, uint64_t seed);

  absl::uint128 size() const { return size_; }
  // REQUIRES position < size().
  absl::uint128 At(absl::uint128 position) const;

 private:
  absl::uint128 size_;
  int half_bits_ = 0;
  std::vector<uint64_t> keys_;      // of the rounds
  std::vector<uint16_t> shuffled_;  // of a small one
};

}  // namespace canopy::search_space
