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

// OK where it may be trained; the message says what is in its way.
Status CheckTrainable(const StatusOr<Evaluation>& evaluation, const Candidate& candidate,
                      const std::vector<Constraint>& constraints) {
  CANOPY_ASSIGN_OR_RETURN(const Verdict verdict, JudgeTrainable(evaluation, candidate, constraints));
  switch (verdict.kind) {
    case Verdict::Kind::kTrainable:
      return {};
    case Verdict::Kind::kNotBuilt:
      return evaluation.status();
    case Verdict::Kind::kNoInput:
      return InvalidArgument("expected a network whose output depends on its input");
    case Verdict::Kind::kBreaksConstraint:
      break;
  }
  return InvalidArgument("expected a candidate that keeps '" + verdict.violations.front().constraint + "'" +
                         (evaluation->violations.empty() ? ", a constraint of the campaign" : ""));
}

}  // namespace

StatusOr<Evaluation> Evaluate(const SearchSpace& space, const Candidate& candidate, const TaskShape& task,
                              const TrainingSetup& setup) {
  CANOPY_ASSIGN_OR_RETURN(NetworkGraph written, space.Lower(candidate, task));
  CANOPY_RETURN_IF_ERROR(CheckOutput(space, written, task));
  Evaluation evaluation;
  CANOPY_ASSIGN_OR_RETURN(evaluation.costs_as_written, ComputeCosts(written));
  evaluation.graph = Simplify(std::move(written));
  CANOPY_ASSIGN_OR_RETURN(evaluation.costs, ComputeCosts(evaluation.graph));
  const Candidate recipe = space.Recipe(candidate);
  CANOPY_ASSIGN_OR_RETURN(evaluation.costs.training_memory,
                          TrainingMemory(evaluation.graph, setup.With(recipe)));
  evaluation.graph_hash = GraphHash(evaluation.graph);
  evaluation.candidate_hash = CandidateHash(evaluation.graph_hash, recipe);
  evaluation.depends_on_input = DependsOnInput(evaluation.graph);
  CANOPY_ASSIGN_OR_RETURN(evaluation.violations, space.CheckConstraints(candidate, evaluation.costs));
  return evaluation;
}

StatusOr<Verdict> JudgeTrainable(const StatusOr<Evaluation>& evaluation, const Candidate& candidate,
                                 const std::vector<Constraint>& constraints) {
  if (!evaluation.ok()) return Verdict{Verdict::Kind::kNotBuilt, {}};
  if (!evaluation->depends_on_input) return Verdict{Verdict::Kind::kNoInput, {}};
  Verdict verdict{Verdict::Kind::kTrainable, evaluation->violations};
  CANOPY_ASSIGN_OR_RETURN(const auto more, CheckConstraints(constraints, candidate, evaluation->costs));
  verdict.violations.insert(verdict.violations.end(), more.begin(), more.end());
  if (!verdict.violations.empty()) verdict.kind = Verdict::Kind::kBreaksConstraint;
  return verdict;
}

Status CheckSpace(const SearchSpace& space, const TaskShape& task, const std::vector<Constraint>& constraints,
                  const TrainingSetup& setup) {
  std::map<std::string, int64_t> faults;
  if (space.reference()) {
    const Candidate& reference = *space.reference();
    const auto evaluation = Evaluate(space, reference, task, setup);
    const Status status = CheckTrainable(evaluation, reference, {});
    if (!status.ok()) {
      return space.LocationOf("reference")
          .Error("expected a network that can be trained, but: " + Message(status));
    }
    if (CheckTrainable(evaluation, reference, constraints).ok()) return {};
  }
  Rng rng(1);
  const int64_t draws =
      std::clamp(kMaxBlocksLowered / std::max<int64_t>(space.block_count(), 1), kMinDraws, kMaxDraws);
  for (int64_t i = 0; i < draws; ++i) {
    const Candidate candidate = space.Sample(rng);
    const Status status = CheckTrainable(Evaluate(space, candidate, task, setup), candidate, constraints);
    if (status.ok()) return {};
    ++faults[Message(status)];
  }
  if (space.decisions().empty()) {
    return space.LocationOf("network").Error("expected a network that can be trained, but: " +
                                             faults.begin()->first);
  }
  const auto worst = std::max_element(faults.begin(), faults.end(),
                                      [](const auto& a, const auto& b) { return a.second < b.second; });
  return space.LocationOf("network").Error(
      "expected a space with a valid candidate, found none among " + FormatCount(draws) +
      " drawn; loosen what refuses them, or add a valid `reference`. Most often: " + worst->first);
}

}  // namespace canopy::search_space
