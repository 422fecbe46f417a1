#include "tests/benchmarks/trainer_throughput/cell_network.h"

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace canopy::benchmarks {
namespace {

using search_space::Attributes;
using search_space::NetworkGraph;

// Appends nodes and keeps the first error.
class Builder {
 public:
  explicit Builder(NetworkGraph graph) : graph_(std::move(graph)) {}

  int Append(std::string_view op, const Attributes& attributes, const std::vector<int>& inputs) {
    if (!status_.ok()) return 0;
    const auto node = search_space::AppendNode(graph_, op, attributes, inputs);
    if (!node.ok()) status_ = node.status();
    return node.value_or(0);
  }

  int ConvNorm(int input, int64_t channels, int64_t kernel, int64_t stride) {
    const int conv = Append(
        "conv2d", {{"out_channels", channels}, {"kernel", kernel}, {"stride", stride}, {"bias", false}},
        {input});
    return Append("batch_norm", {}, {conv});
  }
  int Relu(int input) { return Append("relu", {}, {input}); }
  int Add(std::vector<int> inputs) { return Append("add", {}, std::move(inputs)); }

  int Cell(int node0, int64_t channels) {
    const int active0 = Relu(node0);
    const int node1 = ConvNorm(active0, channels, 3, 1);
    const int node2 = Add({node0, ConvNorm(Relu(node1), channels, 3, 1)});
    return Add({ConvNorm(active0, channels, 1, 1), node1, ConvNorm(Relu(node2), channels, 3, 1)});
  }

  int Reduction(int input, int64_t channels) {
    const int first = ConvNorm(Relu(input), channels, 3, 2);
    const int second = ConvNorm(Relu(first), channels, 3, 1);
    const int pooled = Append("avg_pool", {{"kernel", int64_t{2}}, {"stride", int64_t{2}}}, {input});
    const int shortcut =
        Append("conv2d", {{"out_channels", channels}, {"kernel", int64_t{1}}, {"bias", false}}, {pooled});
    return Add({second, shortcut});
  }

  StatusOr<NetworkGraph> Finish(int output) {
    if (!status_.ok()) return status_;
    graph_.output = output;
    return graph_;
  }

 private:
  NetworkGraph graph_;
  Status status_;
};

}  // namespace

StatusOr<NetworkGraph> CellNetwork(int64_t channels, int64_t image_size, int64_t classes) {
  CANOPY_ASSIGN_OR_RETURN(NetworkGraph graph, search_space::InputGraph({channels, image_size, image_size}));
  Builder builder(std::move(graph));
  int node = builder.ConvNorm(0, 16, 3, 1);
  node = builder.Cell(node, 16);
  node = builder.Cell(builder.Reduction(node, 32), 32);
  node = builder.Cell(builder.Reduction(node, 64), 64);
  node = builder.Relu(builder.Append("batch_norm", {}, {node}));
  node = builder.Append("global_avg_pool", {}, {node});
  return builder.Finish(builder.Append("linear", {{"features", classes}}, {node}));
}

}  // namespace canopy::benchmarks
