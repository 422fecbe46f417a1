#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/strings.h"
#include "nlohmann/json.hpp"
#include "search_spaces/graph.h"
#include "search_spaces/ops/operator.h"
#include "search_spaces/ops/operator_definition.h"

namespace canopy::search_space {
namespace {

using nlohmann::json;

template <typename List>
void AppendList(const List& list, std::string& out) {
  out += '[';
  for (size_t i = 0; i < list.size(); ++i) {
    if (i) out += ',';
    out += std::to_string(list[i]);
  }
  out += ']';
}

std::optional<Value> ReadValue(const json& value) {
  if (value.is_boolean()) return value.get<bool>();
  if (value.is_number_unsigned() && value.get<uint64_t>() > INT64_MAX) return std::nullopt;
  if (value.is_number_integer()) return value.get<int64_t>();
  if (value.is_number_float()) return value.get<double>();
  if (value.is_string()) return value.get<std::string>();
  return std::nullopt;
}

// The list of integers at `key`, nullopt where it is none.
std::optional<std::vector<int64_t>> ReadList(const json& object, const char* key) {
  const auto it = object.find(key);
  if (it == object.end() || !it->is_array()) return std::nullopt;
  std::vector<int64_t> list;
  for (const json& item : *it) {
    const auto value = ReadValue(item);
    if (!value || !std::holds_alternative<int64_t>(*value)) return std::nullopt;
    list.push_back(std::get<int64_t>(*value));
  }
  return list;
}

struct NodeFields {
  std::string op;
  Attributes attributes;
  NodeInputs inputs;
  std::vector<int64_t> shape;
};

StatusOr<NodeFields> ReadFields(const json& object) {
  constexpr const char* kExpected = "expected an object of op, attributes, inputs and shape";
  if (!object.is_object() || object.size() != 4 || !object.contains("op") || !object["op"].is_string() ||
      !object.contains("attributes") || !object["attributes"].is_object()) {
    return InvalidArgument(kExpected);
  }
  const auto inputs = ReadList(object, "inputs");
  const auto shape = ReadList(object, "shape");
  if (!inputs || !shape) return InvalidArgument(kExpected);
  NodeFields fields{object["op"].get<std::string>(), {}, {}, *shape};
  for (const int64_t input : *inputs) {
    if (input < 0 || input >= kMaxGraphNodes)
      return InvalidArgument("expected inputs that are earlier nodes");
    fields.inputs.push_back(static_cast<int>(input));
  }
  for (const auto& [name, value] : object["attributes"].items()) {
    if (const auto axes = ReadList(object["attributes"], name.c_str()); axes && axes->size() == 2) {
      fields.attributes.emplace(AxisNames(name).height, (*axes)[0]);
      fields.attributes.emplace(AxisNames(name).width, (*axes)[1]);
      continue;
    }
    const auto read = ReadValue(value);
    if (!read) return InvalidArgument("expected a switch, number, word or pair for '" + name + "'");
    fields.attributes.emplace(name, *read);
  }
  return fields;
}

// An attribute's name and value: of a per-axis one that a node has axis by axis [height, width], at its
// height; nothing at its width.
std::string AttributeJson(const Node& node, const std::string& name, const Value& value) {
  const bool height = name.ends_with("_height");
  if (height || name.ends_with("_width")) {
    for (const AttributeSpec& spec : node.op->attributes()) {
      const AxisNames axes(spec.name);
      if (!spec.per_axis || (name != axes.height && name != axes.width)) continue;
      if (!height) return "";
      return QuoteJson(spec.name) + ":[" + CanonicalText(value) + ',' +
             CanonicalText(node.attributes.at(axes.width)) + ']';
    }
  }
  return QuoteJson(name) + ":" + CanonicalText(value);
}

// The operators that the graph brings along, by name.
using Defined = std::map<std::string, const Operator*>;

StatusOr<Defined> ReadDefinitions(const json& root) {
  Defined defined;
  if (!root.contains("operators")) return defined;
  const json& operators = root["operators"];
  if (!operators.is_object()) return InvalidArgument("expected operators by name");
  for (const auto& [name, value] : operators.items()) {
    const std::string where = "operator '" + name + "'";
    auto definition =
        ParseOperatorDefinition(name, value.dump(-1, ' ', false, json::error_handler_t::replace));
    if (!definition.ok()) return WithContext(definition.status(), where);
    std::string fault;
    const auto op = DefineOperator(*std::move(definition), fault);
    if (!op.ok()) return WithContext(op.status(), where + (fault.empty() ? "" : ": " + fault));
    defined[name] = *op;
  }
  return defined;
}

Status AppendRead(const json& object, const Defined& defined, NetworkGraph& graph) {
  CANOPY_ASSIGN_OR_RETURN(NodeFields fields, ReadFields(object));
  if (graph.nodes.empty()) {
    if (fields.op != "input" || !fields.inputs.empty() || !fields.attributes.empty()) {
      return InvalidArgument("expected the first node to be 'input', found '" + fields.op + "'");
    }
    CANOPY_ASSIGN_OR_RETURN(graph, InputGraph(fields.shape));
    return {};
  }
  const size_t given = fields.attributes.size();
  const auto own = defined.find(fields.op);
  const auto index = own == defined.end()
                         ? AppendNode(graph, fields.op, fields.attributes, std::move(fields.inputs))
                         : AppendNode(graph, *own->second, fields.attributes, std::move(fields.inputs));
  CANOPY_RETURN_IF_ERROR(index.status());
  const Node& node = graph.nodes[*index];
  if (given != node.attributes.size())
    return InvalidArgument(fields.op + ": expected all attributes, found some");
  if (node.shape != fields.shape) {
    return InvalidArgument(fields.op + ": expected shape " + ShapeText(node.shape) + ", found " +
                           ShapeText(fields.shape));
  }
  return {};
}

}  // namespace

std::string NetworkGraph::ToJson() const {
  std::string out = "{\"nodes\":[";
  for (size_t i = 0; i < nodes.size(); ++i) {
    const Node& node = nodes[i];
    out += i ? ",{\"attributes\":{" : "{\"attributes\":{";
    bool first = true;
    for (const auto& [name, value] : node.attributes) {
      const std::string attribute = AttributeJson(node, name, value);
      if (attribute.empty()) continue;
      if (!first) out += ',';
      first = false;
      out += attribute;
    }
    out += "},\"inputs\":";
    AppendList(node.inputs, out);
    out += ",\"op\":" + QuoteJson(node.op.name()) + ",\"shape\":";
    AppendList(node.shape, out);
    out += '}';
  }
  out += ']';
  std::map<std::string_view, std::string_view> definitions;
  for (const Node& node : nodes) {
    if (!node.op->definition().empty()) definitions.emplace(node.op->name(), node.op->definition());
  }
  for (const auto& [name, definition] : definitions) {
    out += name == definitions.begin()->first ? ",\"operators\":{" : ",";
    out += QuoteJson(name) + ':' + std::string(definition);
  }
  if (!definitions.empty()) out += '}';
  return out + ",\"output\":" + std::to_string(output) + "}";
}

StatusOr<NetworkGraph> NetworkGraph::FromJson(std::string_view text) {
  const json root = json::parse(text, nullptr, /*allow_exceptions=*/false);
  const size_t keys = root.is_object() && root.contains("operators") ? 3 : 2;
  if (!root.is_object() || root.size() != keys || !root.contains("nodes") || !root["nodes"].is_array() ||
      root["nodes"].empty() || !root.contains("output") || !root["output"].is_number_integer()) {
    return InvalidArgument("network graph: expected a JSON object of nodes and output");
  }
  const auto defined = ReadDefinitions(root);
  if (!defined.ok()) return WithContext(defined.status(), "network graph");
  NetworkGraph graph;
  for (const json& object : root["nodes"]) {
    const std::string where = "network graph: node " + std::to_string(graph.nodes.size());
    CANOPY_RETURN_IF_ERROR(WithContext(AppendRead(object, *defined, graph), where));
  }
  const auto output = ReadValue(root["output"]);
  const int64_t index = output ? std::get<int64_t>(*output) : -1;
  if (index < 0 || index >= static_cast<int64_t>(graph.nodes.size())) {
    return InvalidArgument("network graph: expected an output that is a node, found " +
                           root["output"].dump());
  }
  graph.output = static_cast<int>(index);
  return graph;
}

}  // namespace canopy::search_space
