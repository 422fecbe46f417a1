#include "search_spaces/constraint.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "base/strings.h"

namespace canopy::search_space {
namespace {

struct Metric {
  const char* name;
  int64_t Costs::*field;
};
constexpr Metric kMetrics[] = {
    {"params", &Costs::params},
    {"macs", &Costs::macs},
    {"activation_memory", &Costs::activation_memory},
    {"training_memory", &Costs::training_memory},
    {"depth", &Costs::depth},
};

}  // namespace

StatusOr<Constraint> Constraint::Parse(std::string_view text, const std::vector<Decision>& decisions) {
  CANOPY_ASSIGN_OR_RETURN(Expression expression, Expression::Parse(text));
  std::vector<std::string> known;
  std::vector<ValueKind> kinds;
  for (const Metric& metric : kMetrics) known.emplace_back(metric.name);
  for (const Decision& decision : decisions) known.push_back(decision.name);
  for (const std::string& name : expression.names()) {
    if (std::find(known.begin(), known.end(), name) != known.end()) {
      const auto decision =
          std::find_if(decisions.begin(), decisions.end(), [&](const Decision& d) { return d.name == name; });
      kinds.push_back(decision == decisions.end() ? ValueKind::kNumber : decision->value_kind());
      continue;
    }
    return InvalidArgument(
        "expected params, macs, activation_memory, training_memory, depth or a decision in '" +
        std::string(Trim(text)) + "', found '" + name + "'" + DidYouMean(name, known));
  }
  CANOPY_RETURN_IF_ERROR(expression.CheckCondition(kinds));
  return Constraint(std::move(expression));
}

StatusOr<double> Constraint::Amount(const Candidate& candidate, const Costs& costs) const {
  std::vector<Value> metrics;
  metrics.reserve(std::size(kMetrics));
  std::vector<const Value*> values;
  for (const std::string& name : expression_.names()) {
    const Value* value = nullptr;
    for (const Metric& metric : kMetrics) {
      if (name == metric.name) value = &metrics.emplace_back(costs.*metric.field);
    }
    if (!value) value = candidate.Find(name);
    if (!value) return 0.0;
    values.push_back(value);
  }
  return expression_.ViolationAmount(values);
}

StatusOr<std::vector<Violation>> CheckConstraints(const std::vector<Constraint>& constraints,
                                                  const Candidate& candidate, const Costs& costs) {
  std::vector<Violation> violations;
  for (const Constraint& constraint : constraints) {
    const auto amount = constraint.Amount(candidate, costs);
    if (!amount.ok()) {
      violations.push_back({constraint.text() + " (" + Message(amount.status()) + ")", 1});
    } else if (*amount > 0) {
      violations.push_back({constraint.text(), *amount});
    }
  }
  return violations;
}

}  // namespace canopy::search_space
