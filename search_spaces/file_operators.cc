#include "search_spaces/file_operators.h"

#include <algorithm>
#include <utility>

#include "base/strings.h"
#include "search_spaces/includes.h"
#include "search_spaces/ops/operator_definition.h"
#include "search_spaces/space_file.h"

namespace canopy::search_space {
namespace {

using config::Binder;
using config::YamlNode;

Status BindAttribute(const Binder& binder, const YamlNode& node, google::protobuf::Message& message) {
  if (!node.is_scalar()) return binder.BindFields(node, message);
  static_cast<v1::OperatorAttribute&>(message).set_type(node.text());
  return {};
}

Status BindOutput(const Binder&, const YamlNode& node, google::protobuf::Message& message) {
  auto& rule = static_cast<v1::OutputRule&>(message);
  if (node.is_scalar() && node.text() == "same") {
    rule.set_same(true);
    return {};
  }
  if (!node.is_sequence() || node.items().empty())
    return node.Expected("a list of rules, one for each size of the output, or `same`");
  for (const YamlNode* item : node.items()) {
    if (!item->is_scalar()) return item->Expected("an expression");
    rule.add_sizes(item->text());
  }
  return {};
}

StatusOr<OperatorDefinition::Attribute> ToAttribute(const v1::NamedOperatorAttribute& message) {
  const v1::OperatorAttribute& value = message.value();
  OperatorDefinition::Attribute attribute{.name = message.name()};
  const auto type = AttributeTypeFromString(value.type());
  if (!type)
    return InvalidArgument("expected one of int, float, bool, word as type, found '" + value.type() + "'");
  attribute.type = *type;
  const bool number = *type == AttributeSpec::Type::kInteger || *type == AttributeSpec::Type::kNumber;
  if (!number && (value.has_min() || value.has_max()))
    return InvalidArgument("expected no min and max of a " + value.type());
  attribute.words.assign(value.words().begin(), value.words().end());
  if (value.has_min()) attribute.low = value.min();
  if (value.has_max()) attribute.high = value.max();
  if (value.has_default_()) attribute.fallback = ToValue(value.default_());
  return attribute;
}

StatusOr<OperatorDefinition> ToDefinition(const std::string& name, const v1::OperatorDefinition& message,
                                          std::string& fault) {
  OperatorDefinition definition{.name = name, .layers = message.layers()};
  for (const auto& named : message.attributes()) {
    fault = "attributes." + named.name();
    CANOPY_ASSIGN_OR_RETURN(auto attribute, ToAttribute(named));
    definition.attributes.push_back(std::move(attribute));
  }
  definition.output.assign(message.output().sizes().begin(), message.output().sizes().end());
  definition.conditions.assign(message.conditions().begin(), message.conditions().end());
  if (!message.parameters().empty()) definition.parameters = message.parameters();
  if (!message.macs().empty()) definition.macs = message.macs();
  fault = "input";
  const auto input =
      message.input().empty() ? UsualInput(definition.output.size()) : InputFromString(message.input());
  if (!input)
    return InvalidArgument("expected one of any, features, tokens, image, found '" + message.input() + "'");
  definition.input = *input;
  return definition;
}

}  // namespace

const std::vector<std::string>& BlockWords() {
  static const std::vector<std::string> words = {"sequence", "one_of",   "repeat", "residual",
                                                 "optional", "branches", "cell",   "use"};
  return words;
}

void SetOperatorHooks(Binder& binder) {
  binder.SetHook("canopy.v1.OperatorAttribute", BindAttribute);
  binder.SetHook("canopy.v1.OutputRule", BindOutput);
}

StatusOr<FileOperators> FileOperators::Read(const config::YamlDocument& document, const std::string& file) {
  FileOperators operators;
  if (const YamlNode* included = document.root().Find("included"); included && included->is_map()) {
    for (const YamlNode::Entry& entry : included->entries()) {
      // What is wrong with the file besides is said where it is included.
      const auto library = config::ParseYaml(entry.value->text(), IncludedFileName(file, entry.key));
      if (library.ok()) CANOPY_RETURN_IF_ERROR(operators.Add(*library));
    }
  }
  CANOPY_RETURN_IF_ERROR(operators.Add(document));
  return operators;
}

Status FileOperators::Add(const config::YamlDocument& document) {
  const YamlNode* node = document.root().Find("operators");
  if (!node) return {};
  if (!node->is_map()) return node->Expected("a map of operators by name");
  Binder binder;
  SetOperatorHooks(binder);
  SetLiteralHook(binder);
  for (const YamlNode::Entry& entry : node->entries()) {
    const config::Location place = node->KeyLocation(entry);
    const auto& words = BlockWords();
    if (std::find(words.begin(), words.end(), entry.key) != words.end())
      return place.Error("expected a name of its own, found '" + entry.key + "', which is a block");
    if (own_.count(entry.key))
      return place.Error("expected each operator once, found '" + entry.key + "' again");
    v1::OperatorDefinition message;
    CANOPY_RETURN_IF_ERROR(binder.Bind(*entry.value, message));
    std::string fault;
    auto definition = ToDefinition(entry.key, message, fault);
    StatusOr<const Operator*> op = nullptr;
    if (definition.ok()) {
      op = DefineOperator(*std::move(definition), fault);
    } else {
      op = definition.status();
    }
    if (!op.ok()) {
      const config::Location part =
          fault.empty() ? place : document.Locate("operators." + entry.key + "." + fault);
      return part.Error(Message(op.status()));
    }
    own_.emplace(entry.key, *op);
  }
  return {};
}

const Operator* FileOperators::Find(std::string_view name) const {
  const auto own = own_.find(name);
  return own == own_.end() ? FindOperator(name) : own->second;
}

std::vector<std::string> FileOperators::Names() const {
  std::vector<std::string> names = OperatorNames();
  for (const auto& [name, op] : own_) names.push_back(name);
  return names;
}

}  // namespace canopy::search_space
