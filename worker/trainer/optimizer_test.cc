#include "worker/trainer/optimizer.h"

#include <gtest/gtest.h>

#include <cmath>

namespace canopy::trainer {
namespace {

using trainer_protocol::Recipe;

struct Example {
  Example() : store(at::kFloat) {
    store.Add("weight", {3}, /*decays=*/true, Constant(1));
    store.Add("bias", {2}, /*decays=*/false, Constant(1));
    store.Allocate(1);
  }
  void SetGradients(float value) {
    for (Parameter& parameter : store.parameters()) parameter.gradient.fill_(value);
  }
  double value(size_t index) { return store.parameters()[index].value[0].item<double>(); }
  ParameterStore store;
};

// torch.optim.SGD(lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.01), two steps by hand.
TEST(Optimizer, SgdTakesNesterovStepsWithDecayOnWeightsAlone) {
  Example example;
  const Recipe recipe{.momentum = 0.9, .weight_decay = 0.01};
  const auto optimizer = MakeOptimizer(recipe, example.store);
  double expected[2] = {1, 1};
  double velocity[2] = {0, 0};
  for (int step = 0; step < 2; ++step) {
    example.SetGradients(0.5F);
    optimizer->Step(0.1);
    for (int i = 0; i < 2; ++i) {
      const double gradient = 0.5 + (i == 0 ? 0.01 * expected[i] : 0);
      velocity[i] = 0.9 * velocity[i] + gradient;
      expected[i] -= 0.1 * (gradient + 0.9 * velocity[i]);
      EXPECT_NEAR(example.value(static_cast<size_t>(i)), expected[i], 1e-6);
    }
  }
}

TEST(Optimizer, AdamwDecaysApartFromTheGradient) {
  Example example;
  const Recipe recipe{.optimizer = trainer_protocol::Optimizer::kAdamw,
                      .momentum = 0.9,
                      .weight_decay = 0.1,
                      .decay_all = true};
  const auto optimizer = MakeOptimizer(recipe, example.store);
  double expected = 1;
  double first = 0;
  double second = 0;
  for (int step = 1; step <= 3; ++step) {
    example.SetGradients(0.5F);
    optimizer->Step(0.01);
    first = 0.9 * first + 0.1 * 0.5;
    second = 0.999 * second + 0.001 * 0.25;
    const double update =
        first / (1 - std::pow(0.9, step)) / (std::sqrt(second / (1 - std::pow(0.999, step))) + 1e-8);
    expected -= 0.01 * (update + 0.1 * expected);
    EXPECT_NEAR(example.value(0), expected, 1e-5);
    EXPECT_NEAR(example.value(1), expected, 1e-5);  // decay_all
  }
}

TEST(LearningRate, WarmsUpLinearlyAndFallsAsACosineToZero) {
  const Recipe recipe{.learning_rate = 2.0, .warmup_fraction = 0.1};
  EXPECT_DOUBLE_EQ(LearningRateAt(recipe, 0, 100), 0.2);
  EXPECT_DOUBLE_EQ(LearningRateAt(recipe, 9, 100), 2.0);
  EXPECT_DOUBLE_EQ(LearningRateAt(recipe, 10, 100), 2.0);
  EXPECT_NEAR(LearningRateAt(recipe, 55, 100), 1.0, 1e-12);
  EXPECT_LT(LearningRateAt(recipe, 99, 100), 0.01);
  EXPECT_GT(LearningRateAt(recipe, 99, 100), 0.0);
}

TEST(LearningRate, FallsAsTheScheduleSays) {
  const auto at = [](trainer_protocol::Schedule schedule, int64_t step) {
    return LearningRateAt({.learning_rate = 2.0, .warmup_fraction = 0.2, .schedule = schedule}, step, 100);
  };
  using trainer_protocol::Schedule;
  for (const Schedule schedule : {Schedule::kLinear, Schedule::kStep, Schedule::kConstant}) {
    EXPECT_DOUBLE_EQ(at(schedule, 9), 1.0);
    EXPECT_DOUBLE_EQ(at(schedule, 20), 2.0);
  }
  EXPECT_DOUBLE_EQ(at(Schedule::kLinear, 60), 1.0);
  EXPECT_DOUBLE_EQ(at(Schedule::kStep, 59), 2.0);
  EXPECT_DOUBLE_EQ(at(Schedule::kStep, 60), 0.2);
  EXPECT_DOUBLE_EQ(at(Schedule::kStep, 80), 0.02);
  EXPECT_DOUBLE_EQ(at(Schedule::kConstant, 99), 2.0);
}

}  // namespace
}  // namespace canopy::trainer
