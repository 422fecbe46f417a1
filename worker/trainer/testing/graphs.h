#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "search_spaces/graph.h"

namespace canopy::trainer {

// Builds network graphs in tests; a wrong one fails the test.
class GraphBuilder {
 public:
  using Attributes = search_space::Attributes;

  explicit GraphBuilder(const std::vector<int64_t>& input_shape) {
    auto graph = search_space::InputGraph(input_shape);
    EXPECT_TRUE(graph.ok()) << graph.status();
    graph_ = *std::move(graph);
  }

  // The new node's index; it becomes the output.
  int Add(std::string_view op, const Attributes& attributes = {}, std::vector<int> inputs = {}) {
    if (inputs.empty()) inputs = {graph_.output};
    const auto node = search_space::AppendNode(graph_, op, attributes, inputs);
    EXPECT_TRUE(node.ok()) << node.status();
    graph_.output = node.value_or(0);
    return graph_.output;
  }
  int Conv(int64_t channels, int64_t kernel, int64_t stride = 1, std::vector<int> inputs = {}) {
    return Add("conv2d",
               {{"out_channels", channels}, {"kernel", kernel}, {"stride", stride}, {"bias", false}},
               std::move(inputs));
  }
  int Linear(int64_t features) { return Add("linear", {{"features", features}}); }

  const search_space::NetworkGraph& graph() const { return graph_; }

 private:
  search_space::NetworkGraph graph_;
};

// A small convolutional network with a residual connection, for images of `channels` x size x size.
inline search_space::NetworkGraph SmallNetwork(int64_t channels, int64_t size, int64_t classes) {
  GraphBuilder builder({channels, size, size});
  builder.Conv(8, 3);
  builder.Add("batch_norm");
  const int stem = builder.Add("relu");
  builder.Conv(8, 3);
  const int branch = builder.Add("batch_norm");
  builder.Add("add", {}, {stem, branch});
  builder.Add("relu");
  builder.Add("global_avg_pool");
  builder.Linear(classes);
  return builder.graph();
}

// A small vision transformer, with the other operators that autograd differentiates in front.
inline search_space::NetworkGraph SmallTransformer(int64_t channels, int64_t size, int64_t classes) {
  GraphBuilder builder({channels, size, size});
  builder.Conv(8, 3);
  builder.Add("group_norm", {{"groups", int64_t{2}}});
  builder.Add("hard_swish");
  builder.Add("squeeze_excite", {{"squeeze", int64_t{4}}});
  builder.Add("patch_embedding", {{"features", int64_t{16}}, {"patch", size / 4}});
  builder.Add("class_token");
  const int tokens = builder.Add("positional_encoding");
  builder.Add("layer_norm");
  builder.Add("attention", {{"heads", int64_t{2}}});
  const int attended = builder.Add("add", {}, {tokens, builder.Add("drop_path", {{"rate", 0.1}})});
  builder.Add("layer_norm");
  builder.Add("mlp", {{"ratio", 2.0}});
  builder.Add("add", {}, {attended, builder.Add("dropout", {{"rate", 0.1}})});
  builder.Add("layer_norm");
  builder.Add("select_token");
  builder.Linear(classes);
  return builder.graph();
}

}  // namespace canopy::trainer
