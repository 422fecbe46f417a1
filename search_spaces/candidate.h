#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "search_spaces/value.h"

namespace canopy::search_space {

// A value for every active decision of a space, in the order in which the space declares them: the
// genotype. SearchSpace makes and reads candidates; only it knows whether one is complete.
class Candidate {
 public:
  struct Assignment {
    std::string decision;
    Value value;
    friend bool operator==(const Assignment&, const Assignment&) = default;
  };

  Candidate() = default;
  explicit Candidate(std::vector<Assignment> assignments) : assignments_(std::move(assignments)) {}

  const std::vector<Assignment>& assignments() const { return assignments_; }
  // The decision's value, nullptr where it is not active.
  const Value* Find(std::string_view decision) const;

  // Canonical JSON: {"edge_0_1":"none","learning_rate":0.1}, decisions in declared order.
  // SearchSpace::ParseCandidate reads it.
  std::string ToJson() const;

  friend bool operator==(const Candidate&, const Candidate&) = default;

 private:
  std::vector<Assignment> assignments_;
};

}  // namespace canopy::search_space
