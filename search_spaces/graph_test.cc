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

TEST(AttributesTest, AreOrderedByNameAndEqualHoweverTheyWereMade) {
  const Attributes together = {{"stride", 2_i}, {"bias", false}, {"stride", 3_i}};
  EXPECT_EQ(together.text(), "bias=false stride=2");
  Attributes added;
  added["stride"] = 2_i;
  added.emplace("bias", false);
  added.emplace("bias", true);
  added.Seal();
  EXPECT_EQ(added, together);
  EXPECT_EQ(added.hash(), together.hash());
  EXPECT_EQ(added.count("bias"), 1u);
  EXPECT_EQ(added.count("kernel"), 0u);
  EXPECT_EQ(IntegerOf(added, "stride"), 2);
}

TEST(AttributesTest, AChangeOfOneCopyChangesNoOther) {
  Attributes first = {{"stride", 2_i}};
  first.Seal();
  Attributes second = first;
  second["stride"] = 3_i;
  EXPECT_EQ(first.text(), "stride=2");
  EXPECT_EQ(second.text(), "stride=3");
  EXPECT_NE(first, second);
  EXPECT_NE(first.hash(), second.hash());
  EXPECT_NE(first, (Attributes{{"stride", 2.0}}));
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
      {"conv2d",
       {{"out_channels", 8_i}, {"kernel_height", 1_i}, {"kernel_width", 7_i}, {"bias", false}},
       {3, 10, 12},
       {8, 10, 12},
       8 * 21,
       8 * 21 * 120},
      {"batch_norm", {}, {5, 4, 4}, {5, 4, 4}, 10, 0},
      {"batch_norm", {{"affine", false}}, {5}, {5}, 0, 0},
      {"max_pool", {{"kernel", 2_i}}, {4, 7, 8}, {4, 3, 4}, 0, 0},
      {"avg_pool", {{"kernel", 3_i}, {"stride", 1_i}, {"padding", 1_i}}, {4, 7, 7}, {4, 7, 7}, 0, 0},
      {"global_avg_pool", {}, {4, 7, 7}, {4}, 0, 0},
      {"first_channels", {{"channels", 3_i}}, {4, 7, 7}, {3, 7, 7}, 0, 0},
      {"first_channels", {{"channels", 3_i}}, {2, 7}, {2, 3}, 0, 0},
      {"first_channels", {{"channels", 3_i}}, {7}, {3}, 0, 0},
      {"last_channels", {{"channels", 3_i}}, {4, 7, 7}, {3, 7, 7}, 0, 0},
      {"last_channels", {{"channels", 3_i}}, {2, 7}, {2, 3}, 0, 0},
      {"channel_shuffle", {{"groups", 2_i}}, {4, 7, 7}, {4, 7, 7}, 0, 0},
      {"channel_shuffle", {{"groups", 3_i}}, {4, 6}, {4, 6}, 0, 0},
      {"flatten", {}, {4, 7, 7}, {196}, 0, 0},
      {"linear", {{"features", 10_i}}, {20}, {10}, 210, 200},
      {"zero", {{"stride", 2_i}}, {4, 7, 8}, {4, 4, 4}, 0, 0},
      {"dropout", {{"rate", 0.5}}, {4}, {4}, 0, 0},
      {"gelu", {}, {4, 7, 8}, {4, 7, 8}, 0, 0},
      {"elu", {{"alpha", 0.5}}, {4, 7}, {4, 7}, 0, 0},
      {"batch_norm", {}, {6, 5}, {6, 5}, 10, 0},
      {"global_avg_pool", {}, {6, 5}, {5}, 0, 0},
      {"linear", {{"features", 10_i}}, {6, 20}, {6, 10}, 210, 6 * 200},
      {"layer_norm", {}, {6, 5}, {6, 5}, 10, 0},
      {"layer_norm", {{"affine", false}}, {4, 7, 8}, {4, 7, 8}, 0, 0},
      {"group_norm", {{"groups", 2_i}}, {4, 7, 8}, {4, 7, 8}, 8, 0},
      // What MobileNetV3 of torchvision has at 72 channels: two 1x1 convolutions with biases.
      {"squeeze_excite",
       {{"squeeze", 24_i}},
       {72, 7, 7},
       {72, 7, 7},
       72 * 24 + 24 + 24 * 72 + 72,
       2 * 72 * 24},
      // Every default gives `stride` times the size.
      {"conv_transpose2d",
       {{"out_channels", 8_i}, {"kernel", 2_i}, {"stride", 2_i}},
       {3, 5, 6},
       {8, 10, 12},
       3 * 8 * 4 + 8,
       3 * 8 * 4 * 30},
      {"conv_transpose2d",
       {{"out_channels", 8_i}, {"kernel", 3_i}, {"stride", 2_i}, {"bias", false}},
       {4, 5, 6},
       {8, 10, 12},
       288,
       288 * 30},
      {"conv_transpose2d",
       {{"out_channels", 8_i}, {"kernel", 4_i}, {"stride", 2_i}, {"groups", 4_i}, {"bias", false}},
       {4, 5, 6},
       {8, 10, 12},
       128,
       128 * 30},
      {"conv_transpose2d",
       {{"out_channels", 1_i}, {"kernel", 3_i}, {"padding", 0_i}, {"output_padding", 0_i}, {"stride", 2_i}},
       {1, 5, 6},
       {1, 11, 13},
       10,
       9 * 30},
      {"space_to_depth", {}, {4, 6, 8}, {16, 3, 4}, 0, 0},
      // Swin-T's first: 3 heads in windows of 7 x 7.
      {"window_attention",
       {{"heads", 3_i}, {"window", 7_i}, {"shift", 3_i}},
       {96, 56, 56},
       {96, 56, 56},
       4 * 96 * 96 + 4 * 96 + 13 * 13 * 3,
       56 * 56 * (4 * 96 * 96 + 2 * 49 * 96)},
      {"upsample", {{"scale", 3_i}}, {4, 7, 8}, {4, 21, 24}, 0, 0},
      {"drop_path", {{"rate", 0.1}}, {6, 5}, {6, 5}, 0, 0},
      // As torch.nn.MultiheadAttention(12, heads) counts.
      {"attention",
       {{"heads", 3_i}},
       {6, 12},
       {6, 12},
       3 * 12 * 12 + 3 * 12 + 12 * 12 + 12,
       6 * 4 * 144 + 2 * 6 * 6 * 12},
      {"attention",
       {{"heads", 3_i}, {"head_features", 8_i}, {"bias", false}, {"causal", true}},
       {6, 12},
       {6, 12},
       4 * 12 * 24,
       6 * 4 * 12 * 24 + 2 * 6 * 6 * 24},
      {"mlp", {}, {6, 12}, {6, 12}, 2 * 12 * 48 + 48 + 12, 6 * 2 * 12 * 48},
      {"mlp", {{"ratio", 2.5}, {"bias", false}}, {10}, {10}, 500, 500},
      {"mlp", {{"activation", "relu"}}, {6, 12}, {6, 12}, 2 * 12 * 48 + 48 + 12, 6 * 2 * 12 * 48},
      {"last_tokens", {{"tokens", 2_i}}, {6, 12}, {2, 12}, 0, 0},
      {"transpose_tokens", {}, {6, 12}, {12, 6}, 0, 0},
      {"layer_scale", {}, {6, 12}, {6, 12}, 12, 0},
      {"layer_scale", {{"init", 0.1}}, {4, 7, 8}, {4, 7, 8}, 4, 0},
      {"embedding", {{"vocabulary", 100_i}, {"features", 12_i}}, {6}, {6, 12}, 1200, 0},
      // The embedding of ViT-B/16 at 224 x 224.
      {"patch_embedding",
       {{"features", 768_i}, {"patch", 16_i}},
       {3, 224, 224},
       {196, 768},
       590592,
       196 * 768 * 768},
      {"positional_encoding", {}, {6, 12}, {6, 12}, 72, 0},
      {"positional_encoding", {{"learned", false}}, {6, 12}, {6, 12}, 0, 0},
      {"class_token", {}, {6, 12}, {7, 12}, 12, 0},
      {"select_token", {{"index", -1_i}}, {6, 12}, {12}, 0, 0},
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
  const int means = *AppendNode(graph, "global_avg_pool", {}, {0});
  const int scaled = *AppendNode(graph, "multiply", {}, {means, 0});
  EXPECT_EQ(graph.nodes[scaled].shape, (Shape{3, 8, 8}));
  EXPECT_EQ(ErrorOf(graph, "multiply", {}, {0, pooled}),
            "multiply: expected inputs of equal shapes, or of one number per channel beside {3, 8, 8}, found "
            "{3, 4, 4}");
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
            "linear: expected an input of shape {features} or {tokens, features}, found {3, 8, 8}: put "
            "global_avg_pool or flatten before it");
  EXPECT_EQ(ErrorOf(image, "conv2d", {{"kernel", 3_i}, {"out_channels", 8_i}, {"groups", 2_i}}),
            "conv2d: expected groups that divide 3 input and 8 output channels, found 2");
  EXPECT_THAT(ErrorOf(image, "max_pool", {{"kernel", 9_i}}), HasSubstr("expected a window of at most 8"));
  EXPECT_THAT(ErrorOf(image, "conv2d", {{"kernel", 3_i}, {"out_channels", INT64_MAX}}),
              HasSubstr("expected an integer from 1 to 2147483647"));
  EXPECT_THAT(ErrorOf(image, "dropout", {{"rate", true}}), HasSubstr("expected a number from 0 to 0.999"));
  EXPECT_THAT(ErrorOf(image, "input", {}, {}), HasSubstr("as the first node only"));
  EXPECT_EQ(ErrorOf(image, "attention", {{"heads", 3_i}}),
            "attention: expected an input of shape {tokens, features}, found {3, 8, 8}");
  EXPECT_EQ(ErrorOf(image, "patch_embedding", {{"features", 4_i}, {"patch", 3_i}}),
            "patch_embedding: expected a patch that divides height and width of {3, 8, 8}, found 3");
  EXPECT_EQ(ErrorOf(image, "group_norm", {{"groups", 2_i}}),
            "group_norm: expected groups that divide 3 channels, found 2");
  EXPECT_EQ(ErrorOf(image, "channel_shuffle", {{"groups", 2_i}}),
            "channel_shuffle: expected groups that divide 3 channels, found 2");
  EXPECT_EQ(ErrorOf(image, "space_to_depth", {{"block", 3_i}}),
            "space_to_depth: expected a block that divides height and width of {3, 8, 8}, found 3");
  EXPECT_EQ(ErrorOf(image, "window_attention", {{"heads", 3_i}, {"window", 3_i}}),
            "window_attention: expected a window that divides height and width of {3, 8, 8}, found 3");
  EXPECT_EQ(ErrorOf(image, "window_attention", {{"heads", 2_i}, {"window", 4_i}}),
            "window_attention: expected heads that divide 3 channels, found 2");
  EXPECT_EQ(ErrorOf(image, "window_attention", {{"heads", 3_i}, {"window", 4_i}, {"shift", 4_i}}),
            "window_attention: expected a shift below the window of 4, found 4");
  EXPECT_EQ(ErrorOf(image, "last_channels", {{"channels", 4_i}}),
            "last_channels: expected at most the 3 channels of the input, found 4");
  EXPECT_EQ(ErrorOf(image, "transpose_tokens", {}),
            "transpose_tokens: expected an input of shape {tokens, features}, found {3, 8, 8}");
  const NetworkGraph tokens = Input({3, 8});
  EXPECT_EQ(ErrorOf(tokens, "attention", {{"heads", 3_i}}),
            "attention: expected heads that divide 8 features, found 3: give head_features, or other heads");
  EXPECT_EQ(ErrorOf(tokens, "last_tokens", {{"tokens", 4_i}}),
            "last_tokens: expected at most the 3 tokens of the input, found 4");
  EXPECT_EQ(ErrorOf(tokens, "mlp", {{"activation", "rleu"}}),
            "mlp: expected one of relu, relu6, hard_swish, hard_sigmoid, silu, gelu, mish, sigmoid, tanh for "
            "'activation', found rleu (did you mean 'relu'?)");
  EXPECT_THAT(ErrorOf(tokens, "mlp", {{"activation", 3_i}}), HasSubstr("for 'activation', found 3"));
  EXPECT_EQ(ErrorOf(image, "squeeze_excite", {{"squeeze", 2_i}, {"gate", "relu"}}),
            "squeeze_excite: expected one of sigmoid, hard_sigmoid for 'gate', found relu");
  EXPECT_EQ(ErrorOf(tokens, "select_token", {{"index", 3_i}}),
            "select_token: expected an index of one of 3 tokens, found 3");
  EXPECT_EQ(ErrorOf(tokens, "zero", {{"stride", 2_i}}),
            "zero: expected stride 1 for an input of shape {3, 8}, found 2");
}

TEST(OperatorTest, SizesBeyond64BitsAreRefused) {
  NetworkGraph graph = Input({1, 1 << 20, 1 << 20});
  EXPECT_THAT(ErrorOf(graph, "conv2d", {{"kernel", 1_i}, {"out_channels", 2147483647_i}}),
              ::testing::AnyOf(HasSubstr("2^63"), ::testing::IsEmpty()));
  const int node = *AppendNode(graph, "conv2d", {{"kernel", 1_i}, {"out_channels", 1_i << 22}}, {0});
  graph.output = *AppendNode(graph, "conv2d", {{"kernel", 1_i}, {"out_channels", 1_i << 22}}, {node});
  EXPECT_THAT(Message(ComputeCosts(graph).status()), HasSubstr("fit in 64 bits"));
  EXPECT_FALSE(InputGraph({0}).ok());
  EXPECT_FALSE(InputGraph({}).ok());
  EXPECT_FALSE(InputGraph({3, 4, 5, 6}).ok());
  EXPECT_FALSE(InputGraph({INT64_MAX, INT64_MAX, 2}).ok());
}

// torchvision's vit_b_16 at 224 x 224: 86,567,656 parameters, 17.56 G MACs.
TEST(CostTest, AVisionTransformerHasItsPublishedCounts) {
  NetworkGraph graph = Input({3, 224, 224});
  const auto add = [&](const char* op, Attributes attributes, std::vector<int> inputs = {}) {
    if (inputs.empty()) inputs = {graph.output};
    return graph.output = *AppendNode(graph, op, std::move(attributes), std::move(inputs));
  };
  add("patch_embedding", {{"features", 768_i}, {"patch", 16_i}});
  add("class_token", {});
  add("positional_encoding", {});
  for (int block = 0; block < 12; ++block) {
    const int before = graph.output;
    add("layer_norm", {{"eps", 1e-6}});
    const int attention = add("attention", {{"heads", 12_i}});
    const int between = add("add", {}, {before, attention});
    add("layer_norm", {{"eps", 1e-6}});
    const int mlp = add("mlp", {});
    add("add", {}, {between, mlp});
  }
  add("layer_norm", {{"eps", 1e-6}});
  add("select_token", {});
  add("linear", {{"features", 1000_i}});
  const Costs costs = *ComputeCosts(graph);
  EXPECT_EQ(costs.params, 86'567'656);
  EXPECT_EQ(costs.macs, 17'563'828'224);
  EXPECT_EQ(costs.depth, 1 + 12 * 4 + 1);
}

TEST(CostTest, TokenNumbersAreForEmbeddingsAlone) {
  const auto error = [](const NetworkGraph& graph) { return Message(ComputeCosts(graph).status()); };
  NetworkGraph graph = Input({6});
  const int embedded = *AppendNode(graph, "embedding", {{"vocabulary", 9_i}, {"features", 4_i}}, {0});
  graph.output = *AppendNode(graph, "attention", {{"heads", 2_i}}, {embedded});
  ASSERT_TRUE(ComputeCosts(graph).ok());
  NetworkGraph mixed = graph;
  mixed.output = *AppendNode(mixed, "relu", {}, {0});
  EXPECT_EQ(error(mixed), "relu: expected an embedding in between: the network's input is token numbers");
  NetworkGraph late = Input({6});
  const int relu = *AppendNode(late, "relu", {}, {0});
  late.output = *AppendNode(late, "embedding", {{"vocabulary", 9_i}, {"features", 4_i}}, {relu});
  EXPECT_EQ(error(late), "embedding: expected the network's input before it, found 'relu'");
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
