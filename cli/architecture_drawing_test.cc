#include "cli/architecture_drawing.h"

#include <string>
#include <string_view>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "search_spaces/catalog/catalog.h"
#include "search_spaces/evaluation.h"
#include "search_spaces/space.h"

namespace canopy::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// Draws the only candidate of a space with that network, for 1x8x8 images.
std::vector<std::string> Draw(const std::string& network) {
  const auto space = search_space::SearchSpace::Parse(
      "canopy: 1\nname: s\ninput: {shape: [1, 8, 8], classes: 10}\nnetwork:\n" + network, "s.yaml");
  EXPECT_TRUE(space.ok()) << Message(space.status());
  const auto graph = space->Lower(search_space::Candidate(), *space->default_task());
  EXPECT_TRUE(graph.ok()) << Message(graph.status());
  const auto lines = DrawArchitecture(graph->ToJson());
  EXPECT_TRUE(lines.ok()) << Message(lines.status());
  return *lines;
}

TEST(ArchitectureDrawingTest, AConvolutionTakesWhatFollowsItIntoItsLine) {
  EXPECT_THAT(
      Draw("  - conv2d: {out_channels: 4, kernel: 3, stride: 2}\n  - batch_norm\n  - relu\n"
           "  - global_avg_pool\n  - linear: {features: classes}\n"),
      ElementsAre("   1  input                       1x8x8", "   2  conv 3x3 /2, 4 + bn + relu  4x4x4",
                  "   3  global avg pool                 4", "   4  linear, 10                     10"));
}

TEST(ArchitectureDrawingTest, ForksNameTheirInputs) {
  const auto lines = Draw(
      "  - conv2d: {out_channels: 4, kernel: 1}\n"
      "  - residual: {body: {conv2d: {out_channels: 4, kernel: 3, groups: 4}}}\n  - relu\n"
      "  - global_avg_pool\n  - linear: {features: classes}\n");
  EXPECT_THAT(lines.at(2), HasSubstr("depthwise conv 3x3, 4"));
  EXPECT_THAT(lines.at(3), HasSubstr("add + relu  of 3, 2"));
}

TEST(ArchitectureDrawingTest, WordsOfOperatorsAreDrawn) {
  const auto lines = Draw(
      "  - squeeze_excite: {squeeze: 2, gate: hard_sigmoid}\n"
      "  - patch_embedding: {features: 6, patch: 4}\n  - linear: {features: 5}\n"
      "  - mlp: {activation: silu}\n  - global_avg_pool\n  - linear: {features: classes}\n");
  EXPECT_THAT(lines.at(1), HasSubstr("squeeze excite, relu, hard sigmoid"));
  EXPECT_THAT(lines.at(3), HasSubstr("linear, 5"));
  EXPECT_THAT(lines.at(4), HasSubstr("mlp, silu"));
}

TEST(ArchitectureDrawingTest, WindowsAreHeightByWidth) {
  const auto lines = Draw("  - conv2d: {out_channels: 4, kernel: [1, 7]}\n  - max_pool: {kernel: 2}\n");
  EXPECT_THAT(lines.at(1), HasSubstr("conv 1x7, 4"));
  EXPECT_THAT(lines.at(2), HasSubstr("max pool 2x2 /2"));
}

TEST(ArchitectureDrawingTest, GroupsOfShufflesAndWindowsOfAttentionAreDrawn) {
  const auto lines = Draw(
      "  - conv2d: {out_channels: 4, kernel: 1}\n  - channel_shuffle: {groups: 2}\n"
      "  - window_attention: {heads: 2, window: 4}\n  - window_attention: {heads: 2, window: 4, shift: 2}\n");
  EXPECT_THAT(lines.at(2), HasSubstr("channel shuffle in 2 groups "));
  EXPECT_THAT(lines.at(3), HasSubstr("window attention 4x4 "));
  EXPECT_THAT(lines.at(4), HasSubstr("window attention 4x4 shifted 2 "));
}

TEST(ArchitectureDrawingTest, RepetitionsAreDrawnOnce) {
  const auto lines = Draw(
      "  - conv2d: {out_channels: 4, kernel: 3}\n  - relu\n"
      "  - repeat: {name: r, count: 5, body: [{conv2d: {out_channels: 4, kernel: 3}}, relu, "
      "{conv2d: {out_channels: 4, kernel: 1}}, tanh]}\n"
      "  - global_avg_pool\n  - linear: {features: classes}\n");
  ASSERT_EQ(lines.size(), 7u);
  EXPECT_THAT(lines[4], HasSubstr("... 4 more of these 2"));
  EXPECT_THAT(lines[5], HasSubstr("  13  global avg pool"));
}

TEST(ArchitectureDrawingTest, ANetworkOfFifteenCellsFitsAPage) {
  const auto space =
      search_space::SearchSpace::Parse(*search_space::CatalogSpace("nas_bench_201"), "nas_bench_201");
  ASSERT_TRUE(space.ok());
  const auto reference = Evaluate(*space, *space->reference(), *space->default_task());
  ASSERT_TRUE(reference.ok());
  const auto lines = DrawArchitecture(reference->graph.ToJson());
  ASSERT_TRUE(lines.ok());
  EXPECT_LT(lines->size(), 40u);
}

TEST(ArchitectureDrawingTest, WhatIsNoGraphIsRefused) { EXPECT_FALSE(DrawArchitecture("[]").ok()); }

}  // namespace
}  // namespace canopy::cli
