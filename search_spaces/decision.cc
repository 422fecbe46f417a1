#include "search_spaces/decision.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"

namespace canopy::search_space {
namespace {

constexpr int kMaxRedraws = 1000;

bool IsRange(DecisionKind kind) { return kind == DecisionKind::kInteger || kind == DecisionKind::kFloat; }

// An integer from low to high, uniform in its logarithm: the interval [i, i + 1) stands for i.
int64_t LogInteger(int64_t low, int64_t high, Rng& rng) {
  const double drawn = rng.Float(static_cast<double>(low), static_cast<double>(high) + 1, /*log=*/true);
  return std::clamp(static_cast<int64_t>(drawn), low, high);
}

}  // namespace

std::string_view ToString(DecisionKind kind) {
  switch (kind) {
    case DecisionKind::kCategorical:
      return "categorical";
    case DecisionKind::kOrdinal:
      return "ordinal";
    case DecisionKind::kInteger:
      return "integer";
    case DecisionKind::kFloat:
      return "float";
  }
  return "";
}

std::string_view ToString(DecisionRole role) {
  return role == DecisionRole::kRecipe ? "recipe" : "architecture";
}

size_t Decision::value_type() const {
  if (kind == DecisionKind::kInteger) return Value(int64_t{0}).index();
  if (kind == DecisionKind::kFloat) return Value(0.0).index();
  return choices.front().index();
}

ValueKind Decision::value_kind() const {
  return IsRange(kind) ? ValueKind::kNumber : KindOf(choices.front());
}

Status Decision::Check(const Value& value) const {
  const bool valid = IsRange(kind)
                         ? value.index() == value_type() && AsDouble(value) >= low && AsDouble(value) <= high
                         : std::find(choices.begin(), choices.end(), value) != choices.end();
  if (valid) return {};
  return InvalidArgument("expected " + DescribeValues() + " for '" + name + "', found " +
                         CanonicalText(value));
}

uint64_t Decision::Cardinality() const {
  if (kind == DecisionKind::kFloat) return low == high ? 1 : 0;
  if (kind == DecisionKind::kInteger)
    return static_cast<uint64_t>(static_cast<int64_t>(high) - static_cast<int64_t>(low)) + 1;
  return choices.size();
}

Value Decision::ValueAt(uint64_t ordinal) const {
  CANOPY_CHECK(ordinal < Cardinality(), name);
  if (kind == DecisionKind::kFloat) return low;
  if (kind == DecisionKind::kInteger) return static_cast<int64_t>(low) + static_cast<int64_t>(ordinal);
  return choices[ordinal];
}

uint64_t Decision::OrdinalOf(const Value& value) const {
  if (kind == DecisionKind::kFloat) return 0;
  if (kind == DecisionKind::kInteger)
    return static_cast<uint64_t>(std::get<int64_t>(value) - static_cast<int64_t>(low));
  const auto at = std::find(choices.begin(), choices.end(), value);
  CANOPY_CHECK(at != choices.end(), name);
  return static_cast<uint64_t>(at - choices.begin());
}

double Decision::PositionOf(const Value& value) const {
  CANOPY_CHECK(kind != DecisionKind::kCategorical, name);
  if (kind == DecisionKind::kOrdinal) {
    return choices.size() == 1
               ? 0
               : static_cast<double>(OrdinalOf(value)) / static_cast<double>(choices.size() - 1);
  }
  if (low == high) return 0;
  const double at = AsDouble(value);
  if (!log) return (at - low) / (high - low);
  return (std::log(at) - std::log(low)) / (std::log(high) - std::log(low));
}

Value Decision::AtPosition(double position) const {
  CANOPY_CHECK(kind != DecisionKind::kCategorical && position >= 0 && position <= 1, name);
  if (kind == DecisionKind::kOrdinal)
    return choices[static_cast<size_t>(position * static_cast<double>(choices.size() - 1) + 0.5)];
  double at = log ? std::exp(std::log(low) + (std::log(high) - std::log(low)) * position)
                  : low + (high - low) * position;
  // The logarithm's rounding moves no end.
  if (position == 0 || position == 1) at = position == 0 ? low : high;
  if (kind == DecisionKind::kFloat) return std::clamp(at, low, high);
  return static_cast<int64_t>(std::clamp(std::floor(at + 0.5), low, high));
}

Value Decision::Sample(Rng& rng) const {
  switch (kind) {
    case DecisionKind::kFloat:
      return low == high ? low : rng.Float(low, high, log);
    case DecisionKind::kInteger: {
      const auto from = static_cast<int64_t>(low), to = static_cast<int64_t>(high);
      return log ? LogInteger(from, to, rng) : rng.Int(from, to);
    }
    default:
      return choices[rng.Below(choices.size())];
  }
}

Value Decision::SampleOther(const Value& current, Rng& rng) const {
  CANOPY_CHECK(Cardinality() != 1, name);
  if (IsRange(kind) && (log || kind == DecisionKind::kFloat)) {
    for (int i = 0; i < kMaxRedraws; ++i) {
      const Value value = Sample(rng);
      if (value != current) return value;
    }
    // A range so narrow that it holds little but the current value.
    const double end = AsDouble(current) == low ? high : low;
    if (kind == DecisionKind::kFloat) return end;
    return static_cast<int64_t>(end);
  }
  if (kind == DecisionKind::kInteger) {
    const int64_t drawn = rng.Int(static_cast<int64_t>(low), static_cast<int64_t>(high) - 1);
    return drawn >= std::get<int64_t>(current) ? drawn + 1 : drawn;
  }
  const size_t at = std::find(choices.begin(), choices.end(), current) - choices.begin();
  const size_t drawn = rng.Below(choices.size() - 1);
  return choices[drawn >= at ? drawn + 1 : drawn];
}

std::string Decision::DescribeValues() const {
  if (IsRange(kind)) {
    const Value from = kind == DecisionKind::kFloat ? Value(low) : Value(static_cast<int64_t>(low));
    const Value to = kind == DecisionKind::kFloat ? Value(high) : Value(static_cast<int64_t>(high));
    return (kind == DecisionKind::kFloat ? "a number from " : "an integer from ") + CanonicalText(from) +
           " to " + CanonicalText(to);
  }
  if (choices.size() == 1) return CanonicalText(choices[0]);
  std::string text = "one of ";
  constexpr size_t kShown = 20;
  for (size_t i = 0; i < choices.size() && i < kShown; ++i)
    text += (i ? ", " : "") + CanonicalText(choices[i]);
  return choices.size() > kShown ? text + ", ..." : text;
}

}  // namespace canopy::search_space
