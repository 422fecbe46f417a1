#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "search_spaces/ops/operator.h"

namespace canopy::search_space {

// An operator that a space file defines (docs/own_operators.md): attributes, and rules as expressions over
// these and the shapes. What it computes is known to trainers alone.
struct OperatorDefinition {
  struct Attribute {
    std::string name;
    AttributeSpec::Type type = AttributeSpec::Type::kInteger;
    std::optional<Value> fallback;
    double low = 0, high = 2147483647;
    std::vector<std::string> words{};  // of kWord
  };
  enum class Input { kAny, kFeatures, kTokens, kImage };

  std::string name;
  std::vector<Attribute> attributes;
  Input input = Input::kAny;
  std::vector<std::string> output;  // a rule for each size; empty: the input's shape
  std::string parameters = "0", macs = "0";
  std::vector<std::string> conditions;  // each has to hold
  int64_t layers = 0;                   // Operator::layers
};

// The operator with these rules. Equal definitions give the same one, which lives as long as the process, so
// that graphs refer to it as to built-in ones. Thread-safe. InvalidArgument where a name is taken or a rule
// cannot be computed; `fault` is then the part that is wrong, as a path: "output[1]", "attributes.kernel".
StatusOr<const Operator*> DefineOperator(OperatorDefinition definition, std::string& fault);

// What Operator::definition() says of `name`, read back. InvalidArgument for other JSON.
StatusOr<OperatorDefinition> ParseOperatorDefinition(const std::string& name, std::string_view json);

// "image" for kImage; nullopt for a word that is none.
std::string_view ToString(OperatorDefinition::Input input);
std::optional<OperatorDefinition::Input> InputFromString(std::string_view word);
// "int" for kInteger; nullopt for a word that is none.
std::string_view ToString(AttributeSpec::Type type);
std::optional<AttributeSpec::Type> AttributeTypeFromString(std::string_view word);
// What an operator takes whose output has so many sizes, where its definition does not say: 0 of them any
// shape.
OperatorDefinition::Input UsualInput(size_t output_sizes);

}  // namespace canopy::search_space
