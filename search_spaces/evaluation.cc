#include "search_spaces/evaluation.h"

#include <algorithm>
#include <map>
#include <utility>

#include "base/strings.h"
#include "search_spaces/hash.h"
#include "search_spaces/ops/operator.h"
#include "search_spaces/simplify.h"

namespace canopy::search_space {

namespace {

constexpr int64_t kMaxDraws = 1000, kMinDraws = 16;
// Blocks lowered in all while a space is checked.
constexpr int64_t kMaxBlocksLowered = 1'000'000;

Status CheckOutput(const SearchSpace& space, const NetworkGraph& graph, const TaskShape& task) {
  const auto& shape = graph.nodes[graph.output].shape;
  if (shape == std::vector<int64_t>{task.classes}) return {};
  return space.LocationOf("network").Error("expected an output of " + std::to_string(task.classes) +
                                           " features, one a class, found " + ShapeText(shape) +
                                           ": end the network with linear: {features: classes}");
}

// OK where it may be trained, whatever a campaign asks of it besides.
Status CheckTrainable(const StatusOr<Evaluation>& evaluation) {
  CANOPY_RETURN_IF_ERROR(evaluation.status());
  if (!evaluation->depends_on_input) {
    return InvalidArgument("expected a network whose output depends on its input");
  }
  if (evaluation->violations.empty()) return {};
  return InvalidArgument("expected a candidate that keeps '" + evaluation->violations.front().constraint +
                         "'");
}

Status CheckKept(const std::vector<Constraint>& constraints, const Candidate& candidate, const Costs& costs) {
  CANOPY_ASSIGN_OR_RETURN(const auto violations, CheckConstraints(constraints, candidate, costs));
  if (violations.empty()) return {};
  return InvalidArgument("expected a candidate that keeps '" + violations.front().constraint +
                         "', a constraint of the campaign");
}

}  // namespace

StatusOr<Evaluation> Evaluate(const SearchSpace& space, const Candidate& candidate, const TaskShape& task) {
  CANOPY_ASSIGN_OR_RETURN(NetworkGraph written, space.Lower(candidate, task));
  CANOPY_RETURN_IF_ERROR(CheckOutput(space, written, task));
  Evaluation evaluation;
  CANOPY_ASSIGN_OR_RETURN(evaluation.costs_as_written, ComputeCosts(written));
  evaluation.graph = Simplify(std::move(written));
  CANOPY_ASSIGN_OR_RETURN(evaluation.costs, ComputeCosts(evaluation.graph));
  evaluation.graph_hash = GraphHash(evaluation.graph);
  evaluation.candidate_hash = CandidateHash(evaluation.graph_hash, space.Recipe(candidate));
  evaluation.depends_on_input = DependsOnInput(evaluation.graph);
  CANOPY_ASSIGN_OR_RETURN(evaluation.violations, space.CheckConstraints(candidate, evaluation.costs));
  return evaluation;
}

Status CheckSpace(const SearchSpace& space, const TaskShape& task,
                  const std::vector<Constraint>& constraints) {
  std::map<std::string, int64_t> faults;
  if (space.reference()) {
    const auto evaluation = Evaluate(space, *space.reference(), task);
    const Status status = CheckTrainable(evaluation);
    if (!status.ok()) {
      return space.LocationOf("reference")
          .Error("expected a network that can be trained, but: " + Message(status));
    }
    if (CheckKept(constraints, *space.reference(), evaluation->costs).ok()) return {};
  }
  Rng rng(1);
  const int64_t draws =
      std::clamp(kMaxBlocksLowered / std::max<int64_t>(space.block_count(), 1), kMinDraws, kMaxDraws);
  for (int64_t i = 0; i < draws; ++i) {
    const Candidate candidate = space.Sample(rng);
    const auto evaluation = Evaluate(space, candidate, task);
    Status status = CheckTrainable(evaluation);
    if (status.ok()) status = CheckKept(constraints, candidate, evaluation->costs);
    if (status.ok()) return {};
    ++faults[Message(status)];
  }
  const auto worst = std::max_element(faults.begin(), faults.end(),
                                      [](const auto& a, const auto& b) { return a.second < b.second; });
  return space.LocationOf("network").Error(
      "expected a space with a valid candidate, found none among " + FormatCount(draws) +
      " drawn; loosen what refuses them, or add a valid `reference`. Most often: " + worst->first);
}

}  // namespace canopy::search_space
