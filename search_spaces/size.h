#pragma once

#include <optional>
#include <string>
#include <vector>

#include "search_spaces/decision.h"

namespace canopy::search_space {

// A decision's condition with its names resolved to indices of earlier decisions.
struct ResolvedCondition {
  Expression expression;
  std::vector<int> slots;

  // Whether it holds under `values`, where nullptr is an inactive decision. An expression that cannot be
  // evaluated does not hold.
  bool Holds(const std::vector<const Value*>& values) const;
};

// The exact number of assignments to those decisions, in decimal digits: "infinite" where one of them is a
// range of floats, "more than <n>" where conditions are too entangled to count in bounded time.
// conditions[i] are those of decisions[i]; conditions name decisions of the same list.
std::string CountAssignments(const std::vector<Decision>& decisions,
                             const std::vector<std::vector<ResolvedCondition>>& conditions);

}  // namespace canopy::search_space
