#include "search_spaces/constraint.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "base/strings.h"
#include "search_spaces/compared_word.h"
#include "search_spaces/space.h"

namespace canopy::search_space {
namespace {

constexpr ConstraintMetric kMetrics[] = {
    {"params", &Costs::params, "trainable numbers"},
    {"macs", &Costs::macs, "multiply-accumulates for one example"},
    {"activation_memory", &Costs::activation_memory,
     "bytes of fp32 activations alive at once at inference of one example, at the worst moment"},
    {"training_memory", &Costs::training_memory,
     "bytes of a training step at the candidate's batch size and optimizer: network_graph.md has the rule"},
    {"depth", &Costs::depth, "convolutions and linear layers on the longest path from input to output"},
};

}  // namespace

std::span<const ConstraintMetric> ConstraintMetrics() { return kMetrics; }

StatusOr<Constraint> Constraint::Parse(std::string_view text, const SearchSpace& space) {
  CANOPY_ASSIGN_OR_RETURN(Expression expression, Expression::Parse(text));
  std::vector<ValueKind> kinds;
  for (const std::string& name : expression.names()) {
    if (std::any_of(std::begin(kMetrics), std::end(kMetrics),
                    [&](const ConstraintMetric& metric) { return metric.name == name; })) {
      kinds.push_back(ValueKind::kNumber);
      continue;
    }
    if (const Decision* decision = space.FindDecision(name)) {
      kinds.push_back(decision->value_kind());
      continue;
    }
    std::vector<std::string> known;
    for (const ConstraintMetric& metric : kMetrics) known.emplace_back(metric.name);
    for (const Decision& decision : space.decisions()) known.push_back(decision.name);
    return InvalidArgument(
        "expected params, macs, activation_memory, training_memory, depth or a decision in '" +
        std::string(Trim(text)) + "', found '" + name + "'" + DidYouMean(name, known));
  }
  CANOPY_RETURN_IF_ERROR(expression.CheckCondition(kinds));
  for (const auto& [name, word] : expression.ComparedWords()) {
    const Decision* decision = space.FindDecision(name);
    if (decision) CANOPY_RETURN_IF_ERROR(CheckComparedWord(*decision, word));
  }
  return Constraint(std::move(expression));
}

StatusOr<double> Constraint::Amount(const Candidate& candidate, const Costs& costs) const {
  std::vector<Value> metrics;
  metrics.reserve(std::size(kMetrics));
  std::vector<const Value*> values;
  for (const std::string& name : expression_.names()) {
    const Value* value = nullptr;
    for (const ConstraintMetric& metric : kMetrics) {
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
