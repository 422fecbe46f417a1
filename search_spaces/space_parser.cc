#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/sha256.h"
#include "base/strings.h"
#include "config/bind.h"
#include "nlohmann/json.hpp"
#include "search_spaces/blocks/expander.h"
#include "search_spaces/parsed_space.h"
#include "search_spaces/space.h"
#include "search_spaces/space_file.h"

namespace canopy::search_space {
namespace {

using Parsed = SearchSpace::Parsed;

Status ReadInput(const v1::SearchSpaceFile& message, Parsed& parsed) {
  if (!message.has_input()) return {};
  const v1::SpaceInput& input = message.input();
  TaskShape task{{input.shape().begin(), input.shape().end()}, input.classes()};
  const auto graph = InputGraph(task.input);
  if (!graph.ok()) return ErrorAt(parsed.file, input.position(), Message(graph.status()));
  if (task.classes < 1) return ErrorAt(parsed.file, input.position(), "expected 1 class or more");
  parsed.default_task = std::move(task);
  return {};
}

// OK where each of the file's operators is used and none has the name of a block.
Status CheckOperators(const Parsed& parsed, const std::set<std::string>& used) {
  const v1::SearchSpaceFile& message = parsed.message;
  for (const v1::NamedOperatorDefinition& op : message.operators()) {
    for (const v1::NamedBlockDefinition& block : message.blocks()) {
      if (block.name() != op.name()) continue;
      return ErrorAt(parsed.file, op.position(),
                     "expected a name of its own, found '" + op.name() + "', which one of `blocks` has");
    }
    // An included file is for others, too.
    if (used.count(op.name()) || !op.position().file().empty()) continue;
    return ErrorAt(
        parsed.file, op.position(),
        "expected an operator that the network uses, found '" + op.name() + "': use it or remove it");
  }
  return {};
}

Status Expand(const FileOperators& operators, Parsed& parsed) {
  const v1::SearchSpaceFile& message = parsed.message;
  CANOPY_ASSIGN_OR_RETURN(const Definitions definitions, Definitions::Make(message, parsed.file));
  Scope root;
  Expander expander(parsed.file, definitions, operators, root);
  CANOPY_RETURN_IF_ERROR(expander.DeclareAll(message.decisions(), DecisionRole::kArchitecture, root));
  CANOPY_RETURN_IF_ERROR(expander.CheckExpansion(message.network(), 1, message.network().position()));
  CANOPY_ASSIGN_OR_RETURN(parsed.network, expander.Expand(message.network(), root));
  CANOPY_RETURN_IF_ERROR(expander.DeclareAll(message.recipe(), DecisionRole::kRecipe, root));
  CANOPY_RETURN_IF_ERROR(expander.CheckAllUsed());
  CANOPY_RETURN_IF_ERROR(CheckOperators(parsed, expander.own_operators()));
  parsed.own_operators.assign(expander.own_operators().begin(), expander.own_operators().end());
  parsed.blocks = expander.blocks();
  for (const Decision& decision : expander.decisions()) {
    auto& resolved = parsed.conditions.emplace_back();
    for (const Expression& condition : decision.conditions)
      resolved.push_back({condition, expander.Slots(condition)});
    parsed.index[decision.name] = static_cast<int>(parsed.index.size());
  }
  parsed.decisions = expander.TakeDecisions();
  return {};
}

Status ReadConstraints(const config::YamlDocument& document, const SearchSpace& space, Parsed& parsed) {
  for (int i = 0; i < parsed.message.constraints_size(); ++i) {
    auto constraint = Constraint::Parse(parsed.message.constraints(i), space);
    if (!constraint.ok()) {
      return document.Locate("constraints[" + std::to_string(i) + "]").Error(Message(constraint.status()));
    }
    parsed.constraints.push_back(*std::move(constraint));
  }
  return {};
}

// What identifies the space: neither what people say about it nor the order in which its reference is
// written makes it another one.
std::string ContentHash(v1::SearchSpaceFile message) {
  message.clear_description();
  auto& reference = *message.mutable_reference();
  std::sort(reference.begin(), reference.end(),
            [](const auto& a, const auto& b) { return a.name() < b.name(); });
  return Sha256Hex(config::CanonicalText(message));
}

StatusOr<Value> ReadJsonValue(const std::string& name, const nlohmann::ordered_json& value) {
  if (value.is_boolean()) return Value(value.get<bool>());
  if (value.is_number_unsigned() && value.get<uint64_t>() > uint64_t{INT64_MAX}) {
    return InvalidArgument("candidate: expected an integer below 2^63 for '" + name + "', found " +
                           value.dump());
  }
  if (value.is_number_integer()) return Value(value.get<int64_t>());
  if (value.is_number_float()) return Value(value.get<double>());
  if (value.is_string()) return Value(value.get<std::string>());
  return InvalidArgument("candidate: expected a switch, number or word for '" + name + "'");
}

}  // namespace

StatusOr<SearchSpace> SearchSpace::Parse(std::string_view text, const std::string& file) {
  CANOPY_ASSIGN_OR_RETURN(SpaceFile space_file, ReadSpaceFile(text, file));
  auto parsed = std::make_shared<Parsed>();
  parsed->message = std::move(space_file.message);
  parsed->file = file;
  parsed->name = parsed->message.name();
  parsed->description = parsed->message.description();
  parsed->content_hash = ContentHash(parsed->message);
  for (const char* part : {"network", "reference"}) parsed->places[part] = space_file.document.Locate(part);
  if (!IsLowerSnake(parsed->name)) {
    return space_file.document.Locate("name").Error(
        "expected a name of lower-case letters, digits and _ that begins with a letter, found '" +
        parsed->name + "'");
  }
  CANOPY_RETURN_IF_ERROR(ReadInput(parsed->message, *parsed));
  CANOPY_RETURN_IF_ERROR(Expand(space_file.operators, *parsed));
  SearchSpace space(parsed);
  CANOPY_RETURN_IF_ERROR(ReadConstraints(space_file.document, space, *parsed));
  if (space_file.document.root().Find("reference")) {
    std::vector<Candidate::Assignment> assignments;
    for (const auto& entry : parsed->message.reference())
      assignments.push_back({entry.name(), ToValue(entry.value())});
    std::string fault;
    auto reference = space.MakeCandidate(assignments, fault);
    if (!reference.ok()) {
      const std::string path = fault.empty() ? "reference" : "reference." + fault;
      return space_file.document.Locate(path).Error(Message(reference.status()));
    }
    parsed->reference = *std::move(reference);
  }
  return space;
}

StatusOr<Candidate> SearchSpace::ParseCandidate(std::string_view text) const {
  using nlohmann::ordered_json;
  // The parser keeps one of two equal keys and says nothing.
  std::set<std::string> keys;
  std::string twice;
  const auto watch = [&](int depth, ordered_json::parse_event_t event, const ordered_json& parsed) {
    if (depth == 1 && event == ordered_json::parse_event_t::key &&
        !keys.insert(parsed.get<std::string>()).second) {
      twice = parsed.get<std::string>();
    }
    return true;
  };
  const auto root = ordered_json::parse(text, watch, /*allow_exceptions=*/false);
  if (!root.is_object())
    return InvalidArgument("candidate: expected a JSON object of decisions and their values");
  if (!twice.empty()) return InvalidArgument("candidate: expected '" + twice + "' once, found it twice");
  std::vector<Candidate::Assignment> assignments;
  for (const auto& [name, value] : root.items()) {
    CANOPY_ASSIGN_OR_RETURN(Value read, ReadJsonValue(name, value));
    assignments.push_back({name, std::move(read)});
  }
  auto candidate = MakeCandidate(assignments);
  if (!candidate.ok()) return WithContext(candidate.status(), "candidate");
  return candidate;
}

}  // namespace canopy::search_space
