#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "base/strings.h"
#include "search_spaces/blocks/expander.h"

namespace canopy::search_space {
namespace {

const v1::NamedSpaceValue* FindValue(const google::protobuf::RepeatedPtrField<v1::NamedSpaceValue>& values,
                                     const std::string& name) {
  const auto it = std::find_if(values.begin(), values.end(), [&](const auto& v) { return v.name() == name; });
  return it == values.end() ? nullptr : &*it;
}

}  // namespace

StatusOr<std::unique_ptr<Block>> ExpandUse(const v1::UseBlock& block, const v1::Position& position,
                                           Expander& expander, Scope& scope) {
  CANOPY_RETURN_IF_ERROR(expander.CheckName(block.name(), position));
  CANOPY_ASSIGN_OR_RETURN(const v1::BlockDefinition* definition, expander.FindBlock(block));
  const auto& parameters = definition->parameters();
  for (const auto& argument : block.with()) {
    if (std::count(parameters.begin(), parameters.end(), argument.name())) continue;
    const std::vector<std::string> names(parameters.begin(), parameters.end());
    return expander.Error(argument.position(),
                          names.empty() ? "expected no arguments: '" + block.block() + "' has no parameters"
                                        : "expected one of " + Join(names, ", ") + ", found '" +
                                              argument.name() + "'" + DidYouMean(argument.name(), names));
  }
  Scope caller(scope, block.name());
  Scope& arguments = block.name().empty() ? scope : caller;
  Scope inner = expander.ScopeOfUse(block, *definition, arguments);
  for (const std::string& name : parameters) {
    if (const auto* argument = FindValue(block.with(), name)) {
      CANOPY_RETURN_IF_ERROR(expander.SetParameter(name, argument->value(), arguments, inner));
    } else if (const auto* fallback = FindValue(definition->defaults(), name)) {
      CANOPY_RETURN_IF_ERROR(expander.SetParameter(name, fallback->value(), inner, inner));
    } else {
      return expander.Error(position, "expected a value for '" + name + "' of block '" + block.block() +
                                          "' under `with`, found none");
    }
  }
  CANOPY_RETURN_IF_ERROR(expander.DeclareAll(definition->decisions(), DecisionRole::kArchitecture, inner));
  return expander.Expand(definition->body(), inner);
}

}  // namespace canopy::search_space
