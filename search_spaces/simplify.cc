#include "search_spaces/simplify.h"

#include <algorithm>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "search_spaces/ops/operator.h"

namespace canopy::search_space {
namespace {

bool IsZero(const Node& node) { return node.op == "zero"; }

// Nodes from which the output is reached. A zero needs its input for its shape alone; `through_zeros` says
// whether that counts.
std::vector<bool> Live(const NetworkGraph& graph, bool through_zeros) {
  std::vector<bool> live(graph.nodes.size());
  live[graph.output] = true;
  for (int i = graph.output; i > 0; --i) {
    if (!live[i] || (!through_zeros && IsZero(graph.nodes[i]))) continue;
    for (const int input : graph.nodes[i].inputs) live[input] = true;
  }
  return live;
}

// Rebuilds the graph node by node with the local rules.
class Rewriter {
 public:
  explicit Rewriter(const NetworkGraph& source) : source_(source) {}

  NetworkGraph Run() {
    result_.nodes.reserve(source_.nodes.size());
    result_.nodes.push_back(source_.nodes[0]);
    by_shape_.emplace(ShapeText(source_.nodes[0].shape), 0);
    place_.assign(source_.nodes.size(), 0);
    const std::vector<bool> live = Live(source_, /*through_zeros=*/true);
    for (size_t i = 1; i < source_.nodes.size(); ++i) {
      if (live[i]) place_[i] = Rewrite(source_.nodes[i]);
    }
    result_.output = place_[source_.output];
    return std::move(result_);
  }

 private:
  // The index in the result of the node that computes what `node` computes.
  int Rewrite(const Node& node) {
    const Operator& op = *FindOperator(node.op);
    std::vector<int> inputs;
    for (const int input : node.inputs) inputs.push_back(place_[input]);
    if (const int zero = ZeroFor(node, op, inputs); zero >= 0) return zero;
    if (node.op == "add") {
      inputs.erase(
          std::remove_if(inputs.begin(), inputs.end(), [&](int i) { return IsZero(result_.nodes[i]); }),
          inputs.end());
    }
    const bool merge_of_one = op.arity().most > 1 && inputs.size() == 1;
    if (merge_of_one ||
        (inputs.size() == 1 && op.IsIdentity(node.attributes, result_.nodes[inputs[0]].shape))) {
      return inputs[0];
    }
    return Append(node, op, std::move(inputs));
  }

  // A zero of the node's shape where the node computes nothing else; -1 where it may compute something, or
  // where there is nothing whose shape the zero could take.
  int ZeroFor(const Node& node, const Operator& op, const std::vector<int>& inputs) {
    const auto is_zero = [&](int i) { return IsZero(result_.nodes[i]); };
    const bool zero =
        IsZero(node) ||
        (op.ZeroPreserving(node.attributes) && std::all_of(inputs.begin(), inputs.end(), is_zero)) ||
        (node.op == "multiply" && std::any_of(inputs.begin(), inputs.end(), is_zero));
    if (!zero) return -1;
    const auto anchor = by_shape_.find(ShapeText(node.shape));
    if (anchor == by_shape_.end()) return -1;
    Node constant{"zero", {{"stride", int64_t{1}}}, {}, node.shape};
    return Append(constant, *FindOperator("zero"), {anchor->second});
  }

  int Append(const Node& node, const Operator& op, std::vector<int> inputs) {
    std::string key;
    if (op.pure()) {
      std::vector<int> ordered = inputs;
      if (op.commutative()) std::sort(ordered.begin(), ordered.end());
      key = node.op;
      for (const int input : ordered) key += ',' + std::to_string(input);
      for (const auto& [name, value] : node.attributes) key += ';' + name + '=' + CanonicalText(value);
      const auto same = pure_.find(key);
      if (same != pure_.end()) return same->second;
    }
    const int index = static_cast<int>(result_.nodes.size());
    result_.nodes.push_back({node.op, node.attributes, std::move(inputs), node.shape});
    by_shape_.emplace(ShapeText(node.shape), index);
    if (!key.empty()) pure_.emplace(std::move(key), index);
    return index;
  }

  const NetworkGraph& source_;
  NetworkGraph result_;
  std::vector<int> place_;                         // of each source node, in the result
  std::unordered_map<std::string, int> by_shape_;  // the first node of each shape
  std::unordered_map<std::string, int> pure_;      // nodes that may be shared
};

// Zeros take their shape from a node that is needed anyway, if one before them has it, so that they keep
// nothing else alive.
void AnchorZeros(NetworkGraph& graph) {
  const std::vector<bool> live = Live(graph, /*through_zeros=*/false);
  std::unordered_map<std::string, int> by_shape;
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    Node& node = graph.nodes[i];
    const std::string shape = ShapeText(node.shape);
    if (IsZero(node)) {
      const auto anchor = by_shape.find(shape);
      if (anchor == by_shape.end()) continue;
      node.inputs = {anchor->second};
      node.attributes["stride"] = int64_t{1};
    } else if (live[i]) {
      by_shape.emplace(shape, static_cast<int>(i));
    }
  }
}

NetworkGraph RemoveDead(NetworkGraph graph) {
  std::vector<bool> live = Live(graph, /*through_zeros=*/true);
  live[0] = true;
  std::vector<int> place(graph.nodes.size());
  NetworkGraph result;
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    if (!live[i]) continue;
    place[i] = static_cast<int>(result.nodes.size());
    Node& node = graph.nodes[i];
    for (int& input : node.inputs) input = place[input];
    result.nodes.push_back(std::move(node));
  }
  result.output = place[graph.output];
  return result;
}

}  // namespace

NetworkGraph Simplify(const NetworkGraph& graph) {
  NetworkGraph result = Rewriter(graph).Run();
  AnchorZeros(result);
  return RemoveDead(std::move(result));
}

bool DependsOnInput(const NetworkGraph& simplified) {
  return Live(simplified, /*through_zeros=*/false)[0] && !IsZero(simplified.nodes[simplified.output]);
}

}  // namespace canopy::search_space
