#include "search_spaces/graph.h"

#include <algorithm>
#include <utility>

#include "base/strings.h"
#include "search_spaces/checked.h"
#include "search_spaces/ops/operator.h"

namespace canopy::search_space {
namespace {

constexpr int64_t kMaxSize = int64_t{1} << 31;

std::vector<std::string> AttributeNames(const Operator& op) {
  std::vector<std::string> names;
  for (const AttributeSpec& spec : op.attributes()) names.emplace_back(spec.name);
  return names;
}

Status CompleteAttributes(const Operator& op, Attributes& attributes) {
  const auto names = AttributeNames(op);
  for (const auto& [name, value] : attributes) {
    if (std::find(names.begin(), names.end(), name) != names.end()) continue;
    const std::string list = names.empty() ? "no attributes" : "one of " + Join(names, ", ");
    return InvalidArgument("expected " + list + ", found '" + name + "'" + DidYouMean(name, names));
  }
  for (const AttributeSpec& spec : op.attributes()) {
    const auto it = attributes.find(std::string(spec.name));
    if (it != attributes.end()) {
      CANOPY_ASSIGN_OR_RETURN(it->second, NormalizeAttribute(spec, std::move(it->second)));
    } else if (spec.fallback) {
      attributes.emplace(spec.name, *spec.fallback);
    } else if (!spec.derived) {
      return InvalidArgument("expected '" + std::string(spec.name) + "', found none");
    }
  }
  op.Complete(attributes);
  // Derived attributes keep their bounds as well.
  for (const AttributeSpec& spec : op.attributes()) {
    if (spec.derived) {
      CANOPY_RETURN_IF_ERROR(NormalizeAttribute(spec, attributes.at(std::string(spec.name))).status());
    }
  }
  return {};
}

Status CheckInputs(const NetworkGraph& graph, const Operator& op, const std::vector<int>& inputs) {
  const auto [least, most] = op.arity();
  const int count = static_cast<int>(inputs.size());
  if (count < least || count > most) {
    return InvalidArgument("expected " + std::to_string(least) + (most > least ? " or more" : "") +
                           " inputs, found " + std::to_string(count));
  }
  for (const int input : inputs) {
    if (input < 0 || input >= static_cast<int>(graph.nodes.size())) {
      return InvalidArgument("expected inputs that are earlier nodes, found " + std::to_string(input));
    }
  }
  return {};
}

Status CheckSize(const Shape& shape) {
  for (const int64_t size : shape) {
    if (size < 1 || size > kMaxSize) {
      return InvalidArgument("expected sizes from 1 to " + std::to_string(kMaxSize) + ", found " +
                             ShapeText(shape));
    }
  }
  if (!CheckedProduct(shape))
    return InvalidArgument("expected fewer than 2^63 elements, found " + ShapeText(shape));
  return {};
}

}  // namespace

StatusOr<NetworkGraph> InputGraph(const Shape& shape) {
  if (shape.empty() || shape.size() > 3) {
    return InvalidArgument(
        "expected an input shape {features}, {tokens, features} or {channels, height, width}, found " +
        ShapeText(shape));
  }
  CANOPY_RETURN_IF_ERROR(CheckSize(shape));
  NetworkGraph graph;
  graph.nodes.push_back({"input", {}, {}, shape});
  return graph;
}

StatusOr<int> AppendNode(NetworkGraph& graph, std::string_view op_name, Attributes attributes,
                         std::vector<int> inputs) {
  const std::string name(op_name);
  const Operator* op = FindOperator(op_name);
  if (!op) {
    const auto names = OperatorNames();
    return InvalidArgument("expected an operator, found '" + name + "'" + DidYouMean(name, names));
  }
  if (graph.nodes.size() >= kMaxGraphNodes) {
    return InvalidArgument("expected a network of at most " + std::to_string(kMaxGraphNodes) + " nodes");
  }
  CANOPY_RETURN_IF_ERROR(WithContext(CompleteAttributes(*op, attributes), name));
  CANOPY_RETURN_IF_ERROR(WithContext(CheckInputs(graph, *op, inputs), name));
  std::vector<const Shape*> shapes;
  for (const int input : inputs) shapes.push_back(&graph.nodes[input].shape);
  auto shape = op->InferShape(attributes, shapes);
  if (!shape.ok()) return WithContext(shape.status(), name);
  CANOPY_RETURN_IF_ERROR(WithContext(CheckSize(*shape), name));
  graph.nodes.push_back({name, std::move(attributes), std::move(inputs), *std::move(shape)});
  return static_cast<int>(graph.nodes.size()) - 1;
}

}  // namespace canopy::search_space
