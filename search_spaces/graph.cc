#include "search_spaces/graph.h"

#include <algorithm>
#include <utility>

#include "base/strings.h"
#include "search_spaces/ops/operator.h"
#include "search_spaces/ops/shape_ops.h"

namespace canopy::search_space {
namespace {

constexpr int64_t kMaxSize = int64_t{1} << 31;

Status CheckInputs(const NetworkGraph& graph, const Operator& op, const NodeInputs& inputs) {
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
  int64_t elements = 1;
  bool fits = true;
  for (const int64_t size : shape) {
    fits = fits && size >= 1 && size <= kMaxSize && !__builtin_mul_overflow(elements, size, &elements);
  }
  if (fits) return {};
  for (const int64_t size : shape) {
    if (size < 1 || size > kMaxSize) {
      return InvalidArgument("expected sizes from 1 to " + std::to_string(kMaxSize) + ", found " +
                             ShapeText(shape));
    }
  }
  return InvalidArgument("expected fewer than 2^63 elements, found " + ShapeText(shape));
}

}  // namespace

StatusOr<NetworkGraph> InputGraph(const std::vector<int64_t>& sizes) {
  if (sizes.empty() || sizes.size() > 3) {
    return InvalidArgument(
        "expected an input shape {features}, {tokens, features} or {channels, height, width}, found " +
        ShapeText(sizes));
  }
  const Shape shape(sizes.begin(), sizes.end());
  CANOPY_RETURN_IF_ERROR(CheckSize(shape));
  NetworkGraph graph;
  graph.nodes.push_back({*Input(), {}, {}, shape});
  return graph;
}

StatusOr<int> AppendNode(NetworkGraph& graph, std::string_view op_name, const Attributes& attributes,
                         NodeInputs inputs) {
  const Operator* op = FindOperator(op_name);
  if (!op) {
    const auto names = OperatorNames();
    return InvalidArgument("expected an operator, found '" + std::string(op_name) + "'" +
                           DidYouMean(op_name, names));
  }
  return AppendNode(graph, *op, attributes, std::move(inputs));
}

StatusOr<int> AppendNode(NetworkGraph& graph, const Operator& op, const Attributes& attributes,
                         NodeInputs inputs) {
  absl::InlinedVector<GivenAttribute, 8> given;
  for (const auto& [name, value] : attributes) given.push_back({name, &value});
  auto complete = CompleteAttributes(op, given);
  if (!complete.ok()) return WithContext(complete.status(), op.name());
  return AppendCompleteNode(graph, op, *std::move(complete), std::move(inputs));
}

StatusOr<int> AppendCompleteNode(NetworkGraph& graph, const Operator& op, Attributes attributes,
                                 NodeInputs inputs) {
  if (graph.nodes.size() >= kMaxGraphNodes) {
    return InvalidArgument("expected a network of at most " + std::to_string(kMaxGraphNodes) + " nodes");
  }
  if (const Status fits = CheckInputs(graph, op, inputs); !fits.ok()) return WithContext(fits, op.name());
  absl::InlinedVector<const Shape*, 4> shapes;
  for (const int input : inputs) shapes.push_back(&graph.nodes[input].shape);
  const auto shape = op.InferShape(attributes, shapes);
  if (!shape.ok()) return WithContext(shape.status(), op.name());
  if (const Status fits = CheckSize(*shape); !fits.ok()) return WithContext(fits, op.name());
  graph.nodes.push_back({op, std::move(attributes), std::move(inputs), *shape});
  return static_cast<int>(graph.nodes.size()) - 1;
}

}  // namespace canopy::search_space
