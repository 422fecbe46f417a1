#include "worker/trainer/graph_module.h"

#include <algorithm>
#include <string>
#include <utility>

#include "search_spaces/ops/operator.h"
#include "worker/trainer/ops/add.h"
#include "worker/trainer/ops/batch_norm.h"
#include "worker/trainer/ops/conv2d.h"
#include "worker/trainer/ops/plugin_operation.h"
#include "worker/trainer/ops/registry.h"

namespace canopy::trainer {
namespace {

using search_space::NetworkGraph;
using search_space::Node;

// How many nodes read each node's value; the network's output counts as a reader.
std::vector<int> ReaderCounts(const NetworkGraph& graph) {
  std::vector<int> counts(graph.nodes.size(), 0);
  for (const Node& node : graph.nodes)
    for (const int input : node.inputs) ++counts[static_cast<size_t>(input)];
  ++counts[static_cast<size_t>(graph.output)];
  return counts;
}

// False where the operation takes no ReLU behind it.
bool FuseRelu(Operation* producer) {
  if (auto* const norm = dynamic_cast<BatchNorm*>(producer)) {
    norm->FuseRelu();
    return true;
  }
  if (auto* const sum = dynamic_cast<Add*>(producer)) {
    sum->FuseRelu();
    return true;
  }
  return false;
}

}  // namespace

StatusOr<std::unique_ptr<GraphModule>> GraphModule::Build(const NetworkGraph& graph,
                                                          at::ScalarType compute_type,
                                                          std::optional<uint64_t> seed,
                                                          const OperatorLibraries& libraries) {
  std::unique_ptr<GraphModule> module(new GraphModule(graph, compute_type));
  CANOPY_RETURN_IF_ERROR(module->AddSteps(libraries));
  module->FindLastUses();
  module->store_.Allocate(seed);
  CANOPY_RETURN_IF_ERROR(module->ProbePlugins());
  return module;
}

Status GraphModule::ProbePlugins() {
  for (const Step& step : steps_) {
    const Node& node = graph_.nodes[static_cast<size_t>(step.output)];
    if (node.op->definition().empty()) continue;
    const Node& input = graph_.nodes[static_cast<size_t>(node.inputs[0])];
    CANOPY_RETURN_IF_ERROR(ProbePluginOperation(*step.operation, node, input, store_.compute_type()));
  }
  return absl::OkStatus();
}

// A ReLU that alone reads a batch norm or a sum becomes part of it, a batch norm that a sum alone reads
// becomes part of the sum, and a batch norm that alone reads a convolution is noted for folding.
Status GraphModule::AddSteps(const OperatorLibraries& libraries) {
  const std::vector<int> readers = ReaderCounts(graph_);
  std::vector<int> value_of(graph_.nodes.size(), 0);  // the node whose step makes this node's value
  std::vector<Operation*> made_by(graph_.nodes.size(), nullptr);
  std::vector<bool> needs_gradient(graph_.nodes.size(), false);
  for (size_t i = 1; i < graph_.nodes.size(); ++i) {
    const Node& node = graph_.nodes[i];
    std::vector<int> inputs;
    bool input_needs_gradient = false;
    for (const int input : node.inputs) {
      inputs.push_back(value_of[static_cast<size_t>(input)]);
      input_needs_gradient = input_needs_gradient || needs_gradient[static_cast<size_t>(input)];
    }
    const auto first = static_cast<size_t>(node.inputs.empty() ? 0 : node.inputs[0]);
    Operation* const producer = made_by[static_cast<size_t>(value_of[first])];
    const bool sole_reader = readers[first] == 1;
    if (node.op == "relu" && sole_reader && value_of[first] == static_cast<int>(first) &&
        FuseRelu(producer)) {
      value_of[i] = value_of[first];
      needs_gradient[i] = needs_gradient[first];
      continue;
    }
    std::vector<const Node*> input_nodes;
    for (const int input : node.inputs) input_nodes.push_back(&graph_.nodes[static_cast<size_t>(input)]);
    const std::string prefix = std::to_string(i) + "." + std::string(node.op) + ".";
    CANOPY_ASSIGN_OR_RETURN(std::unique_ptr<Operation> operation,
                            BuildOperation({node, std::move(input_nodes), prefix, store_,
                                            static_cast<int>(i) == graph_.output && readers[i] == 1},
                                           libraries));
    operation->set_needs_input_gradient(input_needs_gradient);
    if (auto* const folded = dynamic_cast<BatchNorm*>(operation.get()); folded != nullptr && sole_reader)
      if (auto* const convolution = dynamic_cast<Conv2d*>(producer); convolution != nullptr)
        folded_pairs_.push_back({convolution, folded});
    if (auto* const sum = dynamic_cast<Add*>(operation.get()))
      for (size_t k = 0; k < inputs.size(); ++k) {
        const auto read = static_cast<size_t>(node.inputs[k]);
        if (readers[read] != 1 || graph_.nodes[read].op != "batch_norm") continue;
        if (auto* const norm = dynamic_cast<BatchNorm*>(made_by[read])) sum->AbsorbNorm(k, *norm);
      }
    value_of[i] = static_cast<int>(i);
    made_by[i] = operation.get();
    needs_gradient[i] = input_needs_gradient || operation->learns();
    steps_.push_back(
        {.operation = std::move(operation), .inputs = std::move(inputs), .output = static_cast<int>(i)});
  }
  graph_output_ = value_of[static_cast<size_t>(graph_.output)];
  return absl::OkStatus();
}

void GraphModule::FindLastUses() {
  std::vector<bool> read_later(graph_.nodes.size(), false);
  read_later[static_cast<size_t>(graph_output_)] = true;
  for (size_t s = steps_.size(); s-- > 0;) {
    for (const int input : steps_[s].inputs) {
      if (read_later[static_cast<size_t>(input)]) continue;
      read_later[static_cast<size_t>(input)] = true;
      steps_[s].last_uses.push_back(input);
    }
  }
}

at::Tensor GraphModule::Forward(const at::Tensor& images, const ForwardMode& mode) {
  std::vector<at::Tensor> values(graph_.nodes.size());
  values[0] = images;
  std::vector<at::Tensor> inputs;
  for (Step& step : steps_) {
    inputs.clear();
    for (const int input : step.inputs) inputs.push_back(values[static_cast<size_t>(input)]);
    values[static_cast<size_t>(step.output)] = step.operation->Forward(inputs, mode);
    for (const int dead : step.last_uses) values[static_cast<size_t>(dead)].reset();
  }
  return values[static_cast<size_t>(graph_output_)];
}

at::Tensor GraphModule::ForwardTraining(const at::Tensor& images, Rng& noise) {
  // Copies of all weights, which are about to change.
  for (const auto& [convolution, batch_norm] : folded_pairs_) {
    convolution->Unfold();
    batch_norm->set_folded(false);
  }
  return Forward(images, {.training = true, .noise = &noise});
}

void GraphModule::Backward(const at::Tensor& output_gradient) {
  store_.gradients().zero_();  // what no gradient reaches has none
  // One gradient per reader of each value; summed once, when all are there.
  std::vector<std::vector<at::Tensor>> gradients(graph_.nodes.size());
  gradients[static_cast<size_t>(graph_output_)].push_back(output_gradient);
  for (size_t s = steps_.size(); s-- > 0;) {
    Step& step = steps_[s];
    const auto parts = std::exchange(gradients[static_cast<size_t>(step.output)], {});
    if (parts.empty()) continue;
    std::vector<at::Tensor> input_gradients = step.operation->Backward(SumOf(parts));
    for (size_t i = 0; i < step.inputs.size(); ++i)
      if (input_gradients[i].defined())
        gradients[static_cast<size_t>(step.inputs[i])].push_back(std::move(input_gradients[i]));
  }
}

void GraphModule::PrepareInference() {
  for (const auto& [convolution, batch_norm] : folded_pairs_) {
    const BatchNorm::Affine affine = batch_norm->InferenceAffine();
    convolution->Fold(affine.scale, affine.shift);
    batch_norm->set_folded(true);
  }
}

at::Tensor GraphModule::ForwardInference(const at::Tensor& images) { return Forward(images, {}); }

at::Tensor SomeInput(const NetworkGraph& graph, int64_t batch, at::ScalarType type) {
  std::vector<int64_t> sizes = graph.nodes[0].shape;
  sizes.insert(sizes.begin(), batch);
  for (const Node& node : graph.nodes)
    if (node.op->reads_tokens()) return at::zeros(sizes, at::kLong);
  return Dense(at::full(sizes, 0.5, type));
}

}  // namespace canopy::trainer
