#include "search_spaces/simplify.h"

#include <algorithm>
#include <cstdint>
#include <map>
#include <utility>
#include <vector>

#include "search_spaces/mix.h"
#include "search_spaces/ops/channels.h"
#include "search_spaces/ops/merges.h"
#include "search_spaces/ops/operator.h"
#include "search_spaces/ops/shape_ops.h"

namespace canopy::search_space {
namespace {

bool IsZero(const Node& node) {
  static const OperatorRef zero(*Zero());
  return node.op == zero;
}

// A zero of the anchor's shape, which is the node's.
void MakeZero(Node& node, int anchor) {
  static const Attributes attributes = *CompleteAttributes(*Zero(), {});
  node.op = *Zero();
  node.attributes = attributes;
  node.inputs = {anchor};
}

// Nodes from which the output is reached. A zero needs its input for its shape alone; `through_zeros` says
// whether that counts.
std::vector<char> Live(const NetworkGraph& graph, bool through_zeros) {
  std::vector<char> live(graph.nodes.size());
  live[graph.output] = true;
  for (int i = graph.output; i > 0; --i) {
    if (!live[i] || (!through_zeros && IsZero(graph.nodes[i]))) continue;
    for (const int input : graph.nodes[i].inputs) live[input] = true;
  }
  return live;
}

// The first node of each shape. Few operators change a shape, so that few nodes are looked up.
class FirstOfShape {
 public:
  // REQUIRES that the nodes outlive it.
  explicit FirstOfShape(const std::vector<Node>& nodes) : nodes_(nodes) {}

  void Add(int node) {
    const Shape& shape = nodes_[node].shape;
    const NodeInputs& inputs = nodes_[node].inputs;
    // An input that is no zero was added before.
    if (!inputs.empty() && !IsZero(nodes_[inputs[0]]) && nodes_[inputs[0]].shape == shape) return;
    first_.emplace(shape, node);
  }
  int Find(const Shape& shape) const {
    const auto it = first_.find(shape);
    return it == first_.end() ? -1 : it->second;
  }

 private:
  const std::vector<Node>& nodes_;
  std::map<std::vector<int64_t>, int> first_;
};

// Nodes that may be shared, by what they compute.
class PureNodes {
 public:
  // REQUIRES that the nodes outlive it and grow no more.
  explicit PureNodes(const std::vector<Node>& nodes) : nodes_(nodes) {
    size_t size = 16;
    while (size < 2 * nodes.size()) size *= 2;
    table_.assign(size, -1);
  }

  // The node that computes the same; `node`, which is then known, where there is none yet.
  int FindOrAdd(int node) {
    const Node& added = nodes_[node];
    const bool commutative = added.inputs.size() > 1 && added.op->commutative();
    uint64_t state = added.attributes.hash();
    state = Mix(state, reinterpret_cast<uintptr_t>(&*added.op));
    for (const int input : added.inputs) {
      const auto value = static_cast<uint64_t>(input);
      state = commutative ? state + Mix(1, value) : Mix(state, value);
    }
    for (size_t at = Mix(state, 0) % table_.size();; at = (at + 1) % table_.size()) {
      if (table_[at] < 0) return table_[at] = node;
      if (Same(nodes_[table_[at]], added, commutative)) return table_[at];
    }
  }

 private:
  static bool Same(const Node& known, const Node& added, bool commutative) {
    if (known.op != added.op || known.attributes != added.attributes) return false;
    if (!commutative) return known.inputs == added.inputs;
    return Sorted(known.inputs) == Sorted(added.inputs);
  }
  static NodeInputs Sorted(NodeInputs inputs) {
    std::sort(inputs.begin(), inputs.end());
    return inputs;
  }

  const std::vector<Node>& nodes_;
  std::vector<int> table_;  // open addressing; -1: free
};

// Rewrites the graph node by node with the local rules, in place: no rule makes two nodes of one.
class Rewriter {
 public:
  explicit Rewriter(NetworkGraph graph)
      : result_{std::move(graph), {}}, first_(nodes()), pure_(nodes()), place_(nodes().size()) {}

  Simplification Run() {
    const std::vector<char> live = Live(result_.graph, /*through_zeros=*/true);
    result_.sources.reserve(nodes().size());
    result_.sources.push_back(0);
    first_.Add(0);
    for (size_t i = 1; i < nodes().size(); ++i) {
      if (live[i]) place_[i] = Rewrite(static_cast<int>(i));
    }
    nodes().erase(nodes().begin() + static_cast<int64_t>(result_.sources.size()), nodes().end());
    result_.graph.output = place_[result_.graph.output];
    return std::move(result_);
  }

 private:
  std::vector<Node>& nodes() { return result_.graph.nodes; }

  // The index in the result of the node that computes what the written node `index` computes.
  int Rewrite(int index) {
    static const OperatorRef add(*Add());
    Node& node = nodes()[index];
    bool any_zero = IsZero(node), all_zero = true;
    for (int& input : node.inputs) {
      input = place_[input];
      const bool zero = IsZero(nodes()[input]);
      any_zero = any_zero || zero;
      all_zero = all_zero && zero;
    }
    if (any_zero && BecomesZero(node, all_zero)) return Keep(index);
    NodeInputs& inputs = node.inputs;
    if (any_zero && node.op == add) {
      inputs.erase(std::remove_if(inputs.begin(), inputs.end(), [&](int i) { return IsZero(nodes()[i]); }),
                   inputs.end());
    }
    if (inputs.size() == 1 &&
        (node.op->arity().most > 1 || node.op->IsIdentity(node.attributes, nodes()[inputs[0]].shape))) {
      return inputs[0];
    }
    if (const int whole = WholeOf(node); whole >= 0) return whole;
    if (inputs.size() == 1) {
      const Node& before = nodes()[inputs[0]];
      if (before.op == node.op && before.inputs.size() == 1 &&
          node.op->Undoes(node.attributes, before.attributes, nodes()[before.inputs[0]].shape)) {
        return before.inputs[0];
      }
    }
    return Keep(index);
  }

  // Makes a node that computes nothing else a zero. False where it may compute something, or where there is
  // nothing whose shape the zero could take. REQUIRES a zero or one of a zero.
  bool BecomesZero(Node& node, bool all_zero) {
    static const OperatorRef multiply(*Multiply());
    const bool zero =
        IsZero(node) || node.op == multiply || (all_zero && node.op->ZeroPreserving(node.attributes));
    if (!zero) return false;
    const int anchor = first_.Find(node.shape);
    if (anchor < 0) return false;
    MakeZero(node, anchor);
    return true;
  }

  // The value that a concatenation puts together again of its first and last channels; -1 where it is none.
  int WholeOf(const Node& node) {
    static const OperatorRef concat(*Concat()), first(*FirstChannels()), last(*LastChannels());
    if (node.op != concat || node.inputs.size() != 2) return -1;
    const Node &head = nodes()[node.inputs[0]], &tail = nodes()[node.inputs[1]];
    if (head.op != first || tail.op != last || head.inputs != tail.inputs) return -1;
    const int whole = head.inputs[0];
    return node.shape == nodes()[whole].shape ? whole : -1;
  }

  int Keep(int index) {
    const auto kept = static_cast<int>(result_.sources.size());
    if (kept != index) nodes()[kept] = std::move(nodes()[index]);
    if (nodes()[kept].op->pure()) {
      if (const int same = pure_.FindOrAdd(kept); same != kept) return same;
    }
    result_.sources.push_back(index);
    first_.Add(kept);
    return kept;
  }

  Simplification result_;  // sources.size() nodes of the result, then what is left of the written ones
  FirstOfShape first_;
  PureNodes pure_;
  std::vector<int> place_;  // of each written node, in the result
};

// Zeros take their shape from a node that is needed anyway, if one before them has it, so that they keep
// nothing else alive.
void AnchorZeros(NetworkGraph& graph) {
  if (std::none_of(graph.nodes.begin(), graph.nodes.end(), IsZero)) return;
  const std::vector<char> live = Live(graph, /*through_zeros=*/false);
  FirstOfShape first(graph.nodes);
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    Node& node = graph.nodes[i];
    if (IsZero(node)) {
      const int anchor = first.Find(node.shape);
      if (anchor < 0) continue;
      MakeZero(node, anchor);
    } else if (live[i]) {
      first.Add(static_cast<int>(i));
    }
  }
}

void RemoveDead(Simplification& simplified) {
  NetworkGraph& graph = simplified.graph;
  std::vector<char> live = Live(graph, /*through_zeros=*/true);
  live[0] = true;
  std::vector<int> place(graph.nodes.size());
  size_t kept = 0;
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    if (!live[i]) continue;
    Node& node = graph.nodes[i];
    for (int& input : node.inputs) input = place[input];
    place[i] = static_cast<int>(kept);
    if (kept != i) graph.nodes[kept] = std::move(node);
    simplified.sources[kept++] = simplified.sources[i];
  }
  graph.nodes.erase(graph.nodes.begin() + static_cast<int64_t>(kept), graph.nodes.end());
  simplified.sources.resize(kept);
  graph.output = place[graph.output];
}

}  // namespace

NetworkGraph Simplify(NetworkGraph graph) { return SimplifyWithSources(std::move(graph)).graph; }

Simplification SimplifyWithSources(NetworkGraph graph) {
  Simplification result = Rewriter(std::move(graph)).Run();
  AnchorZeros(result.graph);
  RemoveDead(result);
  return result;
}

bool DependsOnInput(const NetworkGraph& simplified) {
  return Live(simplified, /*through_zeros=*/false)[0] && !IsZero(simplified.nodes[simplified.output]);
}

}  // namespace canopy::search_space
