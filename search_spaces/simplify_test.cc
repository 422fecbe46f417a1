#include "search_spaces/simplify.h"

#include <algorithm>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/random.h"
#include "gtest/gtest.h"
#include "search_spaces/catalog/catalog.h"
#include "search_spaces/cost.h"
#include "search_spaces/hash.h"
#include "search_spaces/ops/operator.h"
#include "search_spaces/space.h"

namespace canopy::search_space {
namespace {

// Builds graphs in a line or two: each method appends a node and returns it.
class Builder {
 public:
  explicit Builder(Shape shape = {4, 8, 8}) : graph_(*InputGraph(shape)) {}
  int Add(const char* op, std::vector<int> inputs, Attributes attributes = {}) {
    const auto node = AppendNode(graph_, op, std::move(attributes), std::move(inputs));
    EXPECT_TRUE(node.ok()) << node.status();
    return *node;
  }
  int Conv(int input, int64_t channels = 4, int64_t kernel = 3, bool bias = false) {
    return Add("conv2d", {input}, {{"out_channels", channels}, {"kernel", kernel}, {"bias", bias}});
  }
  NetworkGraph Graph(int output) const {
    NetworkGraph graph = graph_;
    graph.output = output;
    return graph;
  }

 private:
  NetworkGraph graph_;
};

std::vector<std::string> Ops(const NetworkGraph& graph) {
  std::vector<std::string> ops;
  for (const Node& node : graph.nodes) ops.emplace_back(node.op);
  return ops;
}

using OpList = std::vector<std::string>;

TEST(SimplifyTest, DeadNodesAndIdentitiesGo) {
  Builder b;
  b.Conv(0);
  int x = b.Add("identity", {0});
  x = b.Add("dropout", {x}, {{"rate", 0.0}});
  x = b.Add("max_pool", {x}, {{"kernel", int64_t{1}}});
  x = b.Add("add", {x});
  x = b.Add("relu", {x});
  EXPECT_EQ(Ops(Simplify(b.Graph(x))), (OpList{"input", "relu"}));
}

TEST(SimplifyTest, WhatIsUndoneGoes) {
  Builder tokens({3, 5});
  const int there = tokens.Add("transpose_tokens", {0}), back = tokens.Add("transpose_tokens", {there});
  EXPECT_EQ(Ops(Simplify(tokens.Graph(tokens.Add("relu", {back})))), (OpList{"input", "relu"}));
  const int again = tokens.Add("transpose_tokens", {back});
  EXPECT_EQ(Ops(Simplify(tokens.Graph(again))), (OpList{"input", "transpose_tokens"}));

  Builder image({12, 2, 2});
  const auto shuffle = [&](int input, int64_t groups) {
    return image.Add("channel_shuffle", {input}, {{"groups", groups}});
  };
  EXPECT_EQ(Ops(Simplify(image.Graph(shuffle(shuffle(0, 3), 4)))), (OpList{"input"}));
  EXPECT_EQ(Ops(Simplify(image.Graph(shuffle(0, 12)))), (OpList{"input"}));
  EXPECT_EQ(Ops(Simplify(image.Graph(shuffle(shuffle(0, 3), 3)))),
            (OpList{"input", "channel_shuffle", "channel_shuffle"}));
}

TEST(SimplifyTest, PartsThatAreJoinedAgainAreTheWhole) {
  Builder b({12, 2, 2});
  const auto part = [&](const char* op, int64_t channels) {
    return b.Add(op, {0}, {{"channels", channels}});
  };
  const int whole = b.Add("concat", {part("first_channels", 5), part("last_channels", 7)});
  EXPECT_EQ(Ops(Simplify(b.Graph(b.Add("relu", {whole})))), (OpList{"input", "relu"}));
  const OpList parts = {"input", "first_channels", "last_channels", "concat"};
  const int overlapping = b.Add("concat", {part("first_channels", 5), part("last_channels", 8)});
  EXPECT_EQ(Ops(Simplify(b.Graph(overlapping))), parts);
  const int head = b.Add("first_channels", {0}, {{"channels", int64_t{6}}});
  const int other = b.Add("last_channels", {b.Add("relu", {0})}, {{"channels", int64_t{6}}});
  EXPECT_EQ(Ops(Simplify(b.Graph(b.Add("concat", {head, other})))).back(), "concat");
  const int tail = b.Add("last_channels", {0}, {{"channels", int64_t{6}}});
  EXPECT_EQ(Ops(Simplify(b.Graph(b.Add("concat", {tail, head})))).back(), "concat");
}

TEST(SimplifyTest, DropoutOfAPositiveRateStays) {
  Builder b;
  EXPECT_EQ(Ops(Simplify(b.Graph(b.Add("dropout", {0}, {{"rate", 0.5}})))), (OpList{"input", "dropout"}));
}

TEST(SimplifyTest, ZerosVanishFromSums) {
  Builder b;
  int zero = b.Add("relu", {b.Add("zero", {0})});
  zero = b.Add("avg_pool", {zero}, {{"kernel", int64_t{3}}, {"stride", int64_t{1}}, {"padding", int64_t{1}}});
  const int sum = b.Add("add", {zero, b.Conv(0)});
  EXPECT_EQ(Ops(Simplify(b.Graph(sum))), (OpList{"input", "conv2d"}));
}

TEST(SimplifyTest, ConvolutionAndBatchNormOfZeroStayAsALearnedBias) {
  Builder b;
  const int zero = b.Add("zero", {0});
  const int bias = b.Add("batch_norm", {b.Conv(zero)});
  const int sum = b.Add("add", {bias, b.Conv(0)});
  // The convolution maps zero to zero, whatever its weights; batch norm adds its bias.
  EXPECT_EQ(Ops(Simplify(b.Graph(sum))), (OpList{"input", "zero", "batch_norm", "conv2d", "add"}));

  Builder with_bias;
  const int conv = with_bias.Conv(with_bias.Add("zero", {0}), 4, 3, /*bias=*/true);
  EXPECT_EQ(Ops(Simplify(with_bias.Graph(conv))), (OpList{"input", "zero", "conv2d"}));
}

TEST(SimplifyTest, SigmoidOfZeroIsNotZero) {
  Builder b;
  const int half = b.Add("sigmoid", {b.Add("zero", {0})});
  EXPECT_EQ(Ops(Simplify(b.Graph(b.Add("multiply", {half, 0})))),
            (OpList{"input", "zero", "sigmoid", "multiply"}));
}

TEST(SimplifyTest, ProductsWithZeroAreZero) {
  Builder b;
  const NetworkGraph graph = Simplify(b.Graph(b.Add("multiply", {b.Conv(0), b.Add("zero", {0})})));
  EXPECT_EQ(Ops(graph), (OpList{"input", "zero"}));
  EXPECT_FALSE(DependsOnInput(graph));
}

TEST(SimplifyTest, ZeroKeepsNothingAliveThatIsNotNeeded) {
  Builder b;
  const int zero = b.Add("zero", {b.Conv(0)});
  const int sum = b.Add("add", {b.Add("batch_norm", {zero}), b.Conv(0)});
  const NetworkGraph graph = Simplify(b.Graph(sum));
  EXPECT_EQ(Ops(graph), (OpList{"input", "zero", "batch_norm", "conv2d", "add"}));
  EXPECT_EQ(ComputeCosts(graph)->params, 4 * 4 * 9 + 8);
}

TEST(SimplifyTest, EqualPureOperatorsAreOne) {
  Builder b;
  const int sum = b.Add("add", {b.Conv(b.Add("relu", {0})), b.Conv(b.Add("relu", {0}))});
  EXPECT_EQ(Ops(Simplify(b.Graph(sum))), (OpList{"input", "relu", "conv2d", "conv2d", "add"}));
}

TEST(SimplifyTest, InputThatOnlyReachesTheOutputThroughZeroIsNoDependence) {
  Builder b;
  const int bias = b.Add("batch_norm", {b.Add("zero", {0})});
  EXPECT_FALSE(DependsOnInput(Simplify(b.Graph(bias))));
  EXPECT_TRUE(DependsOnInput(Simplify(b.Graph(b.Add("add", {bias, 0})))));
}

// Parameters and statistics of a node depend on its operator, attributes and shapes alone.
void ExpectEqualParameters(const NetworkGraph& a, int i, const NetworkGraph& b, int k) {
  EXPECT_EQ(a.nodes[i].op, b.nodes[k].op);
  EXPECT_EQ(a.nodes[i].attributes, b.nodes[k].attributes);
  EXPECT_EQ(a.nodes[a.nodes[i].inputs[0]].shape, b.nodes[b.nodes[k].inputs[0]].shape);
}

// Some cells' edges are too many: they are drawn again.
NetworkGraph SampledGraph(const SearchSpace& space, Rng& rng) {
  for (;;) {
    auto graph = space.Lower(space.Sample(rng), *space.default_task());
    if (graph.ok()) return *std::move(graph);
  }
}

TEST(SimplifyTest, SourcesHaveTheParametersOfTheirNodes) {
  Rng rng(7);
  for (const std::string& name : CatalogNames()) {
    const auto space = SearchSpace::Parse(*CatalogSpace(name), name);
    for (int i = 0; i < 200; ++i) {
      const NetworkGraph written = SampledGraph(*space, rng);
      const auto [graph, sources] = SimplifyWithSources(written);
      ASSERT_EQ(sources.size(), graph.nodes.size());
      EXPECT_EQ(sources[0], 0);
      for (size_t k = 1; k < sources.size(); ++k) {
        ASSERT_LT(sources[k - 1], sources[k]);
        const Node& node = graph.nodes[k];
        EXPECT_EQ(node.shape, written.nodes[sources[k]].shape);
        if (node.op == "zero") continue;
        EXPECT_EQ(node.op, written.nodes[sources[k]].op);
        if (!node.op->pure()) ExpectEqualParameters(graph, static_cast<int>(k), written, sources[k]);
      }
    }
  }
}

TEST(SimplifyTest, SourceOfALearnedBiasIsItsBatchNorm) {
  Builder b;
  const int zero = b.Add("zero", {0});
  const int conv = b.Conv(zero);
  const int bias = b.Add("batch_norm", {conv});
  const int other = b.Conv(0);
  const int sum = b.Add("add", {bias, other});
  const auto [graph, sources] = SimplifyWithSources(b.Graph(sum));
  EXPECT_EQ(Ops(graph), (OpList{"input", "zero", "batch_norm", "conv2d", "add"}));
  EXPECT_EQ(sources, (std::vector<int>{0, zero, bias, other, sum}));
}

std::string HashOf(const NetworkGraph& graph) { return GraphHash(Simplify(graph)); }

TEST(GraphHashTest, OrderOfNodesAndOfCommutativeInputsDoesNotMatter) {
  Builder a;
  const int a1 = a.Conv(0, 4, 1), a2 = a.Conv(0, 4, 3);
  Builder b;
  const int b2 = b.Conv(0, 4, 3), b1 = b.Conv(0, 4, 1);
  EXPECT_EQ(HashOf(a.Graph(a.Add("add", {a1, a2}))), HashOf(b.Graph(b.Add("add", {b1, b2}))));
  EXPECT_EQ(HashOf(a.Graph(a.Add("add", {a2, a1}))), HashOf(b.Graph(b.Add("add", {b1, b2}))));
  EXPECT_NE(HashOf(a.Graph(a.Add("concat", {a2, a1}))), HashOf(a.Graph(a.Add("concat", {a1, a2}))));
  EXPECT_NE(HashOf(a.Graph(a.Add("add", {a2, a1}))), HashOf(a.Graph(a.Add("multiply", {a2, a1}))));
}

TEST(GraphHashTest, SharedParametersDifferFromTheirOwn) {
  Builder shared;
  const int conv = shared.Conv(0);
  Builder own;
  EXPECT_NE(HashOf(shared.Graph(shared.Add("add", {conv, conv}))),
            HashOf(own.Graph(own.Add("add", {own.Conv(0), own.Conv(0)}))));
}

// Sums of products relu(conv) * tanh(conv') over pairs of equal convolutions: colours alone do not tell the
// pairings apart.
NetworkGraph Pairing(const std::vector<std::pair<int, int>>& pairs) {
  Builder b;
  std::vector<int> relu, tanh, products;
  for (size_t i = 0; i < pairs.size(); ++i) {
    const int conv = b.Conv(0);
    relu.push_back(b.Add("relu", {conv}));
    tanh.push_back(b.Add("tanh", {conv}));
  }
  for (const auto& [r, t] : pairs) products.push_back(b.Add("multiply", {relu[r], tanh[t]}));
  return b.Graph(b.Add("add", products));
}

TEST(GraphHashTest, WiringAmongEqualNodesMatters) {
  const std::string straight = HashOf(Pairing({{0, 0}, {1, 1}}));
  const std::string crossed = HashOf(Pairing({{0, 1}, {1, 0}}));
  EXPECT_NE(straight, crossed);
  EXPECT_EQ(crossed, HashOf(Pairing({{1, 0}, {0, 1}})));
  // A ring of three against a crossed pair beside a straight one, in several orders.
  const std::string mixed = HashOf(Pairing({{0, 1}, {1, 0}, {2, 2}}));
  EXPECT_EQ(mixed, HashOf(Pairing({{0, 0}, {1, 2}, {2, 1}})));
  EXPECT_EQ(mixed, HashOf(Pairing({{2, 0}, {1, 1}, {0, 2}})));
  EXPECT_NE(mixed, HashOf(Pairing({{0, 1}, {1, 2}, {2, 0}})));
  EXPECT_EQ(HashOf(Pairing({{0, 2}, {2, 1}, {1, 0}})), HashOf(Pairing({{0, 1}, {1, 2}, {2, 0}})));
}

// The same graph with its nodes in another order, and the inputs of sums and products too.
NetworkGraph Shuffled(const NetworkGraph& graph, Rng& rng) {
  std::vector<int> place(graph.nodes.size(), -1);
  NetworkGraph result;
  result.nodes.push_back(graph.nodes[0]);
  place[0] = 0;
  while (result.nodes.size() < graph.nodes.size()) {
    std::vector<int> ready;
    for (size_t i = 0; i < graph.nodes.size(); ++i) {
      const NodeInputs& inputs = graph.nodes[i].inputs;
      if (place[i] < 0 && std::all_of(inputs.begin(), inputs.end(), [&](int k) { return place[k] >= 0; }))
        ready.push_back(static_cast<int>(i));
    }
    const int taken = ready[rng.Below(ready.size())];
    place[taken] = static_cast<int>(result.nodes.size());
    Node node = graph.nodes[taken];
    for (int& input : node.inputs) input = place[input];
    if (node.op->commutative()) rng.Shuffle(std::span(node.inputs));
    result.nodes.push_back(std::move(node));
  }
  result.output = place[graph.output];
  return result;
}

TEST(GraphHashTest, IsomorphicGraphsAreEqual) {
  Rng rng(11);
  for (const std::string& name : CatalogNames()) {
    const auto space = SearchSpace::Parse(*CatalogSpace(name), name);
    for (int i = 0; i < 40; ++i) {
      const NetworkGraph written = SampledGraph(*space, rng);
      const std::string hash = HashOf(written);
      EXPECT_EQ(HashOf(Shuffled(written, rng)), hash);
      const NetworkGraph simplified = Simplify(written);
      EXPECT_EQ(GraphHash(Shuffled(simplified, rng)), hash);
    }
  }
  for (int i = 0; i < 20; ++i) {
    const NetworkGraph crossed = Pairing({{0, 1}, {1, 0}, {2, 3}, {3, 4}, {4, 2}});
    EXPECT_EQ(HashOf(Shuffled(crossed, rng)), HashOf(crossed));
  }
}

TEST(GraphHashTest, AttributesAndInputShapeCount) {
  Builder b;
  EXPECT_NE(HashOf(b.Graph(b.Conv(0, 4, 3))), HashOf(b.Graph(b.Conv(0, 4, 5))));
  Builder other({4, 9, 9});
  EXPECT_NE(HashOf(b.Graph(b.Conv(0))), HashOf(other.Graph(other.Conv(0))));
}

TEST(GraphHashTest, ValuesAreStable) {
  Builder b;
  const int x = b.Add("batch_norm", {b.Conv(0)});
  EXPECT_EQ(HashOf(b.Graph(b.Add("add", {x, 0}))),
            "ef6d42efc585c26259a02c235d98b9bbcc6c1b40a10216dfea8ebe1c8736aea1");
  EXPECT_EQ(HashOf(Pairing({{0, 0}, {1, 1}})),
            "44bec21ed73c651a35d0e684ee52d43df07ee7090cc73480c816637d2fb3e470");
  EXPECT_EQ(HashOf(Pairing({{0, 1}, {1, 0}, {2, 2}})),
            "0448465b2b425e5251241aec5c9ae00f05b4879d5da7cf2ed6cb9a0cf469b211");
  EXPECT_EQ(CandidateHash("00", Candidate({{"learning_rate", 0.1}})),
            "0c51f1a0f4aa543d19592edb6eb349f977a7888a1e620f6bade407a1e29ff3c2");
}

TEST(CandidateHashTest, RecipeCounts) {
  const Candidate slow({{"learning_rate", 0.01}}), fast({{"learning_rate", 0.1}});
  EXPECT_NE(CandidateHash("00", slow), CandidateHash("00", fast));
  EXPECT_EQ(CandidateHash("00", slow), CandidateHash("00", slow));
}

}  // namespace
}  // namespace canopy::search_space
