#pragma once

#include <string>
#include <vector>

#include "base/status.h"
#include "search_spaces/candidate.h"
#include "search_spaces/constraint.h"
#include "search_spaces/cost.h"
#include "search_spaces/graph.h"
#include "search_spaces/space.h"

namespace canopy::search_space {

// All that is known of a candidate before it is trained.
struct Evaluation {
  NetworkGraph graph;  // simplified: what is trained
  Costs costs;         // of `graph`
  Costs costs_as_written;
  std::string graph_hash;
  std::string candidate_hash;
  bool depends_on_input = true;
  std::vector<Violation> violations;  // of the space's own constraints
};

// Lowers, simplifies, counts and hashes a candidate of the space. InvalidArgument where its network cannot
// be built.
StatusOr<Evaluation> Evaluate(const SearchSpace& space, const Candidate& candidate, const TaskShape& task);

// OK where the reference, if the space has one, and at least one of `samples` candidates drawn with a
// fixed seed can be built, depend on their input and break no constraint (the space's and `constraints`).
// InvalidArgument gives the reference's fault, or the most frequent fault among the samples.
Status CheckSpace(const SearchSpace& space, const TaskShape& task, const std::vector<Constraint>& constraints,
                  int samples = 64);

}  // namespace canopy::search_space
