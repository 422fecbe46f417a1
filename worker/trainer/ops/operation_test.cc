// Every operator against LibTorch's own, forward and backward through autograd.

#include "worker/trainer/ops/operation.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "search_spaces/ops/operator.h"
#include "worker/trainer/ops/batch_norm.h"
#include "worker/trainer/ops/operation_cases.h"
#include "worker/trainer/ops/registry.h"
#include "worker/trainer/testing/graphs.h"

namespace canopy::trainer {
namespace {

using Tensors = std::vector<at::Tensor>;
using Shape = std::vector<int64_t>;

using Case = OperationCase;

std::vector<Case> Cases() {
  std::vector<Case> cases = ImageCases();
  for (Case& token_case : TokenCases()) cases.push_back(std::move(token_case));
  return cases;
}

class OperationTest : public ::testing::TestWithParam<Case> {};

// The operator of one case, built alone.
struct Built {
  explicit Built(const Case& c, at::ScalarType type = at::kFloat) : builder(c.inputs[0]), store(type) {
    std::vector<int> inputs;
    for (const Shape& shape : c.inputs) inputs.push_back(inputs.empty() ? 0 : AddNodeOf(shape, c.inputs[0]));
    const auto& node = builder.graph().nodes[static_cast<size_t>(builder.Add(c.op, c.attributes, inputs))];
    std::vector<const search_space::Node*> input_nodes;
    for (const int input : inputs) input_nodes.push_back(&builder.graph().nodes[static_cast<size_t>(input)]);
    operation = *BuildOperation({node, input_nodes, "test.", store});
    store.Allocate(3);
  }
  // A node of that shape to hang the operator on: the graph has one input only.
  int AddNodeOf(const Shape& shape, const Shape& input) {
    if (shape == input) return builder.Add("identity", {}, {0});
    if (shape.size() < input.size()) return builder.Add("global_avg_pool", {}, {0});
    if (shape.size() == 2) return builder.Add("linear", {{"features", shape[1]}}, {0});
    if (shape[1] != input[1]) return builder.Add("avg_pool", {{"kernel", input[1]}}, {0});
    return builder.Add("conv2d", {{"out_channels", shape[0]}, {"kernel", int64_t{1}}}, {0});
  }
  GraphBuilder builder;
  ParameterStore store;
  std::unique_ptr<Operation> operation;
};

// What one training step of a case gives, and what autograd gives of the same numbers in fp32.
struct Step {
  at::Tensor output, expected_output;
  Tensors input_gradients, expected_input_gradients;
  Tensors parameter_gradients, expected_parameter_gradients;
  Shape shape;  // as inferred
};

at::Tensor Random(Shape shape, at::ScalarType type) {
  shape.insert(shape.begin(), 5);
  return Dense(at::randn(shape).to(type));
}

Tensors LeavesOf(const Tensors& tensors) {
  Tensors leaves;
  for (const at::Tensor& tensor : tensors)
    leaves.push_back(tensor.to(at::kFloat).clone().contiguous().requires_grad_());
  return leaves;
}

Tensors GradientsOf(const Tensors& leaves) {
  Tensors gradients;
  for (const at::Tensor& leaf : leaves)
    gradients.push_back(leaf.grad().defined() ? leaf.grad() : at::zeros_like(leaf));
  return gradients;
}

// As trainers run it: everything of the network is made under InferenceMode.
Step TrainingStep(const Case& c, at::ScalarType type) {
  at::manual_seed(7);
  Step step;
  Tensors inputs, parameters;
  at::Tensor output_gradient;
  {
    const c10::InferenceMode no_autograd;
    Built built(c, type);
    built.store.values().normal_();  // parameters that are neither 0 nor 1
    // In bf16 both sides start from rounded parameters.
    built.store.values().copy_(built.store.values().to(type));
    built.store.RefreshCompute();
    for (const Shape& shape : c.inputs) inputs.push_back(Random(shape, type));
    for (const Parameter& parameter : built.store.parameters()) parameters.push_back(parameter.value.clone());
    Rng noise(1);
    step.output = built.operation->Forward(inputs, {.training = true, .noise = &noise});
    step.shape = built.builder.graph().nodes.back().shape;
    output_gradient = Random(step.shape, type);
    step.input_gradients = built.operation->Backward(output_gradient);
    EXPECT_EQ(step.input_gradients.size(), inputs.size());
    for (size_t i = 0; i < inputs.size(); ++i)
      if (!step.input_gradients[i].defined()) step.input_gradients[i] = at::zeros_like(inputs[i]);
    for (const Parameter& parameter : built.store.parameters())
      step.parameter_gradients.push_back(parameter.gradient.clone());
    // Inference computes the same, but where training looks at the whole batch.
    if (c.op != "batch_norm") {
      EXPECT_TRUE(at::allclose(built.operation->Forward(inputs, {}), step.output, 1e-4, 1e-5));
    }
  }
  inputs = LeavesOf(inputs);
  parameters = LeavesOf(parameters);
  const at::Tensor expected = c.reference(inputs, parameters);
  expected.backward(output_gradient.to(at::kFloat).clone().contiguous());
  step.expected_output = expected.detach();
  step.expected_input_gradients = GradientsOf(inputs);
  step.expected_parameter_gradients = GradientsOf(parameters);
  return step;
}

TEST_P(OperationTest, AgreesWithLibTorchForwardAndBackward) {
  const Step step = TrainingStep(GetParam(), at::kFloat);
  ASSERT_EQ(step.output.sizes(), step.expected_output.sizes());
  EXPECT_TRUE(at::allclose(step.output, step.expected_output, 1e-4, 1e-5));
  // The graph's shape inference agrees with what is built.
  EXPECT_EQ(step.output.sizes().slice(1).vec(), step.shape);
  for (size_t i = 0; i < step.input_gradients.size(); ++i)
    EXPECT_TRUE(at::allclose(step.input_gradients[i], step.expected_input_gradients[i], 1e-3, 1e-4))
        << "input " << i;
  for (size_t i = 0; i < step.parameter_gradients.size(); ++i)
    EXPECT_TRUE(at::allclose(step.parameter_gradients[i], step.expected_parameter_gradients[i], 1e-3, 1e-4))
        << "parameter " << i;
}

// The distance between two tensors as a share of the expected one's length.
double RelativeError(const at::Tensor& actual, const at::Tensor& expected) {
  const double length = expected.norm().item<double>();
  const double distance = (actual.to(at::kFloat) - expected).norm().item<double>();
  return length == 0 ? distance : distance / length;
}

// bf16 has 8 bits: each rounding is off by at most 0.4 %, and attention is a chain of many.
TEST_P(OperationTest, InBf16ItAgreesWithinRounding) {
  constexpr double kTolerance = 0.03;
  const Step step = TrainingStep(GetParam(), at::kBFloat16);
  EXPECT_EQ(step.output.scalar_type(), at::kBFloat16);
  EXPECT_LT(RelativeError(step.output, step.expected_output), kTolerance);
  for (size_t i = 0; i < step.input_gradients.size(); ++i) {
    EXPECT_EQ(step.input_gradients[i].scalar_type(), at::kBFloat16);
    EXPECT_LT(RelativeError(step.input_gradients[i], step.expected_input_gradients[i]), kTolerance)
        << "input " << i;
  }
  for (size_t i = 0; i < step.parameter_gradients.size(); ++i)
    EXPECT_LT(RelativeError(step.parameter_gradients[i], step.expected_parameter_gradients[i]), kTolerance)
        << "parameter " << i;
}

INSTANTIATE_TEST_SUITE_P(Operators, OperationTest, ::testing::ValuesIn(Cases()),
                         [](const auto& info) { return info.param.name; });

TEST(Operations, EveryOperatorIsComparedWithLibTorch) {
  std::set<std::string> compared = {"dropout", "drop_path", "embedding"};  // below
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

TEST(Operations, DropPathDropsWholeExamplesInTrainingOnlyAndTheirGradientAlike) {
  for (const Shape& shape : std::vector<Shape>{{9}, {4, 3}, {2, 3, 3}}) {
    Built built({"DropPath", "drop_path", {{"rate", 0.25}}, {shape}, {}});
    Shape batch = shape;
    batch.insert(batch.begin(), 4000);
    const at::Tensor ones = Dense(at::ones(batch));
    Rng noise(1);
    const Tensors inputs = {ones};
    const at::Tensor output = built.operation->Forward(inputs, {.training = true, .noise = &noise});
    const at::Tensor rows = output.flatten(1);
    EXPECT_TRUE(at::equal(rows, rows.select(1, 0).unsqueeze(1).expand_as(rows)));
    EXPECT_NEAR(rows.select(1, 0).eq(0).sum().item<double>() / 4000, 0.25, 0.03);
    EXPECT_NEAR(output.mean().item<double>(), 1.0, 0.04);
    EXPECT_TRUE(at::equal(built.operation->Backward(ones)[0], output));
    EXPECT_TRUE(at::equal(built.operation->Forward(inputs, {}), ones));
  }
}

TEST(Operations, EmbeddingLooksTokensUpAndSumsTheGradientsOfEach) {
  for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
    const c10::InferenceMode no_autograd;
    Built built({"Embedding", "embedding", {{"vocabulary", int64_t{5}}, {"features", int64_t{2}}}, {{3}}, {}},
                type);
    const at::Tensor& vectors = built.store.parameters()[0].compute;
    const Tensors inputs = {at::tensor({1, 4, 1, 0, 1, 1}, at::kLong).view({2, 3})};
    Rng noise(1);
    const at::Tensor output = built.operation->Forward(inputs, {.training = true, .noise = &noise});
    EXPECT_TRUE(at::equal(output, vectors.index_select(0, inputs[0].flatten()).view({2, 3, 2})));
    EXPECT_TRUE(at::equal(built.operation->Forward(inputs, {}), output));
    EXPECT_FALSE(built.operation->Backward(at::ones({2, 3, 2}, type))[0].defined());
    const at::Tensor uses = at::tensor({1.0F, 4.0F, 0.0F, 0.0F, 1.0F}).unsqueeze(1).expand({5, 2});
    EXPECT_TRUE(at::equal(built.store.parameters()[0].gradient, uses));
  }
}

TEST(Operations, TwoStepsOfAnAutogradOperationAreTheSameBitForBit) {
  const Case attention = TokenCases()[0];
  const c10::InferenceMode no_autograd;
  Built built(attention);
  at::manual_seed(3);
  const Tensors inputs = {Random(attention.inputs[0], at::kFloat)};
  const at::Tensor gradient = Random(attention.inputs[0], at::kFloat);
  Rng noise(1);
  const auto step = [&] {
    built.operation->Forward(inputs, {.training = true, .noise = &noise});
    const at::Tensor input_gradient = built.operation->Backward(gradient)[0];
    return std::pair(input_gradient, built.store.gradients().clone());
  };
  const auto first = step(), second = step();
  EXPECT_TRUE(at::equal(first.first, second.first));
  EXPECT_TRUE(at::equal(first.second, second.second));
  EXPECT_GT(first.second.abs().sum().item<double>(), 0);
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

class Conv3d final : public search_space::Operator {
 public:
  std::string_view name() const override { return "conv3d"; }
  StatusOr<search_space::Shape> InferShape(
      const search_space::Attributes&, std::span<const search_space::Shape* const> inputs) const override {
    return *inputs[0];
  }
};

TEST(Operations, AnUnknownOperatorIsRefusedWithTheKnownNames) {
  ParameterStore store(at::kFloat);
  const Conv3d op;
  const search_space::Node node = {.op = op};
  const auto built = BuildOperation({node, {}, "", store});
  EXPECT_NE(built.status().ToString().find("did you mean 'conv2d'"), std::string::npos) << built.status();
}

}  // namespace
}  // namespace canopy::trainer
