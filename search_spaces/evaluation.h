#pragma once

#include <string>
#include <vector>

#include "base/status.h"
#include "search_spaces/candidate.h"
#include "search_spaces/constraint.h"
#include "search_spaces/cost.h"
#include "search_spaces/graph.h"
#include "search_spaces/space.h"
#include "search_spaces/training_memory.h"

namespace canopy::search_space {

// All that is known of a candidate before it is trained.
struct Evaluation {
  NetworkGraph graph;  // simplified: what is trained
  Costs costs;         // of `graph`, training_memory included
  Costs costs_as_written;
  std::string graph_hash;
  std::string candidate_hash;
  bool depends_on_input = true;
  std::vector<Violation> violations;  // of the space's own constraints
};

// Lowers, simplifies, counts and hashes a candidate of the space. InvalidArgument, with the file's position,
// where its network cannot be built or its output is not one feature a class. `setup` is how it is trained
// where its own recipe decisions leave that open.
StatusOr<Evaluation> Evaluate(const SearchSpace& space, const Candidate& candidate, const TaskShape& task,
                              const TrainingSetup& setup = {});

// Whether a candidate may be trained, or the first thing that is in its way.
struct Verdict {
  enum class Kind { kTrainable, kNotBuilt, kNoInput, kBreaksConstraint };
  Kind kind = Kind::kTrainable;
  std::vector<Violation> violations;  // of the space's constraints, then of `constraints`
};
// Of what Evaluate said of the candidate, and a campaign's own constraints.
StatusOr<Verdict> JudgeTrainable(const StatusOr<Evaluation>& evaluation, const Candidate& candidate,
                                 const std::vector<Constraint>& constraints);

// OK where a candidate can be trained: it can be built, depends on its input and breaks no constraint, the
// space's or one of `constraints`. That candidate is the reference or one of up to 1,000 drawn with a fixed
// seed (fewer of large networks). A reference that cannot be trained whatever the campaign's `constraints`
// say is refused. InvalidArgument, with the file's position, gives its fault, or the most frequent one among
// those drawn.
Status CheckSpace(const SearchSpace& space, const TaskShape& task, const std::vector<Constraint>& constraints,
                  const TrainingSetup& setup = {});

}  // namespace canopy::search_space
