#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "search_spaces/candidate.h"
#include "search_spaces/cost.h"
#include "search_spaces/expression.h"

namespace canopy::search_space {

// A broken constraint, and how far it is from holding, in the constraint's own unit; above 0.
struct Violation {
  std::string constraint;
  double amount = 0;
  friend bool operator==(const Violation&, const Violation&) = default;
};

// What constraints know of a network.
struct ConstraintMetric {
  std::string_view name;
  int64_t Costs::*field;
  std::string_view meaning;
};
std::span<const ConstraintMetric> ConstraintMetrics();

class SearchSpace;

// A boolean expression over params, macs, activation_memory, training_memory, depth and decisions:
// "params < 200000".
class Constraint {
 public:
  // InvalidArgument for a text that is no such expression: the message gives the nearest name.
  static StatusOr<Constraint> Parse(std::string_view text, const SearchSpace& space);

  const std::string& text() const { return expression_.text(); }
  // 0 where the constraint holds. One that names an inactive decision holds: there is nothing to limit.
  StatusOr<double> Amount(const Candidate& candidate, const Costs& costs) const;

 private:
  explicit Constraint(Expression expression) : expression_(std::move(expression)) {}
  Expression expression_;
};

// The broken ones, in order. One that cannot be evaluated for this candidate (a division by zero, say) is
// broken by 1, with the reason behind its text.
StatusOr<std::vector<Violation>> CheckConstraints(const std::vector<Constraint>& constraints,
                                                  const Candidate& candidate, const Costs& costs);

}  // namespace canopy::search_space
