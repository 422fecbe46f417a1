// Every operator against LibTorch's own, forward and backward through autograd.

#include "worker/trainer/ops/operation.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <set>
#include <string>
#include <vector>

#include "worker/trainer/ops/batch_norm.h"
#include "worker/trainer/ops/registry.h"
#include "worker/trainer/testing/graphs.h"

namespace canopy::trainer {
namespace {

using Tensors = std::vector<at::Tensor>;
using Shape = std::vector<int64_t>;

struct Case {
  std::string name;  // of the test; the operator's name comes first
  std::string op;
  GraphBuilder::Attributes attributes;
  std::vector<Shape> inputs;  // per example
  // The reference from inputs and parameters (in the order they were added).
  std::function<at::Tensor(const Tensors& inputs, const Tensors& parameters)> reference;
};

at::Tensor BatchNormReference(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  return std::get<0>(
      at::native_batch_norm(x, OptionalTensor(weight), OptionalTensor(bias), {}, {}, true, 0.1, 1e-5));
}

std::vector<Case> Cases() {
  const Shape image = {6, 8, 8};
  const auto conv = [](int64_t stride, int64_t padding, int64_t dilation, int64_t groups) {
    return [=](const Tensors& x, const Tensors& p) {
      return at::convolution(x[0], p[0], OptionalTensor(p.size() > 1 ? p[1] : at::Tensor()), {stride, stride},
                             {padding, padding}, {dilation, dilation}, false, {0, 0}, groups);
    };
  };
  return {
      {"Conv3x3",
       "conv2d",
       {{"out_channels", int64_t{5}}, {"kernel", int64_t{3}}, {"bias", true}},
       {image},
       conv(1, 1, 1, 1)},
      {"ConvOneChannel",
       "conv2d",
       {{"out_channels", int64_t{4}}, {"kernel", int64_t{3}}, {"bias", false}},
       {{1, 8, 8}},
       conv(1, 1, 1, 1)},
      {"ConvPointwise",
       "conv2d",
       {{"out_channels", int64_t{4}}, {"kernel", int64_t{1}}, {"bias", false}},
       {image},
       conv(1, 0, 1, 1)},
      {"ConvStrided",
       "conv2d",
       {{"out_channels", int64_t{4}}, {"kernel", int64_t{3}}, {"stride", int64_t{2}}, {"bias", false}},
       {image},
       conv(2, 1, 1, 1)},
      {"ConvDilated",
       "conv2d",
       {{"out_channels", int64_t{4}}, {"kernel", int64_t{3}}, {"dilation", int64_t{2}}, {"bias", false}},
       {image},
       conv(1, 2, 2, 1)},
      {"ConvDepthwise",
       "conv2d",
       {{"out_channels", int64_t{6}}, {"kernel", int64_t{3}}, {"groups", int64_t{6}}, {"bias", false}},
       {image},
       conv(1, 1, 1, 6)},
      {"BatchNormImage",
       "batch_norm",
       {},
       {image},
       [](const Tensors& x, const Tensors& p) { return BatchNormReference(x[0], p[0], p[1]); }},
      {"BatchNormWide",
       "batch_norm",
       {},
       {{37, 4, 4}},
       [](const Tensors& x, const Tensors& p) { return BatchNormReference(x[0], p[0], p[1]); }},
      {"BatchNormOddRows",
       "batch_norm",
       {},
       {{24, 3, 5}},
       [](const Tensors& x, const Tensors& p) { return BatchNormReference(x[0], p[0], p[1]); }},
      {"BatchNormVector",
       "batch_norm",
       {},
       {{20}},
       [](const Tensors& x, const Tensors& p) { return BatchNormReference(x[0], p[0], p[1]); }},
      {"BatchNormWithoutAffine",
       "batch_norm",
       {{"affine", false}},
       {image},
       [](const Tensors& x, const Tensors&) { return BatchNormReference(x[0], {}, {}); }},
      {"Linear",
       "linear",
       {{"features", int64_t{7}}},
       {{11}},
       [](const Tensors& x, const Tensors& p) { return at::linear(x[0], p[0], OptionalTensor(p[1])); }},
      {"Relu", "relu", {}, {image}, [](const Tensors& x, const Tensors&) { return at::relu(x[0]); }},
      {"Relu6", "relu6", {}, {image}, [](const Tensors& x, const Tensors&) { return at::clamp(x[0], 0, 6); }},
      {"HardSwish",
       "hard_swish",
       {},
       {image},
       [](const Tensors& x, const Tensors&) { return x[0] * at::clamp(x[0] + 3, 0, 6) / 6; }},
      {"Silu",
       "silu",
       {},
       {image},
       [](const Tensors& x, const Tensors&) { return x[0] * at::sigmoid(x[0]); }},
      {"Gelu",
       "gelu",
       {},
       {image},
       [](const Tensors& x, const Tensors&) { return x[0] * 0.5 * (1 + at::erf(x[0] / std::sqrt(2.0))); }},
      {"Sigmoid",
       "sigmoid",
       {},
       {image},
       [](const Tensors& x, const Tensors&) { return 1 / (1 + at::exp(-x[0])); }},
      {"Tanh", "tanh", {}, {image}, [](const Tensors& x, const Tensors&) { return at::tanh(x[0]); }},
      {"MaxPool",
       "max_pool",
       {{"kernel", int64_t{3}}, {"stride", int64_t{2}}, {"padding", int64_t{1}}},
       {image},
       [](const Tensors& x, const Tensors&) {
         return at::max_pool2d(x[0], {3, 3}, {2, 2}, {1, 1});
       }},
      {"MaxPoolUncovered",  // the last row and column belong to no window
       "max_pool",
       {{"kernel", int64_t{2}}},
       {{26, 7, 7}},
       [](const Tensors& x, const Tensors&) {
         return at::max_pool2d(x[0], {2, 2}, {2, 2});
       }},
      {"MaxPoolLarge",
       "max_pool",
       {{"kernel", int64_t{17}}, {"stride", int64_t{4}}, {"padding", int64_t{8}}},
       {{3, 20, 20}},
       [](const Tensors& x, const Tensors&) {
         return at::max_pool2d(x[0], {17, 17}, {4, 4}, {8, 8});
       }},
      {"AvgPoolWithPadding",
       "avg_pool",
       {{"kernel", int64_t{3}}, {"stride", int64_t{2}}, {"padding", int64_t{1}}, {"count_include_pad", true}},
       {{25, 8, 8}},
       [](const Tensors& x, const Tensors&) {
         return at::avg_pool2d(x[0], {3, 3}, {2, 2}, {1, 1}, false, true);
       }},
      {"AvgPool",
       "avg_pool",
       {{"kernel", int64_t{3}},
        {"stride", int64_t{1}},
        {"padding", int64_t{1}},
        {"count_include_pad", false}},
       {image},
       [](const Tensors& x, const Tensors&) {
         return at::avg_pool2d(x[0], {3, 3}, {1, 1}, {1, 1}, false, false);
       }},
      {"GlobalAvgPool",
       "global_avg_pool",
       {},
       {image},
       [](const Tensors& x, const Tensors&) {
         return x[0].sum({2, 3}) / 64;
       }},
      {"FirstChannels",
       "first_channels",
       {{"channels", int64_t{2}}},
       {image},
       [](const Tensors& x, const Tensors&) { return x[0].narrow(1, 0, 2); }},
      {"Flatten", "flatten", {}, {image}, [](const Tensors& x, const Tensors&) { return x[0].flatten(1); }},
      {"Identity", "identity", {}, {image}, [](const Tensors& x, const Tensors&) { return x[0] * 1; }},
      {"Zero",
       "zero",
       {{"stride", int64_t{2}}},
       {{6, 7, 7}},
       [](const Tensors& x, const Tensors&) {
         return at::avg_pool2d(x[0], {1, 1}, {2, 2}) * 0;
       }},
      {"Add",
       "add",
       {},
       {image, image, image},
       [](const Tensors& x, const Tensors&) { return x[0] + x[1] + x[2]; }},
      {"Multiply",
       "multiply",
       {},
       {image, image, image},
       [](const Tensors& x, const Tensors&) { return x[0] * x[1] * x[2]; }},
      {"Concat",
       "concat",
       {},
       {image, {3, 8, 8}},
       [](const Tensors& x, const Tensors&) {
         return at::cat({x[0], x[1]}, 1);
       }},
  };
}

class OperationTest : public ::testing::TestWithParam<Case> {};

// The operator of one case, built alone.
struct Built {
  explicit Built(const Case& c) : builder(c.inputs[0]), store(at::kFloat) {
    std::vector<int> inputs;
    for (size_t i = 0; i < c.inputs.size(); ++i) {
      // Nodes of the right shapes to hang the operator on: the graph has one input only.
      inputs.push_back(
          i == 0 ? 0
          : c.inputs[i] == c.inputs[0]
              ? builder.Add("identity", {}, {0})
              : builder.Add("conv2d", {{"out_channels", c.inputs[i][0]}, {"kernel", int64_t{1}}}, {0}));
    }
    const auto& node = builder.graph().nodes[static_cast<size_t>(builder.Add(c.op, c.attributes, inputs))];
    std::vector<const search_space::Node*> input_nodes;
    for (const int input : inputs) input_nodes.push_back(&builder.graph().nodes[static_cast<size_t>(input)]);
    operation = *BuildOperation({node, input_nodes, "test.", store});
    store.Allocate(3);
  }
  GraphBuilder builder;
  ParameterStore store;
  std::unique_ptr<Operation> operation;
};

TEST_P(OperationTest, AgreesWithLibTorchForwardAndBackward) {
  const Case& c = GetParam();
  at::manual_seed(7);
  Built built(c);
  built.store.values().normal_();  // parameters that are neither 0 nor 1
  Tensors inputs;
  Tensors reference_inputs;
  for (Shape shape : c.inputs) {
    shape.insert(shape.begin(), 5);
    const at::Tensor input = at::randn(shape);
    inputs.push_back(Dense(input.clone()));
    reference_inputs.push_back(input.clone().requires_grad_());
  }
  Tensors reference_parameters;
  for (const Parameter& parameter : built.store.parameters())
    reference_parameters.push_back(parameter.value.clone().contiguous().requires_grad_());

  const at::Tensor expected = c.reference(reference_inputs, reference_parameters);
  const at::Tensor gradient = at::randn(expected.sizes());
  expected.backward(gradient);
  Rng noise(1);
  const at::Tensor output = built.operation->Forward(inputs, {.training = true, .noise = &noise});
  ASSERT_EQ(output.sizes(), expected.sizes());
  EXPECT_TRUE(at::allclose(output, expected, 1e-4, 1e-5));
  // The graph's shape inference agrees with what is built.
  EXPECT_EQ(output.sizes().slice(1).vec(), built.builder.graph().nodes.back().shape);

  const Tensors gradients = built.operation->Backward(Dense(gradient));
  ASSERT_EQ(gradients.size(), inputs.size());
  for (size_t i = 0; i < inputs.size(); ++i) {
    const at::Tensor actual = gradients[i].defined() ? gradients[i] : at::zeros_like(reference_inputs[i]);
    EXPECT_TRUE(at::allclose(actual, reference_inputs[i].grad(), 1e-3, 1e-4)) << "input " << i;
  }
  for (size_t i = 0; i < reference_parameters.size(); ++i)
    EXPECT_TRUE(
        at::allclose(built.store.parameters()[i].gradient, reference_parameters[i].grad(), 1e-3, 1e-4))
        << built.store.parameters()[i].name;
}

INSTANTIATE_TEST_SUITE_P(Operators, OperationTest, ::testing::ValuesIn(Cases()),
                         [](const auto& info) { return info.param.name; });

TEST(Operations, EveryOperatorButDropoutIsComparedWithLibTorch) {
  std::set<std::string> compared = {"dropout"};
  for (const Case& c : Cases()) compared.insert(c.op);
  const std::vector<std::string> names = OperationNames();
  EXPECT_EQ(compared, std::set<std::string>(names.begin(), names.end()));
}

TEST(Operations, DropoutDropsItsShareInTrainingOnlyAndMasksTheGradientAlike) {
  Built built({"Dropout", "dropout", {{"rate", 0.25}}, {{1000}}, {}});
  const at::Tensor ones = at::ones({20, 1000});
  Rng noise(1);
  const Tensors inputs = {ones};
  const at::Tensor output = built.operation->Forward(inputs, {.training = true, .noise = &noise});
  EXPECT_NEAR(output.eq(0).sum().item<double>() / 20000, 0.25, 0.02);
  EXPECT_NEAR(output.mean().item<double>(), 1.0, 0.03);
  EXPECT_TRUE(at::equal(built.operation->Backward(ones)[0], output));
  EXPECT_TRUE(at::equal(built.operation->Forward(inputs, {}), ones));
}

TEST(Operations, BatchNormUsesItsRunningStatisticsInInference) {
  Built built({"BatchNorm", "batch_norm", {{"momentum", 0.5}}, {{3, 4, 4}}, {}});
  const Tensors inputs = {Dense(at::randn({8, 3, 4, 4}) * 2 + 1)};
  Rng noise(1);
  built.operation->Forward(inputs, {.training = true, .noise = &noise});
  const at::Tensor mean = inputs[0].mean({0, 2, 3}) * 0.5;
  const at::Tensor variance = inputs[0].transpose(0, 1).flatten(1).var(1) * 0.5 + 0.5;  // unbiased
  const at::Tensor expected =
      (inputs[0] - mean.view({1, 3, 1, 1})) / (variance.view({1, 3, 1, 1}) + 1e-5).sqrt();
  EXPECT_TRUE(at::allclose(built.operation->Forward(inputs, {}), expected, 1e-4, 1e-5));
}

TEST(Operations, BatchNormOfAMeanFarFromZeroKeepsItsVariance) {
  Built built({"BatchNorm", "batch_norm", {}, {{4, 8, 8}}, {}});
  at::manual_seed(1);
  const Tensors inputs = {Dense(at::randn({64, 4, 8, 8}) + 1000)};
  Rng noise(1);
  const at::Tensor output = built.operation->Forward(inputs, {.training = true, .noise = &noise});
  EXPECT_NEAR(output.std().item<double>(), 1.0, 0.01);
  EXPECT_NEAR(output.mean().item<double>(), 0.0, 0.01);
}

// A ReLU that turned NaN into zero would hide that a training has diverged.
TEST(Operations, NanPassesThroughReluAloneAndFusedInBothModes) {
  for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
    ParameterStore store(type);
    GraphBuilder builder({4, 4, 4});
    const int norm = builder.Add("batch_norm");
    const int relu = builder.Add("relu");
    std::vector<std::unique_ptr<Operation>> operations;
    for (const int index : {norm, relu}) {
      const auto& nodes = builder.graph().nodes;
      operations.push_back(*BuildOperation({nodes[static_cast<size_t>(index)], {&nodes[0]}, "", store}));
    }
    store.Allocate(1);
    dynamic_cast<BatchNorm&>(*operations[0]).FuseRelu();
    for (const float nan : {NAN, -NAN}) {
      const Tensors inputs = {Dense(at::full({2, 4, 4, 4}, nan, type))};
      Rng noise(1);
      for (auto& operation : operations) {
        EXPECT_TRUE(operation->Forward(inputs, {}).isnan().all().item<bool>());
        EXPECT_TRUE(
            operation->Forward(inputs, {.training = true, .noise = &noise}).isnan().all().item<bool>());
        EXPECT_TRUE(operation->Backward(inputs[0])[0].isnan().all().item<bool>());
      }
    }
  }
}

TEST(Operations, AnUnknownOperatorIsRefusedWithTheKnownNames) {
  ParameterStore store(at::kFloat);
  const search_space::Node node = {.op = "conv3d"};
  const auto built = BuildOperation({node, {}, "", store});
  EXPECT_NE(built.status().ToString().find("did you mean 'conv2d'"), std::string::npos) << built.status();
}

}  // namespace
}  // namespace canopy::trainer
