// The shortcut that a residual has where the file gives none.

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "search_spaces/cost.h"
#include "search_spaces/ops/operator.h"
#include "search_spaces/space.h"

namespace canopy::search_space {
namespace {

using ::testing::ElementsAre;

// The only candidate's network with that body, for an input of that shape.
StatusOr<NetworkGraph> Lower(const std::string& body, const std::vector<int64_t>& input) {
  const auto space =
      SearchSpace::Parse("canopy: 1\nname: s\nnetwork: {residual: {body: " + body + "}}\n", "s.yaml");
  EXPECT_TRUE(space.ok()) << space.status();
  return space->Lower(Candidate(), {input, 10});
}

std::string ErrorOf(const std::string& body, const std::vector<int64_t>& input) {
  return Message(Lower(body, input).status());
}

// The nodes behind the body, "op:shape".
std::vector<std::string> Shortcut(const std::string& body, const std::vector<int64_t>& input) {
  const auto graph = Lower(body, input);
  EXPECT_TRUE(graph.ok()) << graph.status();
  std::vector<std::string> nodes;
  if (!graph.ok()) return nodes;
  for (size_t i = 2; i < graph->nodes.size(); ++i)
    nodes.push_back(std::string(graph->nodes[i].op.name()) + ":" + ShapeText(graph->nodes[i].shape));
  return nodes;
}

TEST(ResidualTest, KeepsTheInputWhereTheShapesAreEqual) {
  EXPECT_THAT(Shortcut("{linear: {features: 6}}", {4, 6}), ElementsAre("add:{4, 6}"));
  EXPECT_THAT(Shortcut("relu", {3, 8, 8}), ElementsAre("add:{3, 8, 8}"));
}

TEST(ResidualTest, ProjectsImagesWithAStridedConvolution) {
  EXPECT_THAT(Shortcut("{conv2d: {out_channels: 5, kernel: 3, stride: 2}}", {3, 7, 8}),
              ElementsAre("conv2d:{5, 4, 4}", "batch_norm:{5, 4, 4}", "add:{5, 4, 4}"));
}

TEST(ResidualTest, ProjectsFeaturesOfTokensAndVectorsWithALinearLayer) {
  EXPECT_THAT(Shortcut("{linear: {features: 9}}", {4, 6}), ElementsAre("linear:{4, 9}", "add:{4, 9}"));
  EXPECT_THAT(Shortcut("{linear: {features: 2}}", {6}), ElementsAre("linear:{2}", "add:{2}"));
  // Body with its bias, and a shortcut without one.
  const auto graph = Lower("{linear: {features: 9}}", {4, 6});
  EXPECT_EQ(ComputeCosts(*graph)->params, 6 * 9 + 9 + 6 * 9);
}

TEST(ResidualTest, WhatNoProjectionGivesIsRefused) {
  EXPECT_EQ(ErrorOf("class_token", {4, 6}),
            "s.yaml:3:10: network: expected a body whose shape a linear layer gives, found {4, 6} to {5, 6}: "
            "write a `shortcut`");
  EXPECT_EQ(ErrorOf("global_avg_pool", {4, 6}),
            "s.yaml:3:10: network: expected a body whose shape a linear layer gives, found {4, 6} to {6}: "
            "write a `shortcut`");
  EXPECT_EQ(ErrorOf("upsample", {3, 8, 8}),
            "s.yaml:3:10: network: expected a body whose shape a strided 1x1 convolution gives, found {3, 8, "
            "8} to {3, 16, 16}: write a `shortcut`");
  EXPECT_EQ(ErrorOf("flatten", {3, 8, 8}),
            "s.yaml:3:10: network: expected a body whose shape a strided 1x1 convolution gives, found {3, 8, "
            "8} to {192}: write a `shortcut`");
}

}  // namespace
}  // namespace canopy::search_space
