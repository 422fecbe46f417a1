#include <algorithm>

#include "base/check.h"
#include "search_spaces/exploration.h"

namespace canopy::search_space {
namespace {

constexpr uint64_t kMaxAllIntegers = 16;
constexpr double kSteps[] = {1.0 / 64, 1.0 / 16, 1.0 / 4};

// In rising order.
std::vector<Value> OtherValues(const Decision& decision, const Value& current) {
  std::vector<Value> values;
  const uint64_t count = decision.Cardinality();
  const bool all = !decision.choices.empty() || (count > 0 && count <= kMaxAllIntegers);
  if (all) {
    for (uint64_t i = 0; i < count; ++i) values.push_back(decision.ValueAt(i));
  } else {
    const double position = decision.PositionOf(current);
    for (const double step : kSteps) {
      if (position >= step) values.push_back(decision.AtPosition(position - step));
      if (position + step <= 1) values.push_back(decision.AtPosition(position + step));
    }
    if (decision.kind == DecisionKind::kInteger) {
      const uint64_t ordinal = decision.OrdinalOf(current);
      if (ordinal > 0) values.push_back(decision.ValueAt(ordinal - 1));
      if (ordinal + 1 < count) values.push_back(decision.ValueAt(ordinal + 1));
    }
    std::sort(values.begin(), values.end());
    values.erase(std::unique(values.begin(), values.end()), values.end());
  }
  values.erase(std::remove(values.begin(), values.end(), current), values.end());
  return values;
}

}  // namespace

std::vector<Move> MovesFrom(const SearchSpace& space, const Candidate& candidate) {
  const std::vector<const Value*> values = space.ValuesOf(candidate);
  std::vector<Move> moves;
  for (size_t i = 0; i < values.size(); ++i) {
    if (!values[i]) continue;
    for (Value& value : OtherValues(space.decisions()[i], *values[i])) moves.push_back({i, std::move(value)});
  }
  return moves;
}

Candidate Apply(const SearchSpace& space, const Candidate& candidate, const Move& move) {
  const std::vector<const Value*> old = space.ValuesOf(candidate);
  CANOPY_CHECK(old[move.decision] && *old[move.decision] != move.value, "a move from another candidate");
  return space.Assemble([&](size_t i) {
    if (i == move.decision) return move.value;
    if (old[i]) return *old[i];
    const Decision& decision = space.decisions()[i];
    constexpr double kMiddle = 0.5;
    return decision.kind == DecisionKind::kCategorical ? decision.choices.front()
                                                       : decision.AtPosition(kMiddle);
  });
}

}  // namespace canopy::search_space
