#include "search_spaces/training_memory.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "search_spaces/cost.h"
#include "search_spaces/evaluation.h"
#include "search_spaces/space.h"
#include "search_spaces/testing/parse_space.h"

namespace canopy::search_space {
namespace {

using ::testing::HasSubstr;

// 4 features, 8 hidden ones with a ReLU, 3 classes.
constexpr char kPerceptron[] = R"(canopy: 1
name: perceptron
input: {shape: [4], classes: 3}
network:
  - linear: {features: 8}
  - relu
  - linear: {features: classes}
)";

NetworkGraph Perceptron() {
  const SearchSpace space = ParseSpace(kPerceptron);
  return *space.Lower(Candidate(), *space.default_task());
}

TEST(TrainingMemoryTest, IsTheWorstMomentOfAStep) {
  constexpr int64_t kBatch = 10, kParams = 4 * 8 + 8 + 8 * 3 + 3;
  // Behind the ReLU, backwards: the first layer has kept the batch, the ReLU its output, and there are the
  // logits and their gradient and the gradients on both sides of the ReLU.
  const int64_t values = 4 + 8 + 3 + 3 + 8 + 8;
  const TrainingSetup setup{.batch_size = kBatch};
  EXPECT_EQ(*TrainingMemory(Perceptron(), setup), 4 * (3 * kParams + kBatch * values));
}

TEST(TrainingMemoryTest, ParametersDominateASmallBatch) {
  // Then the worst moment is that of the first layer's gradient, before it is where all gradients are: beside
  // it there are the batch, the gradient of the hidden features, and the logits and theirs.
  constexpr int64_t kFirst = 4 * 8 + 8, kParams = kFirst + 8 * 3 + 3;
  EXPECT_EQ(*TrainingMemory(Perceptron(), {.batch_size = 1}), 4 * (3 * kParams + kFirst + 4 + 8 + 3 + 3));
}

TEST(TrainingMemoryTest, DependsOnOptimizerAndNumberType) {
  constexpr int64_t kParams = 67;
  const int64_t sgd = *TrainingMemory(Perceptron(), {});
  EXPECT_EQ(*TrainingMemory(Perceptron(), {.adamw = true}) - sgd, 4 * kParams);
  // The layer that makes the logits computes in fp32: it has a copy of its input, and another of its
  // gradient.
  const int64_t values = 2 * (4 + 8 + 3 + 3 + 8) + 4 * (8 + 8);
  EXPECT_EQ(*TrainingMemory(Perceptron(), {.batch_size = 128, .type = NumberType::kBf16}),
            14 * kParams + 4 * (8 * 3 + 3) + 128 * values);
}

TEST(TrainingMemoryTest, ReluAndSumTakeNormsAlong) {
  const auto memory = [](const std::string& blocks) {
    const SearchSpace space =
        ParseSpace("canopy: 1\nname: s\ninput: {shape: [8, 16, 16], classes: 8}\nnetwork:\n" + blocks +
                   "  - global_avg_pool\n");
    return *TrainingMemory(*space.Lower(Candidate(), *space.default_task()), {.batch_size = 100});
  };
  const std::string conv = "  - conv2d: {out_channels: 8, kernel: 3, bias: false}\n";
  const int64_t image = 4 * 100 * 8 * 16 * 16;
  // A ReLU behind a batch norm is free, one behind a convolution is a value and a gradient more.
  EXPECT_EQ(memory(conv + "  - batch_norm\n  - relu\n" + conv), memory(conv + "  - batch_norm\n" + conv));
  EXPECT_EQ(memory(conv + "  - relu\n" + conv), memory(conv + conv));
  EXPECT_EQ(memory(conv + "  - silu\n" + conv), memory(conv + conv) + image);
}

TEST(TrainingMemoryTest, WhatLeaves64BitsIsRefused) {
  EXPECT_THAT(Message(TrainingMemory(Perceptron(), {.batch_size = int64_t{1} << 60}).status()),
              HasSubstr("expected a network whose memory in training fits in 64 bits"));
}

TEST(TrainingMemoryTest, TheCandidatesRecipeDecidesFirst) {
  const SearchSpace space = ParseSpace(std::string(kPerceptron) +
                                       "recipe: {batch_size: {choice: [10, 1000]}, optimizer: {choice: [sgd, "
                                       "adamw]}}\nconstraints: [training_memory < 10000]\n");
  const auto evaluate = [&](const std::string& json) {
    return *Evaluate(space, *space.ParseCandidate(json), *space.default_task(), {.batch_size = 500});
  };
  const Evaluation small = evaluate(R"({"batch_size":10,"optimizer":"adamw"})");
  EXPECT_EQ(small.costs.training_memory, *TrainingMemory(small.graph, {.batch_size = 10, .adamw = true}));
  EXPECT_TRUE(small.violations.empty());
  const Evaluation large = evaluate(R"({"batch_size":1000,"optimizer":"sgd"})");
  ASSERT_EQ(large.violations.size(), 1u);
  EXPECT_EQ(large.violations[0].amount, large.costs.training_memory - 9999);
  // It is no part of what identifies a network.
  EXPECT_EQ(small.graph_hash, large.graph_hash);
  const SearchSpace open = ParseSpace(kPerceptron);
  EXPECT_EQ(Evaluate(open, Candidate(), *open.default_task(), {.batch_size = 500})->costs.training_memory,
            *TrainingMemory(small.graph, {.batch_size = 500}));
}

TEST(VerdictTest, SaysWhatIsInTheWay) {
  const SearchSpace space = ParseSpace(
      "canopy: 1\nname: s\ninput: {shape: [4], classes: 3}\nnetwork:\n"
      "  - linear: {features: {name: f, choice: [3, 4]}}\n"
      "  - one_of: {name: op, choices: [relu, zero]}\n"
      "constraints: [params < 20]\n");
  const Constraint limit = *Constraint::Parse("macs < 12", space);
  const auto judge = [&](const std::string& json, const std::vector<Constraint>& constraints) {
    const Candidate candidate = *space.ParseCandidate(json);
    return *JudgeTrainable(Evaluate(space, candidate, *space.default_task()), candidate, constraints);
  };
  using Kind = Verdict::Kind;
  EXPECT_EQ(judge(R"({"f":3,"op":"relu"})", {}).kind, Kind::kTrainable);
  EXPECT_EQ(judge(R"({"f":4,"op":"relu"})", {}).kind, Kind::kNotBuilt);
  EXPECT_EQ(judge(R"({"f":3,"op":"zero"})", {}).kind, Kind::kNoInput);
  const Verdict broken = judge(R"({"f":3,"op":"relu"})", {limit});
  EXPECT_EQ(broken.kind, Kind::kBreaksConstraint);
  ASSERT_EQ(broken.violations.size(), 1u);
  EXPECT_EQ(broken.violations[0].constraint, "macs < 12");
}

}  // namespace
}  // namespace canopy::search_space
