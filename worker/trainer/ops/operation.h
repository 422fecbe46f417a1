#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/random.h"
#include "search_spaces/graph.h"
#include "worker/trainer/ops/dense.h"
#include "worker/trainer/parameters.h"
#include "worker/trainer/torch_compat.h"

namespace canopy::trainer {

struct ForwardMode {
  bool training = false;
  Rng* noise = nullptr;  // REQUIRED for training: where dropout draws its masks
};

// One operator of the network with its parameters; tensors are as ops/dense.h says, in the store's compute
// type (the output of a linear layer or an AutogradOperation at the end: fp32). What most networks spend
// their time in brings a gradient written by hand: it saves autograd's bookkeeping and frees each activation
// as soon as it is used. Everything else is an AutogradOperation.
class Operation {
 public:
  virtual ~Operation() = default;

  // Training keeps what Backward needs; inference keeps nothing.
  virtual at::Tensor Forward(std::span<const at::Tensor> inputs, const ForwardMode& mode) = 0;

  // The output's gradient to one gradient per input (undefined: no gradient flows there); parameters'
  // gradients are written into the store. REQUIRES one training Forward before each call.
  virtual std::vector<at::Tensor> Backward(const at::Tensor& gradient) = 0;

  // It has parameters, so that training needs its output's gradient.
  virtual bool learns() const { return false; }

  // Whether any input's gradient is used at all: false directly behind the network's input.
  void set_needs_input_gradient(bool needed) { needs_input_gradient_ = needed; }

 protected:
  bool needs_input_gradient_ = true;
};

// What a builder gets: the node, its input nodes, and where parameters are registered. Parameter names
// begin with `prefix`.
struct BuildContext {
  const search_space::Node& node;
  std::vector<const search_space::Node*> inputs;
  std::string prefix;
  ParameterStore& store;
  bool is_output = false;  // it makes the network's output, which nothing else reads
};

// REQUIRES a node as search_space::AppendNode or NetworkGraph::FromJson make it: its attributes and shapes
// are checked there.
using OperationBuilder = std::unique_ptr<Operation> (*)(const BuildContext& context);

}  // namespace canopy::trainer
