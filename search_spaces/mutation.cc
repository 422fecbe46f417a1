#include <algorithm>

#include "base/strings.h"
#include "search_spaces/evaluation.h"
#include "search_spaces/exploration.h"

namespace canopy::search_space {
namespace {

constexpr int kMaxDraws = 100;
constexpr size_t kMaxMoves = 1000;

}  // namespace

Candidate Mutate(const SearchSpace& space, const Candidate& candidate, Rng& rng) {
  const std::vector<const Value*> old = space.ValuesOf(candidate);
  const std::vector<Decision>& decisions = space.decisions();
  std::vector<size_t> open;
  for (size_t i = 0; i < old.size(); ++i) {
    if (old[i] && decisions[i].Cardinality() != 1) open.push_back(i);
  }
  if (open.empty()) return candidate;
  const size_t changed = open[rng.Below(open.size())];
  return space.Assemble([&](size_t i) {
    if (!old[i]) return decisions[i].Sample(rng);
    return i == changed ? decisions[i].SampleOther(*old[i], rng) : *old[i];
  });
}

StatusOr<Candidate> MutateNetwork(const SearchSpace& space, const TaskShape& task, const Candidate& candidate,
                                  Rng& rng) {
  const auto parent = Evaluate(space, candidate, task);
  const auto is_another = [&](const Candidate& child) {
    const auto evaluation = Evaluate(space, child, task);
    return evaluation.ok() && (!parent.ok() || evaluation->candidate_hash != parent->candidate_hash);
  };
  for (int i = 0; i < kMaxDraws; ++i) {
    Candidate child = Mutate(space, candidate, rng);
    if (is_another(child)) return child;
  }
  const std::vector<Move> moves = MovesFrom(space, candidate);
  const size_t tried = std::min(moves.size(), kMaxMoves);
  for (const size_t i : rng.SampleWithoutReplacement(moves.size(), tried)) {
    Candidate child = Apply(space, candidate, moves[i]);
    if (is_another(child)) return child;
  }
  return NotFound("expected a decision of " + candidate.ToJson() +
                  " whose change changes its network or recipe, found none in " + std::to_string(kMaxDraws) +
                  " draws and " + std::to_string(tried) + " of its " + std::to_string(moves.size()) +
                  " neighbours");
}

Candidate Crossover(const SearchSpace& space, const Candidate& first, const Candidate& second, Rng& rng) {
  const std::vector<const Value*> a = space.ValuesOf(first), b = space.ValuesOf(second);
  return space.Assemble([&](size_t i) {
    if (!a[i] && !b[i]) return space.decisions()[i].Sample(rng);
    if (!a[i] || !b[i]) return a[i] ? *a[i] : *b[i];
    return rng.Below(2) == 0 ? *a[i] : *b[i];
  });
}

Candidate SampleRecipe(const SearchSpace& space, const Candidate& candidate, Rng& rng) {
  const std::vector<const Value*> values = space.ValuesOf(candidate);
  return space.Assemble([&](size_t i) {
    const Decision& decision = space.decisions()[i];
    return decision.role == DecisionRole::kRecipe ? decision.Sample(rng) : *values[i];
  });
}

}  // namespace canopy::search_space
