// Attributes that may differ in height and width: in space files, in graphs, in hashes.

#include <string>
#include <string_view>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "search_spaces/evaluation.h"
#include "search_spaces/graph.h"
#include "search_spaces/graph_encoding.h"
#include "search_spaces/space.h"

namespace canopy::search_space {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

const TaskShape kImages = {{3, 12, 20}, 5};

std::string WithConv(const std::string& attributes, const std::string& before = "") {
  return "canopy: 1\nname: s\n" + before + "network:\n- conv2d: {out_channels: 4, " + attributes +
         "}\n- global_avg_pool\n- linear: {features: classes}\n";
}

StatusOr<SearchSpace> Parse(const std::string& text) { return SearchSpace::Parse(text, "s.yaml"); }

Evaluation EvaluationOf(const std::string& text, std::string_view candidate = "{}") {
  const auto space = Parse(text);
  EXPECT_TRUE(space.ok()) << space.status();
  auto evaluation = Evaluate(*space, *space->ParseCandidate(candidate), kImages);
  EXPECT_TRUE(evaluation.ok()) << evaluation.status();
  return *std::move(evaluation);
}

Node ConvOf(const std::string& text, std::string_view candidate = "{}") {
  return EvaluationOf(text, candidate).graph.nodes[1];
}

std::string ErrorOf(const std::string& attributes, const std::string& before = "") {
  return Message(Parse(WithConv(attributes, before)).status());
}

TEST(PerAxisTest, APairIsHeightAndWidth) {
  const Node conv = ConvOf(WithConv("kernel: [1, 7]"));
  EXPECT_EQ(conv.attributes.text(),
            "bias=true dilation=1 groups=1 kernel_height=1 kernel_width=7 out_channels=4 padding_height=0 "
            "padding_width=3 stride=1");
  EXPECT_EQ(conv.shape, (Shape{4, 12, 20}));
  EXPECT_EQ(ConvOf(WithConv("kernel: [3, 7], padding: 0")).shape, (Shape{4, 10, 14}));
  EXPECT_EQ(ConvOf(WithConv("kernel: 3, padding: [0, 2]")).shape, (Shape{4, 10, 22}));
  EXPECT_EQ(ConvOf(WithConv("kernel: [2, 5], stride: 2, dilation: 2")).shape, (Shape{4, 6, 10}));
}

TEST(PerAxisTest, CountsTheWholeWindow) {
  const Costs costs = EvaluationOf(WithConv("kernel: [1, 7], bias: false")).costs;
  EXPECT_EQ(costs.params, 4 * 3 * 7 + 4 * 5 + 5);
  EXPECT_EQ(costs.macs, 4 * 3 * 7 * 12 * 20 + 4 * 5);
}

TEST(PerAxisTest, EachSizeIsAValue) {
  const std::string text =
      WithConv("kernel: [{choice: [1, 3]}, rows * 2 + 1]", "decisions: {rows: {ordinal: [1, 2]}}\n");
  EXPECT_EQ(Parse(text)->decisions()[1].name, "kernel_height");
  const Node conv = ConvOf(text, R"({"rows":2,"kernel_height":1})");
  EXPECT_EQ(ExtentOf(conv.attributes, "kernel").height, 1);
  EXPECT_EQ(ExtentOf(conv.attributes, "kernel").width, 5);
  const std::string parameters =
      "canopy: 1\nname: s\nblocks:\n  strip:\n    parameters: [high, wide]\n    defaults: {wide: high}\n"
      "    body: [{conv2d: {out_channels: 4, kernel: [high, wide]}}]\nnetwork:\n"
      "- use: {block: strip, with: {high: 5, wide: 1}}\n- use: {block: strip, with: {high: 3}}\n"
      "- global_avg_pool\n- linear: {features: classes}\n";
  const Evaluation evaluation = EvaluationOf(parameters);
  EXPECT_EQ(ExtentOf(evaluation.graph.nodes[1].attributes, "kernel").height, 5);
  EXPECT_EQ(IntegerOf(evaluation.graph.nodes[2].attributes, "kernel"), 3);
}

TEST(PerAxisTest, EqualSizesAreTheOneValue) {
  const Evaluation pair = EvaluationOf(WithConv("kernel: [3, 3]"));
  EXPECT_EQ(pair.graph.nodes[1].attributes.text(),
            "bias=true dilation=1 groups=1 kernel=3 out_channels=4 padding=1 stride=1");
  EXPECT_EQ(pair.graph_hash, EvaluationOf(WithConv("kernel: 3, padding: [1, 1]")).graph_hash);
  EXPECT_NE(EvaluationOf(WithConv("kernel: [1, 3]")).graph_hash,
            EvaluationOf(WithConv("kernel: [3, 1]")).graph_hash);
  // (3 - 1) / 2 and (4 - 1) / 2
  EXPECT_EQ(IntegerOf(ConvOf(WithConv("kernel: [3, 4]")).attributes, "padding"), 1);
}

TEST(PerAxisTest, GraphsHavePairsAsLists) {
  const NetworkGraph graph = EvaluationOf(WithConv("kernel: [1, 7]")).graph;
  const std::string json = graph.ToJson();
  EXPECT_THAT(json, HasSubstr(R"({"bias":true,"dilation":1,"groups":1,"kernel":[1,7],"out_channels":4,)"
                              R"("padding":[0,3],"stride":1})"));
  const auto read = NetworkGraph::FromJson(json);
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(*read, graph);
  EXPECT_EQ(read->ToJson(), json);
}

TEST(PerAxisTest, OtherListsInGraphsAreRefused) {
  const auto error = [](const std::string& attributes) {
    return Message(NetworkGraph::FromJson(R"({"nodes":[{"attributes":{},"inputs":[],"op":"input","shape":)"
                                          R"([1,4,4]},{"attributes":{)" +
                                          attributes +
                                          R"(},"inputs":[0],"op":"conv2d","shape":[1,4,4]}],)"
                                          R"("output":1})")
                       .status());
  };
  EXPECT_THAT(error(R"("kernel":[1,7,1],"out_channels":1)"), HasSubstr("number, word or pair for 'kernel'"));
  EXPECT_THAT(error(R"("kernel":[1,0.5],"out_channels":1)"), HasSubstr("number, word or pair for 'kernel'"));
  EXPECT_THAT(error(R"("kernel":[1,0],"out_channels":1)"),
              HasSubstr("expected an integer from 1 to 2147483647 for 'kernel_width', found 0"));
  EXPECT_THAT(error(R"("kernel":3,"out_channels":1,"stride":[1,2])"), HasSubstr("found 'stride_height'"));
  EXPECT_THAT(error(R"("kernel":3,"kernel_width":1,"out_channels":1)"),
              HasSubstr("expected 'kernel' or both of 'kernel_height' and 'kernel_width'"));
}

TEST(PerAxisTest, WhatIsNoPairIsRefusedAtItsPlace) {
  EXPECT_EQ(ErrorOf("kernel: [1, 3, 5]"),
            "s.yaml:4:37: network[0].conv2d.kernel: expected a value, or [height, width], found [1, 3, 5]");
  EXPECT_THAT(ErrorOf("kernel: [1, 0]"), HasSubstr("s.yaml:4:41: network[0].conv2d.kernel[1]: expected an "
                                                   "integer from 1 to 2147483647 for 'kernel_width'"));
  EXPECT_THAT(ErrorOf("kernel: 3, stride: [1, 2]"), HasSubstr("expected a value, an expression"));
  EXPECT_THAT(ErrorOf("kernel_height: 3, kernel_width: 3"), HasSubstr("found 'kernel_height'"));
}

TEST(PerAxisTest, AWindowLargerThanTheImageIsRefusedByAxis) {
  const auto space = Parse(WithConv("kernel: [3, 21], padding: 0"));
  ASSERT_TRUE(space.ok()) << space.status();
  EXPECT_THAT(Message(space->Lower(Candidate(), kImages).status()),
              HasSubstr("expected a window of at most 20, the padded input {3, 12, 20}, found 21"));
}

TEST(PerAxisTest, AWindowThatWouldLieInThePaddingAloneIsRefused) {
  const auto message = [](const std::string& attributes) {
    return Message(Parse(WithConv(attributes))->Lower(Candidate(), kImages).status());
  };
  EXPECT_EQ(message("kernel: [1, 7], padding: [0, 6]"), "");
  EXPECT_THAT(message("kernel: [1, 7], padding: [1, 6]"),
              HasSubstr("expected a padding below the 1 that a window spans, found 1"));
  EXPECT_EQ(message("kernel: 2, dilation: 3, padding: 3"), "");
  EXPECT_THAT(message("kernel: 2, dilation: 3, padding: 4"),
              HasSubstr("expected a padding below the 4 that a window spans, found 4"));
}

TEST(PerAxisTest, EncodingsSeeTheWindowsSize) {
  const NetworkGraph graph = EvaluationOf(WithConv("kernel: [1, 9]")).graph;
  const auto code = EncodeAdjacency(graph, 8);
  ASSERT_TRUE(code.ok()) << code.status();
  const auto columns = AdjacencyColumns(8);
  const auto column = std::find(columns.begin(), columns.end(), "node_1_kernel") - columns.begin();
  EXPECT_EQ((*code)[static_cast<size_t>(column)], 3);
}

}  // namespace
}  // namespace canopy::search_space
