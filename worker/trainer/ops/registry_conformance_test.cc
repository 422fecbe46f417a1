// The trainer's operators and those of the search-space language are the same, and agree on shapes and
// parameters in thousands of random applications.

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/random.h"
#include "search_spaces/cost.h"
#include "search_spaces/ops/operator.h"
#include "worker/trainer/graph_module.h"
#include "worker/trainer/ops/registry.h"

namespace canopy::trainer {
namespace {

using search_space::Attributes;
using search_space::AttributeSpec;
using search_space::NetworkGraph;
using search_space::Operator;
using search_space::Shape;
using search_space::Value;

constexpr int kCasesPerOperator = 200;
constexpr int kTriesPerCase = 400;
constexpr int64_t kExamples = 2;

TEST(RegistryConformance, EveryOperatorHasAModuleAndViceVersa) {
  std::vector<std::string> declared = search_space::OperatorNames(), built = OperationNames();
  std::erase(declared, "input");
  std::sort(built.begin(), built.end());
  EXPECT_EQ(declared, built);
}

std::vector<int64_t> RandomShape(Rng& rng) {
  std::vector<int64_t> shape(static_cast<size_t>(rng.Int(1, 3)));
  for (int64_t& size : shape) size = rng.Int(1, 12);
  return shape;
}

// Within the spec and small; often left to the default.
std::optional<Value> RandomValue(const AttributeSpec& spec, Rng& rng) {
  if ((spec.fallback || spec.derived) && rng.Below(3) == 0) return std::nullopt;
  switch (spec.type) {
    case AttributeSpec::Type::kSwitch:
      return Value(rng.Below(2) == 0);
    case AttributeSpec::Type::kInteger: {
      const auto low = static_cast<int64_t>(std::max(spec.low, -6.0));
      return Value(rng.Int(low, std::min(low + 6, static_cast<int64_t>(spec.high))));
    }
    case AttributeSpec::Type::kWord:
      return Value(std::string(spec.words[rng.Below(spec.words.size())]));
    case AttributeSpec::Type::kNumber:
      break;
  }
  return Value(rng.Float(spec.low, std::min(spec.high, spec.low + 3)));
}

// One application of the operator to a random input; nullopt where what was drawn does not fit.
std::optional<NetworkGraph> RandomGraph(const Operator& op, Rng& rng) {
  auto graph = search_space::InputGraph(RandomShape(rng));
  if (!graph.ok()) return std::nullopt;
  Attributes attributes;
  for (const AttributeSpec& spec : op.attributes()) {
    if (spec.per_axis && rng.Below(2) == 0) {
      const auto height = RandomValue(spec, rng), width = RandomValue(spec, rng);
      if (height && width) {
        attributes.emplace(search_space::AxisNames(spec.name).height, *height);
        attributes.emplace(search_space::AxisNames(spec.name).width, *width);
        continue;
      }
    }
    const auto value = RandomValue(spec, rng);
    if (value) attributes.emplace(spec.name, *value);
  }
  std::vector<int> inputs = {0};
  while (op.arity().most > 1 && inputs.size() < 3 && rng.Below(2) == 0) {
    const char* const sources[] = {"identity", "global_avg_pool", "relu"};
    const auto source = AppendNode(*graph, sources[rng.Below(3)], {}, {0});
    if (source.ok()) inputs.push_back(*source);
  }
  rng.Shuffle(std::span(inputs));
  const auto node = AppendNode(*graph, op.name(), std::move(attributes), std::move(inputs));
  if (!node.ok()) return std::nullopt;
  graph->output = *node;
  return *std::move(graph);
}

std::vector<int64_t> WithExamples(const Shape& shape) {
  std::vector<int64_t> sizes = {kExamples};
  sizes.insert(sizes.end(), shape.begin(), shape.end());
  return sizes;
}

at::Tensor RandomInput(const NetworkGraph& graph) {
  const std::vector<int64_t> sizes = WithExamples(graph.nodes[0].shape);
  const auto& first = graph.nodes[1];
  if (first.op == "embedding")
    return at::randint(search_space::IntegerOf(first.attributes, "vocabulary"), sizes, at::kLong);
  return Dense(at::randn(sizes));
}

void ExpectTheModuleKeepsTheRules(const NetworkGraph& graph) {
  const auto costs = search_space::ComputeCosts(graph);
  ASSERT_TRUE(costs.ok()) << costs.status();
  const c10::InferenceMode no_autograd;
  auto network = GraphModule::Build(graph, at::kFloat, 1);
  ASSERT_TRUE(network.ok()) << network.status();
  EXPECT_EQ((*network)->store().count(), costs->params);
  const std::vector<int64_t> expected = WithExamples(graph.nodes.back().shape);
  const at::Tensor input = RandomInput(graph);
  (*network)->PrepareInference();
  EXPECT_EQ((*network)->ForwardInference(input).sizes().vec(), expected);
  Rng noise(1);
  const at::Tensor output = (*network)->ForwardTraining(input, noise);
  EXPECT_EQ(output.sizes().vec(), expected);
  (*network)->Backward(Dense(at::ones(expected)));
}

// What simplification may assume, for random parameters, in training and in inference.
void ExpectTheModuleKeepsThePromises(const NetworkGraph& graph) {
  const auto& node = graph.nodes.back();
  const Operator& op = *search_space::FindOperator(node.op);
  const c10::InferenceMode no_autograd;
  auto network = *GraphModule::Build(graph, at::kFloat, 1);
  network->store().values().normal_();
  EXPECT_TRUE(!op.pure() || (network->store().parameters().empty() && network->store().buffers().empty()));
  const at::Tensor input = RandomInput(graph);
  const auto results = [&](const at::Tensor& x) {
    Rng noise(1);
    network->PrepareInference();
    return std::vector<at::Tensor>{network->ForwardInference(x), network->ForwardTraining(x, noise)};
  };
  if (op.ZeroPreserving(node.attributes)) {
    for (const at::Tensor& result : results(at::zeros_like(input)))
      EXPECT_TRUE(at::equal(result, at::zeros_like(result)));
  }
  if (op.arity().most == 1 && op.IsIdentity(node.attributes, graph.nodes[0].shape)) {
    for (const at::Tensor& result : results(input)) EXPECT_TRUE(at::equal(result, input));
  }
  if (!op.commutative()) return;
  NetworkGraph reversed = graph;
  std::reverse(reversed.nodes.back().inputs.begin(), reversed.nodes.back().inputs.end());
  const at::Tensor expected = network->ForwardInference(input);
  network = *GraphModule::Build(reversed, at::kFloat, 1);
  EXPECT_TRUE(at::allclose(network->ForwardInference(input), expected));
}

// Random applications of every operator.
void ForEachCase(const std::function<void(const NetworkGraph&)>& check) {
  at::manual_seed(1);
  for (const Operator* op : search_space::AllOperators()) {
    if (op->name() == "input") continue;
    Rng rng = Rng::Derive(4, op->name());
    int cases = 0;
    for (int tries = 0; cases < kCasesPerOperator && tries < kCasesPerOperator * kTriesPerCase; ++tries) {
      const auto graph = RandomGraph(*op, rng);
      if (!graph) continue;
      ++cases;
      SCOPED_TRACE(graph->ToJson());
      check(*graph);
      if (::testing::Test::HasFailure()) return;  // one is enough to read
    }
    EXPECT_EQ(cases, kCasesPerOperator) << op->name();
  }
}

TEST(RegistryConformance, ShapesAndParametersAreThoseOfTheRules) {
  ForEachCase(ExpectTheModuleKeepsTheRules);
}

TEST(RegistryConformance, SimplificationMayAssumeWhatOperatorsSay) {
  ForEachCase(ExpectTheModuleKeepsThePromises);
}

}  // namespace
}  // namespace canopy::trainer
