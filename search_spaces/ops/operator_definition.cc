#include "search_spaces/ops/operator_definition.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "nlohmann/json.hpp"

namespace canopy::search_space {
namespace {

using nlohmann::json;
using Input = OperatorDefinition::Input;
using Type = AttributeSpec::Type;

template <typename T>
struct Word {
  T value;
  std::string_view word;
};
constexpr Word<Input> kInputs[] = {{Input::kAny, "any"},
                                   {Input::kFeatures, "features"},
                                   {Input::kTokens, "tokens"},
                                   {Input::kImage, "image"}};
constexpr Word<Type> kTypes[] = {
    {Type::kInteger, "int"}, {Type::kNumber, "float"}, {Type::kSwitch, "bool"}, {Type::kWord, "word"}};

template <typename T, size_t N>
std::string_view WordOf(const Word<T> (&words)[N], T value) {
  const auto it =
      std::find_if(std::begin(words), std::end(words), [&](const auto& w) { return w.value == value; });
  return it == std::end(words) ? "" : it->word;
}

template <typename T, size_t N>
std::optional<T> ValueOf(const Word<T> (&words)[N], std::string_view word) {
  const auto it =
      std::find_if(std::begin(words), std::end(words), [&](const auto& w) { return w.word == word; });
  return it == std::end(words) ? std::nullopt : std::optional(it->value);
}

Status Malformed(const std::string& what) {
  return InvalidArgument("expected the definition of an operator, found one without " + what);
}

bool ReadTexts(const json& object, const char* key, std::vector<std::string>& texts) {
  const auto it = object.find(key);
  if (it == object.end() || !it->is_array()) return false;
  for (const json& item : *it) {
    if (!item.is_string()) return false;
    texts.push_back(item.get<std::string>());
  }
  return true;
}

bool ReadText(const json& object, const char* key, std::string& text) {
  const auto it = object.find(key);
  if (it == object.end() || !it->is_string()) return false;
  text = it->get<std::string>();
  return true;
}

StatusOr<OperatorDefinition::Attribute> ReadAttribute(const json& object) {
  OperatorDefinition::Attribute attribute;
  std::string type;
  if (!object.is_object() || !ReadText(object, "name", attribute.name) || !ReadText(object, "type", type))
    return Malformed("its attributes' names and types");
  const auto known = AttributeTypeFromString(type);
  if (!known) return Malformed("an attribute's type that is known");
  attribute.type = *known;
  const std::pair<const char*, double*> bounds[] = {{"min", &attribute.low}, {"max", &attribute.high}};
  for (const auto& [key, bound] : bounds) {
    const auto it = object.find(key);
    if (it == object.end()) continue;
    if (!it->is_number()) return Malformed("numbers as bounds");
    *bound = it->get<double>();
  }
  if (const auto it = object.find("default"); it != object.end()) {
    if (it->is_boolean()) {
      attribute.fallback = it->get<bool>();
    } else if (it->is_number_integer()) {
      attribute.fallback = it->get<int64_t>();
    } else if (it->is_number()) {
      attribute.fallback = it->get<double>();
    } else if (it->is_string()) {
      attribute.fallback = it->get<std::string>();
    } else {
      return Malformed("a default that is a switch, number or word");
    }
  }
  if (object.contains("words") && !ReadTexts(object, "words", attribute.words))
    return Malformed("a list of an attribute's words");
  return attribute;
}

}  // namespace

std::string_view ToString(Input input) { return WordOf(kInputs, input); }
std::optional<Input> InputFromString(std::string_view word) { return ValueOf(kInputs, word); }
std::string_view ToString(Type type) { return WordOf(kTypes, type); }
std::optional<Type> AttributeTypeFromString(std::string_view word) { return ValueOf(kTypes, word); }

Input UsualInput(size_t output_sizes) {
  return output_sizes == 0   ? Input::kAny
         : output_sizes == 1 ? Input::kFeatures
         : output_sizes == 2 ? Input::kTokens
                             : Input::kImage;
}

StatusOr<OperatorDefinition> ParseOperatorDefinition(const std::string& name, std::string_view text) {
  const json root = json::parse(text, nullptr, /*allow_exceptions=*/false);
  OperatorDefinition definition{.name = name};
  std::string input;
  if (!root.is_object() || !ReadText(root, "parameters", definition.parameters) ||
      !ReadText(root, "macs", definition.macs) || !ReadTexts(root, "conditions", definition.conditions) ||
      !ReadText(root, "input", input) || !root.contains("output")) {
    return Malformed("parameters, macs, conditions, input and output");
  }
  const auto known = InputFromString(input);
  if (!known) return Malformed("an input that is known");
  definition.input = *known;
  if (root["output"] != "same" && !ReadTexts(root, "output", definition.output))
    return Malformed("an output of rules, or `same`");
  const auto layers = root.find("layers"), attributes = root.find("attributes");
  if (layers == root.end() || !layers->is_number_integer()) return Malformed("layers");
  definition.layers = layers->get<int64_t>();
  if (attributes == root.end() || !attributes->is_array()) return Malformed("a list of attributes");
  for (const json& object : *attributes) {
    CANOPY_ASSIGN_OR_RETURN(auto attribute, ReadAttribute(object));
    definition.attributes.push_back(std::move(attribute));
  }
  return definition;
}

}  // namespace canopy::search_space
