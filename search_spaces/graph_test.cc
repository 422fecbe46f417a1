#include "search_spaces/graph.h"

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "search_spaces/cost.h"
#include "search_spaces/ops/operator.h"

namespace canopy::search_space {
namespace {

using ::testing::HasSubstr;

constexpr int64_t operator""_i(unsigned long long value) { return static_cast<int64_t>(value); }

NetworkGraph Input(Shape shape) { return *InputGraph(shape); }

std::string ErrorOf(NetworkGraph graph, const char* op, Attributes attributes,
                    std::vector<int> inputs = {0}) {
  return Message(AppendNode(graph, op, std::move(attributes), std::move(inputs)).status());
}

TEST(OperatorTest, RegistryIsSortedAndComplete) {
  const auto names = OperatorNames();
  EXPECT_TRUE(std::is_sorted(names.begin(), names.end()));
  for (const std::string& name : names) EXPECT_EQ(FindOperator(name)->name(), name);
  EXPECT_EQ(FindOperator("conv3d"), nullptr);
}

struct ShapeCase {
  const char* op;
  Attributes attributes;
  Shape input, output;
  int64_t params, macs;
};

TEST(OperatorTest, ShapesParametersAndMacs) {
  const ShapeCase cases[] = {
      {"conv2d",
       {{"out_channels", 8_i}, {"kernel", 3_i}},
       {3, 10, 12},
       {8, 10, 12},
       8 * 27 + 8,
       8 * 27 * 120},
      {"conv2d",
       {{"out_channels", 8_i}, {"kernel", 3_i}, {"stride", 2_i}, {"bias", false}},
       {3, 11, 11},
       {8, 6, 6},
       216,
       216 * 36},
      {"conv2d",
       {{"out_channels", 6_i}, {"kernel", 5_i}, {"groups", 3_i}, {"padding", 0_i}, {"bias", false}},
       {3, 9, 9},
       {6, 5, 5},
       150,
       150 * 25},
      {"conv2d",
       {{"out_channels", 1_i}, {"kernel", 3_i}, {"dilation", 2_i}, {"bias", false}},
       {1, 9, 9},
       {1, 9, 9},
       9,
       729},
      {"batch_norm", {}, {5, 4, 4}, {5, 4, 4}, 10, 0},
      {"batch_norm", {{"affine", false}}, {5}, {5}, 0, 0},
      {"max_pool", {{"kernel", 2_i}}, {4, 7, 8}, {4, 3, 4}, 0, 0},
      {"avg_pool", {{"kernel", 3_i}, {"stride", 1_i}, {"padding", 1_i}}, {4, 7, 7}, {4, 7, 7}, 0, 0},
      {"global_avg_pool", {}, {4, 7, 7}, {4}, 0, 0},
      {"first_channels", {{"channels", 3_i}}, {4, 7, 7}, {3, 7, 7}, 0, 0},
      {"flatten", {}, {4, 7, 7}, {196}, 0, 0},
      {"linear", {{"features", 10_i}}, {20}, {10}, 210, 200},
      {"zero", {{"stride", 2_i}}, {4, 7, 8}, {4, 4, 4}, 0, 0},
      {"dropout", {{"rate", 0.5}}, {4}, {4}, 0, 0},
      {"gelu", {}, {4, 7, 8}, {4, 7, 8}, 0, 0},
  };
  for (const ShapeCase& c : cases) {
    NetworkGraph graph = Input(c.input);
    const auto node = AppendNode(graph, c.op, c.attributes, {0});
    ASSERT_TRUE(node.ok()) << node.status();
    EXPECT_EQ(graph.nodes[*node].shape, c.output) << c.op;
    graph.output = *node;
    const Costs costs = *ComputeCosts(graph);
    EXPECT_EQ(costs.params, c.params) << c.op;
    EXPECT_EQ(costs.macs, c.macs) << c.op;
  }
}

TEST(OperatorTest, MergesTakeShapesThatFit) {
  NetworkGraph graph = Input({3, 8, 8});
  const int pooled = *AppendNode(graph, "max_pool", {{"kernel", 2_i}}, {0});
  const int wide = *AppendNode(graph, "concat", {}, {0, 0});
  EXPECT_EQ(graph.nodes[wide].shape, (Shape{6, 8, 8}));
  EXPECT_THAT(ErrorOf(graph, "add", {}, {0, pooled}),
              HasSubstr("equal shapes, found {3, 8, 8} and {3, 4, 4}"));
  EXPECT_THAT(ErrorOf(graph, "concat", {}, {0, pooled}), HasSubstr("equal height and width"));
  EXPECT_THAT(ErrorOf(graph, "relu", {}, {0, 0}), HasSubstr("relu: expected 1 inputs, found 2"));
}

TEST(OperatorTest, WhatDoesNotFitIsRefused) {
  const NetworkGraph image = Input({3, 8, 8});
  EXPECT_EQ(ErrorOf(image, "conv", {}), "expected an operator, found 'conv' (did you mean 'conv2d'?)");
  EXPECT_EQ(ErrorOf(image, "relu7", {}), "expected an operator, found 'relu7' (did you mean 'relu'?)");
  EXPECT_EQ(ErrorOf(image, "conv2d", {{"kernel", 3_i}}), "conv2d: expected 'out_channels', found none");
  EXPECT_EQ(ErrorOf(image, "max_pool", {{"kernel", 3_i}, {"strid", 2_i}}),
            "max_pool: expected one of kernel, stride, padding, found 'strid' (did you mean 'stride'?)");
  EXPECT_EQ(ErrorOf(image, "linear", {{"features", 3_i}}),
            "linear: expected an input of shape {features}, found {3, 8, 8}: put global_avg_pool or flatten "
            "before it");
  EXPECT_EQ(ErrorOf(image, "conv2d", {{"kernel", 3_i}, {"out_channels", 8_i}, {"groups", 2_i}}),
            "conv2d: expected groups that divide 3 input and 8 output channels, found 2");
  EXPECT_THAT(ErrorOf(image, "max_pool", {{"kernel", 9_i}}), HasSubstr("expected a window of at most 8"));
  EXPECT_THAT(ErrorOf(image, "conv2d", {{"kernel", 3_i}, {"out_channels", INT64_MAX}}),
              HasSubstr("expected an integer from 1 to 2147483647"));
  EXPECT_THAT(ErrorOf(image, "dropout", {{"rate", true}}), HasSubstr("expected a number from 0 to 0.999"));
  EXPECT_THAT(ErrorOf(image, "input", {}, {}), HasSubstr("as the first node only"));
}

TEST(OperatorTest, SizesBeyond64BitsAreRefused) {
  NetworkGraph graph = Input({1, 1 << 20, 1 << 20});
  EXPECT_THAT(ErrorOf(graph, "conv2d", {{"kernel", 1_i}, {"out_channels", 2147483647_i}}),
              ::testing::AnyOf(HasSubstr("2^63"), ::testing::IsEmpty()));
  const int node = *AppendNode(graph, "conv2d", {{"kernel", 1_i}, {"out_channels", 1_i << 22}}, {0});
  graph.output = *AppendNode(graph, "conv2d", {{"kernel", 1_i}, {"out_channels", 1_i << 22}}, {node});
  EXPECT_THAT(Message(ComputeCosts(graph).status()), HasSubstr("fit in 64 bits"));
  EXPECT_FALSE(InputGraph({0}).ok());
  EXPECT_FALSE(InputGraph({3, 4}).ok());
  EXPECT_FALSE(InputGraph({INT64_MAX, INT64_MAX, 2}).ok());
}

TEST(CostTest, ActivationMemoryIsThePeakOfWhatIsAlive) {
  NetworkGraph graph = Input({1, 4, 4});                                                      // 16 numbers
  const int a = *AppendNode(graph, "conv2d", {{"out_channels", 2_i}, {"kernel", 3_i}}, {0});  // 32
  const int b = *AppendNode(graph, "conv2d", {{"out_channels", 4_i}, {"kernel", 3_i}}, {a});  // 64
  const int c = *AppendNode(graph, "global_avg_pool", {}, {b});
  graph.output = *AppendNode(graph, "linear", {{"features", 3_i}}, {c});
  EXPECT_EQ(ComputeCosts(graph)->activation_memory, 4 * (32 + 64 + 4 - 4));
  EXPECT_EQ(ComputeCosts(graph)->depth, 3);
}

TEST(GraphJsonTest, RoundTripsAndIsCanonical) {
  NetworkGraph graph = Input({1, 4, 4});
  const int bn = *AppendNode(graph, "batch_norm", {}, {0});
  graph.output = *AppendNode(graph, "add", {}, {0, bn});
  const std::string json = graph.ToJson();
  EXPECT_EQ(
      json,
      "{\"nodes\":[{\"attributes\":{},\"inputs\":[],\"op\":\"input\",\"shape\":[1,4,4]},"
      "{\"attributes\":{\"affine\":true,\"eps\":1e-05,\"momentum\":0.1},\"inputs\":[0],\"op\":\"batch_norm\","
      "\"shape\":[1,4,4]},{\"attributes\":{},\"inputs\":[0,1],\"op\":\"add\",\"shape\":[1,4,4]}],\"output\":"
      "2}");
  EXPECT_EQ(*NetworkGraph::FromJson(json), graph);
}

TEST(GraphJsonTest, WhatContradictsInferenceIsRefused) {
  const auto error = [](std::string_view json) { return Message(NetworkGraph::FromJson(json).status()); };
  const std::string input = R"({"attributes":{},"inputs":[],"op":"input","shape":[1,4,4]})";
  EXPECT_THAT(error("{"), HasSubstr("expected a JSON object of nodes and output"));
  EXPECT_THAT(error(R"({"nodes":[],"output":0})"), HasSubstr("expected a JSON object"));
  EXPECT_THAT(error("{\"nodes\":[" + input + "],\"output\":1}"),
              HasSubstr("expected an output that is a node"));
  const auto second = [&](const std::string& node) {
    return error("{\"nodes\":[" + input + "," + node + "],\"output\":1}");
  };
  EXPECT_EQ(second(R"({"attributes":{},"inputs":[0],"op":"relu","shape":[2,4,4]})"),
            "network graph: node 1: relu: expected shape {1, 4, 4}, found {2, 4, 4}");
  EXPECT_THAT(second(R"({"attributes":{},"inputs":[1],"op":"relu","shape":[1,4,4]})"),
              HasSubstr("earlier nodes"));
  EXPECT_THAT(second(R"({"attributes":{},"inputs":[-1],"op":"relu","shape":[1,4,4]})"),
              HasSubstr("earlier nodes"));
  EXPECT_THAT(second(R"({"attributes":{},"inputs":[0],"op":"batch_norm","shape":[1,4,4]})"),
              HasSubstr("expected all attributes"));
  EXPECT_THAT(second(R"({"attributes":{"x":1},"inputs":[0],"op":"relu","shape":[1,4,4]})"),
              HasSubstr("expected no attributes, found 'x'"));
  EXPECT_THAT(second(R"({"op":"relu"})"),
              HasSubstr("expected an object of op, attributes, inputs and shape"));
}

}  // namespace
}  // namespace canopy::search_space
