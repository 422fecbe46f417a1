#include "worker/trainer/graph_module.h"

#include <gtest/gtest.h>

#include "search_spaces/cost.h"
#include "worker/trainer/testing/graphs.h"

namespace canopy::trainer {
namespace {

std::unique_ptr<GraphModule> Build(const search_space::NetworkGraph& graph,
                                   at::ScalarType type = at::kFloat) {
  auto network = GraphModule::Build(graph, type, 11);
  EXPECT_TRUE(network.ok()) << network.status();
  return *std::move(network);
}

at::Tensor Images(int64_t count, at::ScalarType type = at::kFloat) {
  at::manual_seed(5);
  at::Tensor images = EmptyImages(count, 3, 8, 8, at::kFloat);
  images.normal_();
  return images.to(type);
}

// The same network in plain LibTorch calls, with autograd.
at::Tensor Reference(const at::Tensor& x, const std::vector<at::Tensor>& p) {
  const auto conv = [](const at::Tensor& input, const at::Tensor& weight) {
    return at::convolution(input, weight, {}, {1, 1}, {1, 1}, {1, 1}, false, {0, 0}, 1);
  };
  const auto norm = [](const at::Tensor& input, const at::Tensor& weight, const at::Tensor& bias) {
    return std::get<0>(
        at::native_batch_norm(input, OptionalTensor(weight), OptionalTensor(bias), {}, {}, true, 0.1, 1e-5));
  };
  const at::Tensor stem = at::relu(norm(conv(x, p[0]), p[1], p[2]));
  const at::Tensor sum = at::relu(stem + norm(conv(stem, p[3]), p[4], p[5]));
  return at::linear(sum.mean({2, 3}), p[6], OptionalTensor(p[7]));
}

TEST(GraphModule, ForwardAndGradientsAgreeWithAutograd) {
  auto network = Build(SmallNetwork(3, 8, 4));
  const at::Tensor images = Images(6);
  std::vector<at::Tensor> parameters;
  for (const Parameter& parameter : network->store().parameters())
    parameters.push_back(parameter.value.clone().contiguous().requires_grad_());
  const at::Tensor expected = Reference(images, parameters);
  const at::Tensor gradient = at::randn(expected.sizes());
  expected.backward(gradient);

  Rng noise(1);
  EXPECT_TRUE(at::allclose(network->ForwardTraining(images, noise), expected, 1e-4, 1e-5));
  network->Backward(gradient);
  for (size_t i = 0; i < parameters.size(); ++i)
    EXPECT_TRUE(at::allclose(network->store().parameters()[i].gradient, parameters[i].grad(), 1e-3, 1e-4))
        << network->store().parameters()[i].name;
}

TEST(GraphModule, Bf16NetworksGiveFp32Logits) {
  auto network = Build(SmallNetwork(3, 8, 4), at::kBFloat16);
  const at::Tensor images = Images(6, at::kBFloat16);
  Rng noise(1);
  const at::Tensor logits = network->ForwardTraining(images, noise);
  ASSERT_EQ(logits.scalar_type(), at::kFloat);
  EXPECT_FALSE(logits.equal(logits.to(at::kBFloat16).to(at::kFloat))) << "they were rounded on the way";
  network->Backward(at::randn(logits.sizes()));
  for (const Parameter& parameter : network->store().parameters())
    EXPECT_GT(parameter.gradient.abs().sum().item<float>(), 0) << parameter.name;
  network->PrepareInference();
  EXPECT_EQ(network->ForwardInference(images).scalar_type(), at::kFloat);
}

TEST(GraphModule, HasTheParametersThatTheGraphCounts) {
  for (const auto& graph : {SmallNetwork(3, 8, 4), SmallTransformer(3, 8, 4)})
    EXPECT_EQ(Build(graph)->store().count(), search_space::ComputeCosts(graph)->params);
}

// A convolution whose batch norm is not its only reader must stay as it is.
TEST(GraphModule, FoldedInferenceEqualsRunningStatisticsOneByOne) {
  GraphBuilder builder({3, 8, 8});
  const int shared = builder.Conv(4, 3);
  builder.Add("batch_norm");
  const int left = builder.Add("relu");
  builder.Conv(4, 1, 1, {shared});
  const int right = builder.Add("batch_norm");
  builder.Add("add", {}, {left, right, shared});
  builder.Add("global_avg_pool");
  builder.Linear(4);
  auto network = Build(builder.graph());
  at::manual_seed(3);
  network->store().values().normal_();
  for (Buffer& buffer : network->store().buffers()) buffer.value.uniform_(0.5, 2);
  const auto& p = network->store().parameters();
  const auto& b = network->store().buffers();
  const auto norm = [](const at::Tensor& x, const Parameter& weight, const Parameter& bias,
                       const Buffer& mean, const Buffer& variance) {
    const auto channels = [](const at::Tensor& t) { return t.view({1, -1, 1, 1}); };
    return (x - channels(mean.value)) / (channels(variance.value) + 1e-5).sqrt() * channels(weight.value) +
           channels(bias.value);
  };
  const auto conv = [](const at::Tensor& x, const Parameter& weight, int64_t padding) {
    return at::convolution(x, weight.value.contiguous(), {}, {1, 1}, {padding, padding}, {1, 1}, false,
                           {0, 0}, 1);
  };
  const at::Tensor images = Images(5);
  const at::Tensor first = conv(images, p[0], 1);
  const at::Tensor sum = at::relu(norm(first, p[1], p[2], b[0], b[1])) +
                         norm(conv(first, p[3], 0), p[4], p[5], b[2], b[3]) + first;
  const at::Tensor expected = at::linear(sum.mean({2, 3}), p[6].value, OptionalTensor(p[7].value));

  network->PrepareInference();
  EXPECT_TRUE(at::allclose(network->ForwardInference(images), expected, 1e-4, 1e-4));
}

TEST(GraphModule, TrainingAfterInferenceIsNotAffectedByFolding) {
  auto folded = Build(SmallNetwork(3, 8, 4));
  auto fresh = Build(SmallNetwork(3, 8, 4));
  folded->PrepareInference();
  folded->ForwardInference(Images(4));
  Rng noise(1);
  EXPECT_TRUE(at::equal(folded->ForwardTraining(Images(4), noise), fresh->ForwardTraining(Images(4), noise)));
}

TEST(GraphModule, Bf16StaysCloseToFp32) {
  auto exact = Build(SmallNetwork(3, 8, 4));
  auto rounded = Build(SmallNetwork(3, 8, 4), at::kBFloat16);
  Rng noise(1);
  const at::Tensor a = exact->ForwardTraining(Images(32), noise);
  const at::Tensor b = rounded->ForwardTraining(Images(32, at::kBFloat16), noise).to(at::kFloat);
  EXPECT_LT((a - b).abs().max().item<double>(), 0.05 * a.abs().max().item<double>());
  EXPECT_FALSE(at::equal(a, b));
  const at::Tensor gradient = at::randn({32, 4});
  exact->Backward(gradient);
  rounded->Backward(gradient);
  const at::Tensor difference = exact->store().gradients() - rounded->store().gradients();
  EXPECT_LT(difference.norm().item<double>(), 0.05 * exact->store().gradients().norm().item<double>());
}

// Steps along the gradient change the output by what the gradient says: what autograd gives of single
// operations and what is written by hand fit together.
TEST(GraphModule, AutogradOperationsPassGradientsOnToTheOthers) {
  const c10::InferenceMode no_autograd;
  auto network = Build(SmallTransformer(3, 8, 4));
  const at::Tensor images = Images(6);
  const at::Tensor weights = at::randn({6, 4});
  // The same noise each time: dropout and drop path draw the same masks.
  const auto loss = [&] {
    Rng noise(1);
    return (network->ForwardTraining(images, noise) * weights).sum().item<double>();
  };
  loss();
  network->Backward(weights);
  ParameterStore& store = network->store();
  for (const Parameter& parameter : store.parameters())
    EXPECT_GT(parameter.gradient.abs().sum().item<float>(), 0) << parameter.name;
  const at::Tensor gradient = store.gradients().clone();
  const at::Tensor start = store.values().clone();
  const double slope = gradient.norm().item<double>();
  const double step = 5e-3 / slope;
  store.values().copy_(start + gradient * step);
  const double ahead = loss();
  store.values().copy_(start - gradient * step);
  const double behind = loss();
  EXPECT_NEAR((ahead - behind) / (2 * step), slope * slope, 0.01 * slope * slope);

  store.values().copy_(start);
  loss();
  network->Backward(weights);
  EXPECT_TRUE(at::equal(store.gradients(), gradient)) << "another run gives other gradients";
}

TEST(GraphModule, ParametersDependOnTheSeedAlone) {
  EXPECT_TRUE(at::equal(Build(SmallNetwork(3, 8, 4))->store().values(),
                        Build(SmallNetwork(3, 8, 4))->store().values()));
  auto other = *GraphModule::Build(SmallNetwork(3, 8, 4), at::kFloat, 12);
  EXPECT_FALSE(at::equal(Build(SmallNetwork(3, 8, 4))->store().values(), other->store().values()));
}

TEST(GraphModule, ABranchThatNothingReadsGetsZeroGradients) {
  GraphBuilder builder({3, 8, 8});
  builder.Conv(4, 3);
  const int used = builder.Add("relu");
  builder.Conv(4, 3);  // nobody reads it
  builder.Add("global_avg_pool", {}, {used});
  builder.Linear(4);
  auto network = Build(builder.graph());
  network->store().gradients().fill_(7);
  Rng noise(1);
  network->ForwardTraining(Images(2), noise);
  network->Backward(at::ones({2, 4}));
  EXPECT_EQ(network->store().parameters()[1].gradient.abs().sum().item<double>(), 0);
  EXPECT_NE(network->store().parameters()[0].gradient.abs().sum().item<double>(), 0);
}

}  // namespace
}  // namespace canopy::trainer
