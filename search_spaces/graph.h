#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "base/status.h"
#include "search_spaces/attributes.h"
#include "search_spaces/shape.h"

namespace canopy::search_space {

class Operator;

// An operator, of the registry or of a space file's, which compares and prints as its name: "input",
// "conv2d", "batch_norm", ...
class OperatorRef {
 public:
  OperatorRef(const Operator& op) : op_(&op) {}
  const Operator& operator*() const { return *op_; }
  const Operator* operator->() const { return op_; }
  std::string_view name() const;
  operator std::string_view() const { return name(); }
  friend bool operator==(OperatorRef a, OperatorRef b) { return a.op_ == b.op_; }
  friend bool operator==(OperatorRef a, std::string_view name) { return a.name() == name; }

 private:
  const Operator* op_;
};

// Indices of earlier nodes.
class NodeInputs : public absl::InlinedVector<int, 4> {
 public:
  using InlinedVector::InlinedVector;
  NodeInputs(const std::vector<int>& inputs) : InlinedVector(inputs.begin(), inputs.end()) {}
};

// One operator application. Shapes are per example, without the batch: {channels, height, width} for
// images, {tokens, features} for sequences, {features} for vectors.
struct Node {
  OperatorRef op;
  Attributes attributes;  // all that the operator has
  NodeInputs inputs;
  Shape shape;

  friend bool operator==(const Node&, const Node&) = default;
};

// A candidate lowered to typed operators with shapes: the phenotype. Nodes are in topological order,
// node 0 is the only "input", and every node's shape is inferred. It is what is counted, hashed, built
// and trained; its JSON form travels to trainers (docs/network_graph.md).
struct NetworkGraph {
  std::vector<Node> nodes;
  int output = 0;

  // Canonical text: keys sorted, no spaces, doubles in their shortest exact form. Operators that a space file
  // defines travel with their rules.
  std::string ToJson() const;
  // InvalidArgument names the node for an unknown operator or attribute, an input that is not an earlier
  // node, or a shape that inference contradicts.
  static StatusOr<NetworkGraph> FromJson(std::string_view json);

  friend bool operator==(const NetworkGraph&, const NetworkGraph&) = default;
};

// A graph of more nodes is refused.
inline constexpr int kMaxGraphNodes = 65536;

// Starts a graph: node 0, "input", with that shape. InvalidArgument for a shape that is neither
// {features}, {tokens, features} nor {channels, height, width}, or with a size below 1. Where an embedding
// reads the input, it is {tokens} and its values are token numbers.
StatusOr<NetworkGraph> InputGraph(const std::vector<int64_t>& shape);
// Appends an operator application with its shape inferred and returns its index. Attributes not given take
// their defaults. InvalidArgument for an unknown operator or attribute (with the nearest name), a wrong
// type, a missing attribute, a shape that does not fit, or one node too many.
StatusOr<int> AppendNode(NetworkGraph& graph, std::string_view op, const Attributes& attributes,
                         NodeInputs inputs);
StatusOr<int> AppendNode(NetworkGraph& graph, const Operator& op, const Attributes& attributes,
                         NodeInputs inputs);
// The same for attributes that CompleteAttributes (ops/operator.h) gave for that operator.
StatusOr<int> AppendCompleteNode(NetworkGraph& graph, const Operator& op, Attributes attributes,
                                 NodeInputs inputs);

}  // namespace canopy::search_space
