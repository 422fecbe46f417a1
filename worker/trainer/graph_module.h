#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "base/random.h"
#include "base/status.h"
#include "search_spaces/graph.h"
#include "worker/trainer/operator_libraries.h"
#include "worker/trainer/ops/operation.h"
#include "worker/trainer/parameters.h"

namespace canopy::trainer {

class BatchNorm;
class Conv2d;

// A network graph as operations that run forward and backward. Not thread-safe.
class GraphModule {
 public:
  // Parameters are drawn from `seed`, and zero without one: where they are read from a file, drawing them
  // would take longer. InvalidArgument for what can't be built, and where a library's module differs from the
  // rules that the space file has for it. REQUIRES compute_type is float or bfloat16.
  static StatusOr<std::unique_ptr<GraphModule>> Build(
      const search_space::NetworkGraph& graph, at::ScalarType compute_type, std::optional<uint64_t> seed,
      const OperatorLibraries& libraries = NoOperatorLibraries());

  // `images` [N, C, H, W] in channels-last memory and the compute type, or what else the graph takes, as
  // ops/dense.h says; gives the output node's tensor.
  // Dropout draws from `noise`.
  at::Tensor ForwardTraining(const at::Tensor& images, Rng& noise);
  // Accumulates nothing: parameters' gradients are overwritten. REQUIRES a ForwardTraining before.
  void Backward(const at::Tensor& output_gradient);

  // Batch norms behind convolutions are folded into them, which PrepareInference does from the current
  // parameters and statistics. REQUIRES it was called since the last training step.
  void PrepareInference();
  at::Tensor ForwardInference(const at::Tensor& images);

  ParameterStore& store() { return store_; }
  const search_space::NetworkGraph& graph() const { return graph_; }

 private:
  struct Step {
    std::unique_ptr<Operation> operation;
    std::vector<int> inputs;
    int output = 0;
    // Values that no later step reads.
    std::vector<int> last_uses;
  };

  GraphModule(const search_space::NetworkGraph& graph, at::ScalarType compute_type)
      : graph_(graph), store_(compute_type) {}

  Status AddSteps(const OperatorLibraries& libraries);
  Status ProbePlugins();
  void FindLastUses();
  at::Tensor Forward(const at::Tensor& images, const ForwardMode& mode);

  search_space::NetworkGraph graph_;
  ParameterStore store_;
  std::vector<Step> steps_;  // in topological order
  int graph_output_ = 0;     // the node whose step makes the output's value
  struct FoldedPair {
    Conv2d* convolution;
    BatchNorm* batch_norm;
  };
  std::vector<FoldedPair> folded_pairs_;
};

// `batch` examples that the graph takes, where their values do not matter: images and features in that type,
// token numbers as integers.
at::Tensor SomeInput(const search_space::NetworkGraph& graph, int64_t batch, at::ScalarType type);

}  // namespace canopy::trainer
