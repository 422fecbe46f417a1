#include <set>
#include <utility>

#include "search_spaces/assignments.h"
#include "search_spaces/evaluation.h"
#include "search_spaces/exploration.h"

namespace canopy::search_space {
namespace {

// Why the space has no numbers.
std::string Obstacle(const SearchSpace& space, const Assignments& assignments, bool architectures) {
  for (const Decision& decision : space.decisions()) {
    if (decision.Cardinality() == 0 && !(architectures && decision.role == DecisionRole::kRecipe))
      return "'" + decision.name + "' is a float, which has infinitely many values";
  }
  const std::string count = assignments.count() + (architectures ? " architectures" : " candidates");
  const bool entangled = assignments.count().rfind("more", 0) == 0;
  return "it has " + count +
         (entangled ? ", and its conditions are too entangled to count them"
                    : ", of which fewer than 2^128 can be numbered");
}

}  // namespace

StatusOr<Enumeration> Enumeration::Make(const SearchSpace& space, Scope scope) {
  const bool architectures = scope == Scope::kArchitectures;
  auto assignments = std::make_shared<const Assignments>(space.CountAssignments(architectures));
  if (assignments->size()) return Enumeration(space, std::move(assignments));
  return InvalidArgument("expected a space that can be enumerated, found '" + space.name() +
                         "': " + Obstacle(space, *assignments, architectures));
}

Enumeration::Enumeration(SearchSpace space, std::shared_ptr<const Assignments> assignments)
    : space_(std::move(space)), assignments_(std::move(assignments)), size_(*assignments_->size()) {}

Candidate Enumeration::At(absl::uint128 index) const {
  const std::vector<uint64_t> ordinals = assignments_->At(index);
  return space_.Assemble([&](size_t i) {
    const Decision& decision = space_.decisions()[i];
    if (i < ordinals.size()) return decision.ValueAt(ordinals[i]);
    return decision.choices.empty() ? decision.AtPosition(0) : decision.choices.front();
  });
}

absl::uint128 Enumeration::IndexOf(const Candidate& candidate) const {
  const std::vector<const Value*> values = space_.ValuesOf(candidate);
  std::vector<uint64_t> ordinals(assignments_->decisions());
  for (size_t i = 0; i < ordinals.size(); ++i)
    ordinals[i] = values[i] ? space_.decisions()[i].OrdinalOf(*values[i]) : Assignments::kInactive;
  return assignments_->IndexOf(ordinals);
}

std::vector<absl::uint128> DistinctNetworks(const Enumeration& architectures, const TaskShape& task) {
  std::vector<absl::uint128> first;
  std::set<std::string> hashes;
  for (absl::uint128 i = 0; i < architectures.size(); ++i) {
    const auto evaluation = Evaluate(architectures.space(), architectures.At(i), task);
    if (evaluation.ok() && hashes.insert(evaluation->graph_hash).second) first.push_back(i);
  }
  return first;
}

}  // namespace canopy::search_space
