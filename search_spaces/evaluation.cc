#include "search_spaces/evaluation.h"

#include <algorithm>
#include <map>
#include <utility>

#include "search_spaces/hash.h"
#include "search_spaces/simplify.h"

namespace canopy::search_space {

StatusOr<Evaluation> Evaluate(const SearchSpace& space, const Candidate& candidate, const TaskShape& task) {
  CANOPY_ASSIGN_OR_RETURN(const NetworkGraph written, space.Lower(candidate, task));
  Evaluation evaluation;
  CANOPY_ASSIGN_OR_RETURN(evaluation.costs_as_written, ComputeCosts(written));
  evaluation.graph = Simplify(written);
  CANOPY_ASSIGN_OR_RETURN(evaluation.costs, ComputeCosts(evaluation.graph));
  evaluation.graph_hash = GraphHash(evaluation.graph);
  evaluation.candidate_hash = CandidateHash(evaluation.graph_hash, space.Recipe(candidate));
  evaluation.depends_on_input = DependsOnInput(evaluation.graph);
  CANOPY_ASSIGN_OR_RETURN(evaluation.violations, space.CheckConstraints(candidate, evaluation.costs));
  return evaluation;
}

namespace {

Status CheckOutput(const Evaluation& evaluation, const TaskShape& task) {
  const auto& shape = evaluation.graph.nodes[evaluation.graph.output].shape;
  if (shape == std::vector<int64_t>{task.classes}) return {};
  return InvalidArgument("expected an output of " + std::to_string(task.classes) +
                         " features, one a class: end the network with linear: {features: classes}");
}

// Why the candidate may not be trained; OK where it may.
Status CheckTrainable(const SearchSpace& space, const Candidate& candidate, const TaskShape& task,
                      const std::vector<Constraint>& constraints) {
  CANOPY_ASSIGN_OR_RETURN(Evaluation evaluation, Evaluate(space, candidate, task));
  CANOPY_RETURN_IF_ERROR(CheckOutput(evaluation, task));
  if (!evaluation.depends_on_input) {
    return InvalidArgument("expected a network whose output depends on its input");
  }
  CANOPY_ASSIGN_OR_RETURN(const auto more, CheckConstraints(constraints, candidate, evaluation.costs));
  evaluation.violations.insert(evaluation.violations.end(), more.begin(), more.end());
  if (evaluation.violations.empty()) return {};
  return InvalidArgument("expected a candidate that keeps '" + evaluation.violations.front().constraint +
                         "'");
}

}  // namespace

Status CheckSpace(const SearchSpace& space, const TaskShape& task, const std::vector<Constraint>& constraints,
                  int samples) {
  const std::string what = "space '" + space.name() + "'";
  if (space.reference()) {
    const Status status = CheckTrainable(space, *space.reference(), task, constraints);
    if (!status.ok()) return WithContext(status, what + ": reference");
  }
  Rng rng(1);
  std::map<std::string, int> faults;
  for (int i = 0; i < samples; ++i) {
    const Status status = CheckTrainable(space, space.Sample(rng), task, constraints);
    if (status.ok()) return {};
    ++faults[Message(status)];
  }
  const auto worst = std::max_element(faults.begin(), faults.end(),
                                      [](const auto& a, const auto& b) { return a.second < b.second; });
  return InvalidArgument(what + ": expected a valid candidate, found none among " + std::to_string(samples) +
                         ", most often because: " + worst->first);
}

}  // namespace canopy::search_space
