#include "search_spaces/space.h"

#include <algorithm>
#include <map>
#include <span>
#include <utility>

#include "base/check.h"
#include "base/strings.h"
#include "search_spaces/assignments.h"
#include "search_spaces/blocks/block.h"
#include "search_spaces/parsed_space.h"

namespace canopy::search_space {
namespace {

constexpr int64_t kMaxReservedNodes = 512;

// `values[i]` where decision i is active under those before it.
using Values = std::vector<const Value*>;

bool IsActive(const SearchSpace::Parsed& parsed, size_t i, const Values& values) {
  const auto& conditions = parsed.conditions[i];
  return std::all_of(conditions.begin(), conditions.end(),
                     [&](const ResolvedCondition& c) { return c.Holds(values); });
}

// Walks the decisions in order and takes `choose(i)` for each active one.
template <typename Choose>
Candidate Build(const SearchSpace::Parsed& parsed, Choose choose) {
  std::vector<Candidate::Assignment> assignments;
  assignments.reserve(parsed.decisions.size());
  Values values(parsed.decisions.size());
  for (size_t i = 0; i < parsed.decisions.size(); ++i) {
    if (!IsActive(parsed, i, values)) continue;
    assignments.push_back({parsed.decisions[i].name, choose(i)});
    values[i] = &assignments.back().value;
  }
  return Candidate(std::move(assignments));
}

}  // namespace

const std::string& SearchSpace::name() const { return parsed_->name; }
const std::string& SearchSpace::description() const { return parsed_->description; }
const std::string& SearchSpace::content_hash() const { return parsed_->content_hash; }
const std::vector<Decision>& SearchSpace::decisions() const { return parsed_->decisions; }
const std::vector<Constraint>& SearchSpace::constraints() const { return parsed_->constraints; }
const std::optional<TaskShape>& SearchSpace::default_task() const { return parsed_->default_task; }
const std::optional<Candidate>& SearchSpace::reference() const { return parsed_->reference; }

const std::vector<std::string>& SearchSpace::own_operators() const { return parsed_->own_operators; }

const Decision* SearchSpace::FindDecision(std::string_view name) const {
  const auto it = parsed_->index.find(name);
  return it == parsed_->index.end() ? nullptr : &parsed_->decisions[it->second];
}

config::Location SearchSpace::LocationOf(std::string_view part) const {
  if (const auto place = parsed_->places.find(part); place != parsed_->places.end()) return place->second;
  if (const Decision* decision = FindDecision(part)) return decision->location;
  return {parsed_->file};
}

int64_t SearchSpace::block_count() const { return parsed_->blocks; }

std::string SearchSpace::Size(bool architectures_only) const {
  return CountAssignments(architectures_only).count();
}

Assignments SearchSpace::CountAssignments(bool architectures_only) const {
  // Recipe decisions come last and no condition of the network names them.
  const auto& all = parsed_->decisions;
  const auto end = architectures_only
                       ? std::find_if(all.begin(), all.end(),
                                      [](const Decision& d) { return d.role == DecisionRole::kRecipe; })
                       : all.end();
  const auto count = static_cast<size_t>(end - all.begin());
  return Assignments(std::span(all).first(count), std::span(parsed_->conditions).first(count));
}

Candidate SearchSpace::Sample(Rng& rng) const {
  return Build(*parsed_, [&](size_t i) { return parsed_->decisions[i].Sample(rng); });
}

Candidate SearchSpace::Assemble(const std::function<Value(size_t)>& choose) const {
  return Build(*parsed_, [&](size_t i) {
    Value value = choose(i);
    CANOPY_CHECK(parsed_->decisions[i].Check(value).ok(), parsed_->decisions[i].name);
    return value;
  });
}

std::vector<const Value*> SearchSpace::ValuesOf(const Candidate& candidate) const {
  Values values(parsed_->decisions.size());
  size_t next = 0;
  const auto& assignments = candidate.assignments();
  for (size_t i = 0; i < values.size() && next < assignments.size(); ++i) {
    if (parsed_->decisions[i].name == assignments[next].decision) values[i] = &assignments[next++].value;
  }
  CANOPY_CHECK(next == assignments.size(), "a candidate of another space");
  return values;
}

StatusOr<Candidate> SearchSpace::MakeCandidate(const std::vector<Candidate::Assignment>& assignments) const {
  std::string fault;
  return MakeCandidate(assignments, fault);
}

StatusOr<Candidate> SearchSpace::MakeCandidate(const std::vector<Candidate::Assignment>& assignments,
                                               std::string& fault) const {
  std::map<std::string_view, const Value*> given;
  for (const auto& [name, value] : assignments) {
    fault = name;
    if (!FindDecision(name)) {
      std::vector<std::string> names;
      for (const Decision& decision : decisions()) names.push_back(decision.name);
      return InvalidArgument("expected a decision of space '" + this->name() + "', found '" + name + "'" +
                             DidYouMean(name, names));
    }
    if (!given.emplace(name, &value).second)
      return InvalidArgument("expected '" + name + "' once, found it twice");
  }
  fault.clear();
  Status error;
  size_t taken = 0;
  Candidate candidate = Build(*parsed_, [&](size_t i) {
    const Decision& decision = parsed_->decisions[i];
    const auto it = given.find(decision.name);
    if (it == given.end()) {
      if (error.ok()) {
        error = InvalidArgument("expected " + decision.DescribeValues() + " for '" + decision.name +
                                "', found none");
      }
      return decision.choices.empty() ? Value(decision.low) : decision.choices.front();
    }
    ++taken;
    Value value = *it->second;
    if (decision.value_type() == Value(0.0).index() && IsNumber(value)) value = AsDouble(value);
    if (error.ok()) {
      error = decision.Check(value);
      if (!error.ok()) fault = decision.name;
    }
    return value;
  });
  CANOPY_RETURN_IF_ERROR(error);
  if (taken == given.size()) return candidate;
  for (const auto& [name, value] : given) {
    if (candidate.Find(name)) continue;
    fault = name;
    std::vector<std::string> texts;
    for (const Expression& condition : FindDecision(name)->conditions) texts.push_back(condition.text());
    return InvalidArgument("expected no value for '" + std::string(name) + "', which is active only where " +
                           Join(texts, " and ") + "; found " + CanonicalText(*value));
  }
  return candidate;
}

Status SearchSpace::CheckCandidate(const Candidate& candidate) const {
  CANOPY_ASSIGN_OR_RETURN(const Candidate made, MakeCandidate(candidate.assignments()));
  if (made == candidate) return {};
  return InvalidArgument("expected decisions in declared order with values of their types, found " +
                         candidate.ToJson());
}

StatusOr<NetworkGraph> SearchSpace::Lower(const Candidate& candidate, const TaskShape& task) const {
  if (task.classes < 1) {
    return InvalidArgument("space '" + name() + "': expected 1 class or more, found " +
                           std::to_string(task.classes));
  }
  auto graph = InputGraph(task.input);
  if (!graph.ok()) return WithContext(graph.status(), "space '" + name() + "'");
  const Values values = ValuesOf(candidate);
  Lowering lowering{values, task.classes, parsed_->file, *std::move(graph)};
  lowering.graph.nodes.reserve(static_cast<size_t>(std::min(parsed_->blocks, kMaxReservedNodes)));
  CANOPY_ASSIGN_OR_RETURN(lowering.graph.output, parsed_->network->Lower(lowering, 0));
  return std::move(lowering.graph);
}

Candidate SearchSpace::Recipe(const Candidate& candidate) const {
  std::vector<Candidate::Assignment> recipe;
  for (const auto& assignment : candidate.assignments()) {
    const Decision* decision = FindDecision(assignment.decision);
    CANOPY_CHECK(decision != nullptr, "a candidate of another space");
    if (decision->role == DecisionRole::kRecipe) recipe.push_back(assignment);
  }
  return Candidate(std::move(recipe));
}

StatusOr<std::vector<Violation>> SearchSpace::CheckConstraints(const Candidate& candidate,
                                                               const Costs& costs) const {
  return search_space::CheckConstraints(parsed_->constraints, candidate, costs);
}

}  // namespace canopy::search_space
