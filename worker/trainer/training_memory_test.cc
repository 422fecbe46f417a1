// What TrainingMemory predicts is what LibTorch allocates in a training step.

#include "search_spaces/training_memory.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "base/random.h"
#include "search_spaces/catalog/catalog.h"
#include "search_spaces/evaluation.h"
#include "worker/trainer/testing/graphs.h"
#include "worker/trainer/testing/memory.h"
#include "worker/trainer/testing/small_task.h"
#include "worker/trainer/training.h"

namespace canopy::trainer {
namespace {

using search_space::Evaluation;
using search_space::NetworkGraph;
using search_space::NumberType;
using search_space::SearchSpace;
using search_space::TaskShape;
using search_space::TrainingSetup;

constexpr double kTolerance = 0.15;
// At the first of these batch sizes parameters dominate, at the second activations.
constexpr int64_t kBatchSizes[] = {2, 32};
// Images are made this small, and candidates with more parameters are left out: to be fast.
constexpr int64_t kImageSize = 16, kMostParams = 20'000'000;

// The largest sum of tensors alive during a step; a step and an inference came before it, as in training.
int64_t MeasuredPeak(const NetworkGraph& graph, const TrainingSetup& setup) {
  const c10::InferenceMode no_autograd;
  AllocatorMeter meter;
  const auto type = setup.type == NumberType::kBf16 ? at::kBFloat16 : at::kFloat;
  auto network = *GraphModule::Build(graph, type, 1);
  trainer_protocol::Recipe recipe;
  if (setup.adamw) recipe.optimizer = trainer_protocol::Optimizer::kAdamw;
  const auto optimizer = MakeOptimizer(recipe, network->store());
  const auto& input = graph.nodes[0].shape;
  std::vector<int64_t> sizes = {setup.batch_size};
  sizes.insert(sizes.end(), input.begin(), input.end());
  const bool tokens = std::any_of(graph.nodes.begin(), graph.nodes.end(),
                                  [](const auto& node) { return node.op->reads_tokens(); });
  const std::vector<uint8_t> labels(static_cast<size_t>(setup.batch_size));
  Rng noise(1);
  network->PrepareInference();
  for (int step = 0; step < 2; ++step) {
    // The trainer's batch is there before the step is.
    at::Tensor batch = tokens ? at::zeros(sizes, at::kLong) : Dense(at::randn(sizes)).to(type);
    meter.ResetPeak();
    TrainBatch(*network, *optimizer, std::exchange(batch, at::Tensor()), labels, 0, 0.01, noise);
  }
  return meter.peak();
}

void ExpectPredicted(const NetworkGraph& graph, const TrainingSetup& setup) {
  SCOPED_TRACE("batch " + std::to_string(setup.batch_size));
  const auto predicted = static_cast<double>(*search_space::TrainingMemory(graph, setup));
  const auto measured = static_cast<double>(MeasuredPeak(graph, setup));
  // The rule is LibTorch 1.13's; for bf16 2.6 takes a quarter less in small networks.
  const bool thrifty = setup.type == NumberType::kBf16 && TORCH_VERSION_MAJOR >= 2;
  EXPECT_LT(predicted, measured * (1 + (thrifty ? 0.3 : kTolerance)));
  EXPECT_GT(predicted, measured * (1 - kTolerance));
}

void ExpectPredictedAtBothBatchSizes(const NetworkGraph& graph, TrainingSetup setup = {}) {
  for (const int64_t batch_size : kBatchSizes) {
    setup.batch_size = batch_size;
    ExpectPredicted(graph, setup);
  }
}

class CatalogMemoryTest : public ::testing::TestWithParam<std::string> {};

TEST_P(CatalogMemoryTest, IsPredicted) {
  const auto space = SearchSpace::Parse(*search_space::CatalogSpace(GetParam()), GetParam());
  ASSERT_TRUE(space.ok()) << space.status();
  const TaskShape task = SmallTask(*space, kImageSize);
  Rng rng(3);
  int candidates = 0;
  for (int draws = 0; candidates < 2 && draws < 1000; ++draws) {
    const auto candidate = space->Sample(rng);
    const auto evaluation = search_space::Evaluate(*space, candidate, task);
    if (!evaluation.ok() || !evaluation->depends_on_input || evaluation->costs.params > kMostParams) continue;
    ++candidates;
    SCOPED_TRACE(candidate.ToJson());
    ExpectPredictedAtBothBatchSizes(evaluation->graph, {.adamw = candidates == 2});
  }
  EXPECT_GT(candidates, 0);
}

INSTANTIATE_TEST_SUITE_P(Catalog, CatalogMemoryTest, ::testing::ValuesIn(search_space::CatalogNames()),
                         [](const auto& info) { return info.param; });

TEST(TrainerMemoryTest, OfTokensIsPredicted) {
  const auto space = SearchSpace::Parse(R"(canopy: 1
name: text
input: {shape: [32], classes: 10}
network:
  - embedding: {vocabulary: 1000, features: 64}
  - positional_encoding
  - repeat:
      count: 3
      body:
        - residual:
            body: [layer_norm, {attention: {heads: {choice: [2, 4]}, causal: {choice: [false, true]}}}]
        - residual: {body: [layer_norm, {mlp: {ratio: {choice: [2.0, 4.0]}}}, {dropout: {rate: 0.1}}]}
  - layer_norm
  - global_avg_pool
  - linear: {features: classes}
)",
                                        "text");
  ASSERT_TRUE(space.ok()) << space.status();
  Rng rng(3);
  for (int i = 0; i < 3; ++i) {
    const auto candidate = space->Sample(rng);
    SCOPED_TRACE(candidate.ToJson());
    ExpectPredictedAtBothBatchSizes(search_space::Evaluate(*space, candidate, *space->default_task())->graph);
  }
}

// Small networks of which one kind of operator takes the most.
struct OperatorNetwork {
  std::string name, blocks;
};
const OperatorNetwork kOperatorNetworks[] = {
    {"strips",
     "  - repeat:\n      count: 3\n      body:\n"
     "        - conv2d: {out_channels: 32, kernel: [1, 7], bias: false}\n"
     "        - conv2d: {out_channels: 32, kernel: [7, 1], bias: false}\n        - batch_norm\n        - "
     "relu\n"},
    {"split_channels",
     "  - repeat:\n      count: 4\n      body:\n        - branches:\n            merge: concat\n"
     "            bodies:\n              - first_channels: {channels: in_channels // 2}\n"
     "              - - last_channels: {channels: in_channels // 2}\n                - relu\n"
     "        - channel_shuffle: {groups: 2}\n"},
    {"scaled_branches",
     "  - repeat:\n      count: 3\n      body:\n        residual: {body: [gelu, layer_scale]}\n"},
    {"windows",
     "  - repeat:\n      count: 2\n      body:\n"
     "        - residual: {body: [layer_norm, {window_attention: {heads: 4, window: 4}}]}\n"
     "        - residual: {body: [layer_norm, {window_attention: {heads: 4, window: 4, shift: 2}}]}\n"},
    {"squares", "  - space_to_depth\n  - relu\n  - space_to_depth\n  - relu\n"},
    {"mixed_tokens",
     "  - patch_embedding: {features: 48, patch: 2}\n  - repeat:\n      count: 3\n      body:\n"
     "        - residual: {body: [layer_norm, transpose_tokens, {mlp: {ratio: 2}}, transpose_tokens]}\n"},
};

class OperatorMemoryTest : public ::testing::TestWithParam<OperatorNetwork> {};

TEST_P(OperatorMemoryTest, IsPredicted) {
  const auto space = SearchSpace::Parse(
      "canopy: 1\nname: s\ninput: {shape: [3, 16, 16], classes: 10}\nnetwork:\n"
      "  - conv2d: {out_channels: 32, kernel: 3}\n" +
          GetParam().blocks + "  - global_avg_pool\n  - linear: {features: classes}\n",
      GetParam().name);
  ASSERT_TRUE(space.ok()) << space.status();
  const auto evaluation = search_space::Evaluate(*space, search_space::Candidate(), *space->default_task());
  ASSERT_TRUE(evaluation.ok()) << evaluation.status();
  ExpectPredictedAtBothBatchSizes(evaluation->graph);
  ExpectPredictedAtBothBatchSizes(evaluation->graph, {.type = NumberType::kBf16});
}

INSTANTIATE_TEST_SUITE_P(Operators, OperatorMemoryTest, ::testing::ValuesIn(kOperatorNetworks),
                         [](const auto& info) { return info.param.name; });

TEST(TrainerMemoryTest, OfATransformerOfImagesIsPredicted) {
  ExpectPredictedAtBothBatchSizes(SmallTransformer(3, 16, 10));
}

TEST(TrainerMemoryTest, InBf16IsPredicted) {
  ExpectPredictedAtBothBatchSizes(SmallNetwork(3, 32, 10), {.type = NumberType::kBf16});
  ExpectPredictedAtBothBatchSizes(SmallTransformer(3, 16, 10), {.type = NumberType::kBf16});
}

}  // namespace
}  // namespace canopy::trainer
