#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/random.h"
#include "base/status.h"
#include "config/yaml.h"
#include "search_spaces/expression.h"
#include "search_spaces/value.h"

namespace canopy::search_space {

// What the decision shapes: the network, or how it is trained (learning rate, batch size, ...).
enum class DecisionRole { kArchitecture, kRecipe };
// kOrdinal's choices are numbers in order; kInteger and kFloat are ranges.
enum class DecisionKind { kCategorical, kOrdinal, kInteger, kFloat };
std::string_view ToString(DecisionKind kind);
std::string_view ToString(DecisionRole role);

// One named choice. Its name is lower_snake and unique in its space; it becomes a database column.
struct Decision {
  std::string name;
  DecisionKind kind = DecisionKind::kCategorical;
  DecisionRole role = DecisionRole::kArchitecture;
  // kCategorical, kOrdinal: at least one, all of one type, no two equal.
  std::vector<Value> choices;
  // kInteger, kFloat: both ends included (a float's upper end is never drawn).
  double low = 0, high = 0;
  // Drawn log-uniformly.
  bool log = false;
  // The decision is active where every condition holds; none: always. A condition names earlier decisions
  // only and does not hold where one of them is inactive.
  std::vector<Expression> conditions;
  // Where the space file declares it.
  config::Location location;

  // The values' type: as an index of Value's alternatives.
  size_t value_type() const;
  // The same as expressions see it.
  ValueKind value_kind() const;
  // OK where `value` is one of this decision's; otherwise a message that lists or bounds them.
  Status Check(const Value& value) const;
  // How many values it has; 0: a range of floats, which is not countable.
  uint64_t Cardinality() const;
  // Its values in order have the ordinals 0, 1, ...; REQUIRES ordinal < Cardinality().
  Value ValueAt(uint64_t ordinal) const;
  // The inverse; REQUIRES one of its values, of which there are finitely many.
  uint64_t OrdinalOf(const Value& value) const;
  // Where a value lies between the lowest, 0, and the highest, 1: ordinals by their order, ranges by their
  // size, in the logarithm where `log`; 0 where there is one. REQUIRES one of its values, not categorical.
  double PositionOf(const Value& value) const;
  // The value nearest to that position, integers and ordinals rounded (halves up). REQUIRES a position from
  // 0 to 1, not categorical.
  Value AtPosition(double position) const;
  Value Sample(Rng& rng) const;
  // A value other than `current`, uniformly; REQUIRES Cardinality() != 1.
  Value SampleOther(const Value& current, Rng& rng) const;
  // "one of 3, 5, 7" or "an integer from 1 to 9": for messages and listings.
  std::string DescribeValues() const;
};

}  // namespace canopy::search_space
