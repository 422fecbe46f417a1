#include "search_spaces/space_summary.h"

#include <algorithm>
#include <set>
#include <utility>

#include "base/strings.h"
#include "search_spaces/evaluation.h"
#include "search_spaces/exploration.h"

namespace canopy::search_space {
namespace {

// Blocks lowered in all for a sample.
constexpr int64_t kMaxBlocksLowered = 100'000;
constexpr int64_t kMinDraws = 16;

std::string DescribeDecision(const Decision& decision) {
  std::string text = std::string(ToString(decision.kind)) + ", " + decision.DescribeValues();
  if (decision.log) text += ", log";
  std::vector<std::string> conditions;
  for (const Expression& condition : decision.conditions) conditions.push_back(condition.text());
  return conditions.empty() ? text : text + ", where " + Join(conditions, " and ");
}

std::string DescribeTask(const SearchSpace& space) {
  if (!space.default_task()) return "";
  std::string text;
  for (const int64_t size : space.default_task()->input)
    text += (text.empty() ? "" : "x") + std::to_string(size);
  return text + ", " + std::to_string(space.default_task()->classes) + " classes";
}

}  // namespace

SampleSummary SummarizeSample(const SearchSpace& space, const TaskShape& task, int64_t most,
                              const TrainingSetup& setup) {
  SampleSummary summary;
  Rng rng(1);
  const int64_t fit = kMaxBlocksLowered / std::max<int64_t>(space.block_count(), 1);
  const int64_t draws = std::min(std::max(fit, kMinDraws), most);
  for (; summary.drawn < draws; ++summary.drawn) {
    const Candidate candidate = space.Sample(rng);
    const auto evaluation = Evaluate(space, candidate, task, setup);
    switch (JudgeTrainable(evaluation, candidate, {})->kind) {
      case Verdict::Kind::kNotBuilt:
        ++summary.not_built;
        break;
      case Verdict::Kind::kNoInput:
        ++summary.no_input;
        break;
      case Verdict::Kind::kBreaksConstraint:
        ++summary.broken;
        break;
      case Verdict::Kind::kTrainable:
        summary.params.push_back(evaluation->costs.params);
        summary.macs.push_back(evaluation->costs.macs);
        summary.activation_memory.push_back(evaluation->costs.activation_memory);
        summary.training_memory.push_back(evaluation->costs.training_memory);
    }
  }
  for (auto* costs : {&summary.params, &summary.macs, &summary.activation_memory, &summary.training_memory})
    std::sort(costs->begin(), costs->end());
  return summary;
}

std::optional<int64_t> CountDistinct(const SearchSpace& space, const TaskShape& task, int64_t most) {
  const auto architectures = Enumeration::Make(space, Enumeration::Scope::kArchitectures);
  if (!architectures.ok() || architectures->size() > static_cast<uint64_t>(most)) return std::nullopt;
  return static_cast<int64_t>(DistinctNetworks(*architectures, task).size());
}

std::vector<Difference> CompareSpaces(const SearchSpace& first, const SearchSpace& second) {
  std::vector<Difference> differences;
  const auto compare = [&](const std::string& what, const std::string& a, const std::string& b) {
    if (a != b) differences.push_back({what, a, b});
  };
  compare("name", first.name(), second.name());
  compare("input", DescribeTask(first), DescribeTask(second));
  for (const Decision& decision : first.decisions()) {
    const Decision* other = second.FindDecision(decision.name);
    compare(decision.name, DescribeDecision(decision), other ? DescribeDecision(*other) : "");
  }
  for (const Decision& decision : second.decisions()) {
    if (!first.FindDecision(decision.name)) compare(decision.name, "", DescribeDecision(decision));
  }
  std::set<std::string> constraints, others;
  for (const Constraint& constraint : first.constraints()) constraints.insert(constraint.text());
  for (const Constraint& constraint : second.constraints()) others.insert(constraint.text());
  for (const std::string& text : constraints) compare("constraint", text, others.count(text) ? text : "");
  for (const std::string& text : others) compare("constraint", constraints.count(text) ? text : "", text);
  const auto reference = [](const SearchSpace& space) {
    return space.reference() ? space.reference()->ToJson() : "";
  };
  compare("reference", reference(first), reference(second));
  // Blocks shape networks without a decision, too.
  if (differences.empty() && first.content_hash() != second.content_hash())
    compare("network", first.content_hash(), second.content_hash());
  return differences;
}

StatusOr<std::vector<Difference>> CompareCandidates(const SearchSpace& space, const TaskShape& task,
                                                    const Candidate& first, const Candidate& second,
                                                    const TrainingSetup& setup) {
  std::vector<Difference> differences;
  const auto compare = [&](const std::string& what, const std::string& a, const std::string& b) {
    if (a != b) differences.push_back({what, a, b});
  };
  const auto text = [](const Value* value) { return value ? DisplayText(*value) : ""; };
  for (const Decision& decision : space.decisions())
    compare(decision.name, text(first.Find(decision.name)), text(second.Find(decision.name)));
  CANOPY_ASSIGN_OR_RETURN(const Evaluation a, Evaluate(space, first, task, setup));
  CANOPY_ASSIGN_OR_RETURN(const Evaluation b, Evaluate(space, second, task, setup));
  compare("params", std::to_string(a.costs.params), std::to_string(b.costs.params));
  compare("macs", std::to_string(a.costs.macs), std::to_string(b.costs.macs));
  compare("activation_memory", std::to_string(a.costs.activation_memory),
          std::to_string(b.costs.activation_memory));
  compare("training_memory", std::to_string(a.costs.training_memory),
          std::to_string(b.costs.training_memory));
  compare("depth", std::to_string(a.costs.depth), std::to_string(b.costs.depth));
  compare("graph_hash", a.graph_hash, b.graph_hash);
  compare("candidate_hash", a.candidate_hash, b.candidate_hash);
  return differences;
}

}  // namespace canopy::search_space
