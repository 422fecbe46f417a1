#include "controller/core/space_mapping.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "controller/core/proposer.h"
#include "search_spaces/testing/parse_space.h"

namespace canopy::controller {
namespace {

using search_space::SearchSpace;
using ::testing::HasSubstr;

constexpr char kSpace[] = R"(canopy: 1
name: tiny
input: {shape: [1, 8, 8], classes: 10}
network:
  - conv2d: {out_channels: {name: width, ordinal: [4, 8, 16]}, kernel: {name: kernel, choice: [1, 3]}}
  - relu
  - global_avg_pool
  - linear: {features: classes}
recipe:
  learning_rate: {choice: [0.1, 0.2]}
)";

std::string With(std::string text, const std::string& from, const std::string& to) {
  return text.replace(text.find(from), from.size(), to);
}

class SpaceMappingTest : public ::testing::Test {
 protected:
  SpaceMappingTest() {
    settings_.task.input_shape = {1, 8, 8};
    settings_.task.classes = 10;
  }

  // What becomes of width 8, kernel 3 in the space `text`.
  std::string Why(const std::string& text, const std::string& constraint = "") {
    const SearchSpace old_space = search_space::ParseSpace(kSpace), space = search_space::ParseSpace(text);
    const auto candidate = old_space.ParseCandidate(R"({"width":8,"kernel":3,"learning_rate":0.1})");
    EXPECT_TRUE(candidate.ok()) << candidate.status();
    std::vector<search_space::Constraint> constraints;
    if (!constraint.empty()) constraints.push_back(*search_space::Constraint::Parse(constraint, space));
    return SpaceMapping(space, constraints, settings_)
        .WhySetAside(*LowerCandidate(old_space, *candidate, settings_.task));
  }

  model::CampaignSettings settings_;
};

TEST_F(SpaceMappingTest, WhatOnlyWidensCarriesEveryCandidateOver) {
  EXPECT_EQ(Why(kSpace), "");
  EXPECT_EQ(Why(With(kSpace, "[4, 8, 16]", "[4, 8, 16, 32]")), "");
  EXPECT_EQ(Why(With(kSpace, "{name: width, ordinal: [4, 8, 16]}", "{name: width, int: [1, 64]}")), "");
  EXPECT_EQ(Why(With(kSpace, "name: tiny", "name: other  # a comment")), "");
}

TEST_F(SpaceMappingTest, ARemovedValueIsNamedWithThoseThatAreLeft) {
  EXPECT_THAT(Why(With(kSpace, "[4, 8, 16]", "[4, 16]")), HasSubstr("width"));
  EXPECT_THAT(Why(With(kSpace, "[4, 8, 16]", "[4, 16]")), HasSubstr("4, 16"));
}

TEST_F(SpaceMappingTest, TheSameNamesForAnotherNetworkDoNotMap) {
  EXPECT_EQ(Why(With(kSpace, "- relu", "- silu")), "its decisions now make another network");
  EXPECT_EQ(Why(With(kSpace, "- relu", "- relu\n  - conv2d: {out_channels: 4, kernel: 1}")),
            "its decisions now make another network");
}

TEST_F(SpaceMappingTest, DecisionsThatWereRenamedRemovedOrAddedDoNotMap) {
  EXPECT_THAT(Why(With(kSpace, "name: kernel", "name: kernel_size")), HasSubstr("kernel"));
  EXPECT_THAT(Why(With(kSpace, "{name: kernel, choice: [1, 3]}", "3")), HasSubstr("kernel"));
  const std::string added =
      With(kSpace, "learning_rate:", "momentum: {choice: [0.8, 0.9]}\n  learning_rate:");
  EXPECT_THAT(Why(added), HasSubstr("momentum"));
}

TEST_F(SpaceMappingTest, AnAddedDecisionThatIsInactiveForACandidateLeavesItAsItWas) {
  const std::string added =
      With(kSpace, "learning_rate:", "momentum: {choice: [0.8, 0.9], when: width > 8}\n  learning_rate:");
  EXPECT_EQ(Why(added), "");
}

TEST_F(SpaceMappingTest, BrokenConstraintsOfSpaceAndCampaignSetAside) {
  EXPECT_EQ(Why(std::string(kSpace) + "constraints: [\"width != 8\"]\n"), "breaks 'width != 8'");
  EXPECT_EQ(Why(kSpace, "params < 100"), "breaks 'params < 100'");
  EXPECT_EQ(Why(kSpace, "params < 1000"), "");
}

}  // namespace
}  // namespace canopy::controller
