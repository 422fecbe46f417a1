#include "controller/strategies/random_search.h"

#include <numeric>
#include <optional>
#include <span>
#include <utility>

#include "base/strings.h"

namespace canopy::strategies {
namespace {

using search_space::Candidate;
using search_space::Decision;
using search_space::SearchSpace;
using search_space::Value;

// The number of combinations of values, active or not; 0 where it is above kMaxEnumerated or not countable.
uint64_t Combinations(const SearchSpace& space) {
  uint64_t product = 1;
  for (const Decision& decision : space.decisions()) {
    const uint64_t values = decision.Cardinality();
    if (values == 0 || values > RandomSearch::kMaxEnumerated / product) return 0;
    product *= values;
  }
  return product;
}

Value ValueAt(const Decision& decision, uint64_t index) {
  if (decision.kind == search_space::DecisionKind::kInteger)
    return static_cast<int64_t>(decision.low) + static_cast<int64_t>(index);
  return decision.choices[index];
}

// Whether every condition holds for the decisions assigned so far.
bool IsActive(const Decision& decision, const Candidate& assigned) {
  for (const search_space::Expression& condition : decision.conditions) {
    std::vector<const Value*> values;
    for (const std::string& name : condition.names()) {
      values.push_back(assigned.Find(name));
      if (values.back() == nullptr) return false;
    }
    const auto holds = condition.Evaluate(values);
    if (!holds.ok() || !std::holds_alternative<bool>(*holds) || !std::get<bool>(*holds)) return false;
  }
  return true;
}

// Combination `index` as a candidate. Combinations that differ in inactive decisions alone are one candidate:
// the one with the first value for each of these stands for it, the others give nullopt.
std::optional<Candidate> CandidateAt(const SearchSpace& space, uint64_t index) {
  std::vector<Candidate::Assignment> assignments;
  for (const Decision& decision : space.decisions()) {
    const uint64_t values = decision.Cardinality();
    const uint64_t digit = index % values;
    index /= values;
    if (IsActive(decision, Candidate(assignments)))
      assignments.push_back({decision.name, ValueAt(decision, digit)});
    else if (digit != 0)
      return std::nullopt;
  }
  return Candidate(std::move(assignments));
}

}  // namespace

RandomSearch::RandomSearch(SearchSpace space, Rng rng)
    : space_(std::move(space)), rng_(rng), order_(Combinations(space_)) {
  std::iota(order_.begin(), order_.end(), uint32_t{0});
  rng_.Shuffle(std::span<uint32_t>(order_));
}

StatusOr<Candidate> RandomSearch::Propose() {
  if (order_.empty()) return space_.Sample(rng_);
  while (position_ < order_.size()) {
    auto candidate = CandidateAt(space_, order_[position_++]);
    if (candidate) return *std::move(candidate);
  }
  return absl::OutOfRangeError("every candidate of space '" + space_.name() + "' was proposed");
}

void RandomSearch::Record(const controller::Observation&) {}

std::string RandomSearch::Save() const { return order_.empty() ? rng_.Save() : std::to_string(position_); }

Status RandomSearch::Restore(std::string_view state) {
  const Status damaged = DataLoss("the state of random search is damaged, or of another space");
  if (order_.empty()) {
    const auto rng = Rng::Restore(state);
    if (!rng.ok()) return damaged;
    rng_ = *rng;
    return {};
  }
  const auto position = ParseInt(state);
  if (!position || *position < 0 || *position > static_cast<int64_t>(order_.size())) return damaged;
  position_ = static_cast<size_t>(*position);
  return {};
}

}  // namespace canopy::strategies
