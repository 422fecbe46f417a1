// Simplification keeps a network's function: as written and simplified, with the same weights, it gives the
// same, in training and in inference. So do two graphs of one hash, whose weights go to each other; graphs
// that differ in what they compute have hashes that differ.

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <numeric>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/random.h"
#include "search_spaces/catalog/catalog.h"
#include "search_spaces/cost.h"
#include "search_spaces/exploration.h"
#include "search_spaces/hash.h"
#include "search_spaces/ops/operator.h"
#include "search_spaces/simplify.h"
#include "search_spaces/space.h"
#include "worker/trainer/graph_module.h"
#include "worker/trainer/testing/graphs.h"
#include "worker/trainer/testing/small_task.h"

namespace canopy::trainer {
namespace {

using search_space::Candidate;
using search_space::NetworkGraph;
using search_space::Node;
using search_space::SearchSpace;
using search_space::TaskShape;

constexpr int64_t kSize = 8, kClasses = 4, kExamples = 6;

std::unique_ptr<GraphModule> Build(const NetworkGraph& graph) {
  auto network = GraphModule::Build(graph, at::kFloat, 3);
  EXPECT_TRUE(network.ok()) << network.status();
  return *std::move(network);
}

// Batch norms as training leaves them, with nothing at its neutral value.
void Randomize(GraphModule& network) {
  for (Parameter& parameter : network.store().parameters()) {
    if (parameter.name.find("_norm.weight") != std::string::npos) parameter.value.uniform_(0.5, 1.5);
    if (parameter.name.find("bias") != std::string::npos) parameter.value.normal_(0, 0.5);
  }
  for (Buffer& buffer : network.store().buffers()) {
    if (buffer.name.find("running_mean") != std::string::npos) buffer.value.normal_(0, 0.5);
    if (buffer.name.find("running_var") != std::string::npos) buffer.value.uniform_(0.5, 1.5);
  }
  network.store().RefreshCompute();
}

// "12.conv2d.weight" for "5.conv2d.weight", where node 5 comes from node 12.
std::string NameOfSource(const std::string& name, const std::vector<int>& sources) {
  const size_t dot = name.find('.');
  return std::to_string(sources[static_cast<size_t>(std::stoi(name.substr(0, dot)))]) + name.substr(dot);
}

template <typename List>
void CopyTensors(const List& from, const std::vector<int>& sources, List& to) {
  for (auto& target : to) {
    const std::string name = NameOfSource(target.name, sources);
    const auto source =
        std::find_if(from.begin(), from.end(), [&](const auto& tensor) { return tensor.name == name; });
    ASSERT_NE(source, from.end()) << target.name << " has no source " << name;
    ASSERT_EQ(source->value.sizes(), target.value.sizes()) << name;
    target.value.copy_(source->value);
  }
}

at::Tensor RandomInput(const NetworkGraph& graph) {
  std::vector<int64_t> sizes = {kExamples};
  sizes.insert(sizes.end(), graph.nodes[0].shape.begin(), graph.nodes[0].shape.end());
  for (const Node& node : graph.nodes)
    if (node.op->reads_tokens())
      return at::randint(search_space::IntegerOf(node.attributes, "vocabulary"), sizes, at::kLong);
  return Dense(at::randn(sizes));
}

// Those that draw in training, of rate 0 too, as `sources` name them.
std::vector<int> RandomNodes(const NetworkGraph& graph, const std::vector<int>& sources) {
  std::vector<int> nodes;
  for (size_t i = 0; i < graph.nodes.size(); ++i)
    if (graph.nodes[i].op == "dropout" || graph.nodes[i].op == "drop_path") nodes.push_back(sources[i]);
  return nodes;
}

std::vector<int> Themselves(const NetworkGraph& graph) {
  std::vector<int> nodes(graph.nodes.size());
  std::iota(nodes.begin(), nodes.end(), 0);
  return nodes;
}

bool Close(const at::Tensor& a, const at::Tensor& b) {
  const double scale = std::max(1.0, a.abs().max().item<double>());
  return (a - b).abs().max().item<double>() < 1e-3 * scale;
}

// Whether `other`, whose node i has the weights of node sources[i], computes what `graph` does: in inference
// with random statistics, in training, and in inference with what training left of them.
bool SameFunction(const NetworkGraph& graph, const NetworkGraph& other, const std::vector<int>& sources) {
  auto network = Build(graph), same = Build(other);
  Randomize(*network);
  CopyTensors(network->store().parameters(), sources, same->store().parameters());
  CopyTensors(network->store().buffers(), sources, same->store().buffers());
  same->store().RefreshCompute();
  const at::Tensor input = RandomInput(graph);
  const auto same_inference = [&] {
    network->PrepareInference();
    same->PrepareInference();
    return Close(network->ForwardInference(input), same->ForwardInference(input));
  };
  if (!same_inference()) return false;
  // Masks are equal where they are drawn in the same order.
  if (RandomNodes(graph, Themselves(graph)) != RandomNodes(other, sources)) return true;
  Rng noise(1), same_noise(1);
  return Close(network->ForwardTraining(input, noise), same->ForwardTraining(input, same_noise)) &&
         same_inference();
}

bool SimplifiedIsTheSame(const NetworkGraph& graph) {
  const auto simplification = search_space::SimplifyWithSources(graph);
  return SameFunction(graph, simplification.graph, simplification.sources);
}

// The graph with its nodes in another order, and likewise the inputs of sums and products.
NetworkGraph Shuffled(const NetworkGraph& graph, Rng& rng) {
  NetworkGraph shuffled;
  std::vector<int> place(graph.nodes.size(), -1);
  const auto ready = [&](size_t i) {
    return place[i] < 0 && std::all_of(graph.nodes[i].inputs.begin(), graph.nodes[i].inputs.end(),
                                       [&](int input) { return place[static_cast<size_t>(input)] >= 0; });
  };
  while (shuffled.nodes.size() < graph.nodes.size()) {
    std::vector<size_t> next;
    for (size_t i = 0; i < graph.nodes.size(); ++i)
      if (ready(i)) next.push_back(i);
    // The network's input is the first node of every graph.
    const size_t chosen = shuffled.nodes.empty() ? 0 : next[rng.Below(next.size())];
    Node node = graph.nodes[chosen];
    for (int& input : node.inputs) input = place[static_cast<size_t>(input)];
    if (node.op->commutative()) rng.Shuffle(std::span<int>(node.inputs.data(), node.inputs.size()));
    place[chosen] = static_cast<int>(shuffled.nodes.size());
    shuffled.nodes.push_back(std::move(node));
  }
  shuffled.output = place[static_cast<size_t>(graph.output)];
  return shuffled;
}

// For each node of `other` the node of `graph` that it is, found without what the hash is made from: by
// following both from their outputs, with the inputs of sums and products in every order.
class Isomorphism {
 public:
  Isomorphism(const NetworkGraph& graph, const NetworkGraph& other) : graph_(graph), other_(other) {}

  std::optional<std::vector<int>> Find() {
    std::vector<int> sources(other_.nodes.size(), -1);
    if (!Match({{graph_.output, other_.output}}, sources)) return std::nullopt;
    for (int& source : found_) source = std::max(source, 0);  // what gives a zero its shape alone
    return found_;
  }

 private:
  using Pairs = std::vector<std::pair<int, int>>;

  bool Match(Pairs open, std::vector<int> sources) {
    while (!open.empty()) {
      const auto [a, b] = open.back();
      open.pop_back();
      int& source = sources[static_cast<size_t>(b)];
      if (source == a) continue;
      const Node& x = graph_.nodes[static_cast<size_t>(a)];
      const Node& y = other_.nodes[static_cast<size_t>(b)];
      if (source >= 0 || std::find(sources.begin(), sources.end(), a) != sources.end()) return false;
      if (x.op != y.op || x.attributes != y.attributes || x.shape != y.shape ||
          x.inputs.size() != y.inputs.size())
        return false;
      source = a;
      if (x.op == "zero") continue;
      std::vector<int> inputs(x.inputs.begin(), x.inputs.end());
      const auto pair_up = [&] {
        Pairs pairs = open;
        for (size_t i = 0; i < inputs.size(); ++i) pairs.emplace_back(inputs[i], y.inputs[i]);
        return pairs;
      };
      if (!x.op->commutative()) {
        open = pair_up();
        continue;
      }
      std::sort(inputs.begin(), inputs.end());
      do {
        if (Match(pair_up(), sources)) return true;
      } while (std::next_permutation(inputs.begin(), inputs.end()));
      return false;
    }
    found_ = std::move(sources);
    return true;
  }

  const NetworkGraph& graph_;
  const NetworkGraph& other_;
  std::vector<int> found_;
};

// Other operators of the same parameters, and of the same shape where they stand.
const std::map<std::string, std::string> kOtherOperators = {
    {"relu", "tanh"}, {"tanh", "relu"}, {"max_pool", "avg_pool"}, {"relu6", "tanh"}, {"hard_swish", "tanh"}};

struct Exchanged {
  NetworkGraph graph;
  int node = 0;
};
// The graph with one node's operator exchanged; nullopt where it has none that could be.
std::optional<Exchanged> WithAnotherOperator(const NetworkGraph& graph, Rng& rng) {
  std::vector<size_t> nodes;
  for (size_t i = 1; i < graph.nodes.size(); ++i)
    if (kOtherOperators.count(std::string(graph.nodes[i].op.name())) != 0) nodes.push_back(i);
  if (nodes.empty()) return std::nullopt;
  const size_t chosen = nodes[rng.Below(nodes.size())];
  NetworkGraph changed;
  changed.nodes.push_back(graph.nodes[0]);
  for (size_t i = 1; i < graph.nodes.size(); ++i) {
    const Node& node = graph.nodes[i];
    const std::string name(node.op.name());
    if (i != chosen) {
      changed.nodes.push_back(node);
      continue;
    }
    const auto added =
        search_space::AppendNode(changed, kOtherOperators.at(name), node.attributes, node.inputs);
    EXPECT_TRUE(added.ok()) << added.status();
  }
  changed.output = graph.output;
  return Exchanged{std::move(changed), static_cast<int>(chosen)};
}

class SimplificationTest : public ::testing::Test {
 protected:
  SimplificationTest()
      : space_(*SearchSpace::Parse(*search_space::CatalogSpace("nas_bench_201"), "nas_bench_201")) {
    at::manual_seed(5);
  }
  NetworkGraph Lower(const Candidate& cell) const {
    return *space_.Lower(cell, {{3, kSize, kSize}, kClasses});
  }

  SearchSpace space_;
};

TEST_F(SimplificationTest, RandomCellsKeepTheirFunction) {
  Rng rng(9);
  for (int i = 0; i < 40; ++i) {
    const Candidate cell = space_.Sample(rng);
    SCOPED_TRACE(cell.ToJson());
    EXPECT_TRUE(SimplifiedIsTheSame(Lower(cell)));
  }
}

TEST_F(SimplificationTest, LearnedBiasesKeepTheirFunction) {
  for (const char* text : {
           R"({"edge_0_1":"none","edge_0_2":"none","edge_1_2":"none","edge_0_3":"skip_connect",
               "edge_1_3":"nor_conv_3x3","edge_2_3":"none"})",
           R"({"edge_0_1":"none","edge_0_2":"nor_conv_1x1","edge_1_2":"nor_conv_3x3","edge_0_3":"none",
               "edge_1_3":"avg_pool_3x3","edge_2_3":"nor_conv_3x3"})",
           R"({"edge_0_1":"none","edge_0_2":"none","edge_1_2":"nor_conv_1x1","edge_0_3":"none",
               "edge_1_3":"none","edge_2_3":"nor_conv_1x1"})",
       }) {
    SCOPED_TRACE(text);
    const auto cell = space_.ParseCandidate(text);
    ASSERT_TRUE(cell.ok()) << cell.status();
    EXPECT_TRUE(SimplifiedIsTheSame(Lower(*cell)));
  }
}

// For each way in which a shuffle undoes another, for parts that are joined again, and for transpositions,
// whose number decides.
TEST(UndoneOperatorsTest, KeepTheirFunction) {
  at::manual_seed(5);
  for (const int64_t first : {2, 3, 4, 6}) {
    for (const int64_t second : {2, 3, 4, 6}) {
      GraphBuilder image({12, 3, 2});
      image.Add("channel_shuffle", {{"groups", first}});
      image.Add("channel_shuffle", {{"groups", second}});
      image.Conv(5, 1);
      const size_t shuffles = first * second == 12 ? 0 : 2;
      EXPECT_EQ(search_space::Simplify(image.graph()).nodes.size(), 2 + shuffles) << first << " " << second;
      EXPECT_TRUE(SimplifiedIsTheSame(image.graph())) << first << " " << second;
    }
  }
  for (int64_t head = 1; head <= 5; ++head) {
    GraphBuilder image({6, 3, 2});
    const int first = image.Add("first_channels", {{"channels", head}});
    const int last = image.Add("last_channels", {{"channels", 6 - head}}, {0});
    image.Add("concat", {}, {first, last});
    image.Conv(5, 1);
    EXPECT_EQ(search_space::Simplify(image.graph()).nodes.size(), 2U) << head;
    EXPECT_TRUE(SimplifiedIsTheSame(image.graph())) << head;
  }
  for (int transpositions = 1; transpositions <= 4; ++transpositions) {
    GraphBuilder tokens({4, 6});
    for (int i = 0; i < transpositions; ++i) tokens.Add("transpose_tokens");
    tokens.Linear(3);
    const size_t left = transpositions % 2;
    EXPECT_EQ(search_space::Simplify(tokens.graph()).nodes.size(), 2 + left) << transpositions;
    EXPECT_TRUE(SimplifiedIsTheSame(tokens.graph())) << transpositions;
  }
}

// Every built-in space.
class CatalogSimplificationTest : public ::testing::TestWithParam<std::string> {
 protected:
  // Smaller images than the spaces are for, so that these tests are fast; a candidate that is dear even so is
  // not among them.
  static constexpr int64_t kMostParams = 12'000'000, kMostMacs = 60'000'000;

  CatalogSimplificationTest()
      : space_(*SearchSpace::Parse(*search_space::CatalogSpace(GetParam()), GetParam())),
        task_(SmallTask(space_, kSize)) {
    at::manual_seed(5);
  }
  // As written, of random candidates: `most`, or fewer where the space has few that are small enough.
  std::vector<NetworkGraph> Networks(int64_t most) {
    std::vector<NetworkGraph> networks;
    for (int draws = 0; std::ssize(networks) < most && draws < 300; ++draws) {
      auto graph = space_.Lower(space_.Sample(rng_), task_);
      if (!graph.ok()) continue;
      const auto costs = search_space::ComputeCosts(*graph);
      if (!costs.ok() || costs->params > kMostParams || costs->macs > kMostMacs) continue;
      networks.push_back(*std::move(graph));
    }
    EXPECT_FALSE(networks.empty());
    return networks;
  }

  SearchSpace space_;
  TaskShape task_;
  Rng rng_{9};
};

TEST_P(CatalogSimplificationTest, NetworksKeepTheirFunction) {
  for (const NetworkGraph& graph : Networks(5)) EXPECT_TRUE(SimplifiedIsTheSame(graph)) << graph.ToJson();
}

TEST_P(CatalogSimplificationTest, TheOrderOfNodesIsNoPartOfTheHashNorOfTheFunction) {
  for (const NetworkGraph& written : Networks(3)) {
    const NetworkGraph graph = search_space::Simplify(written);
    const NetworkGraph shuffled = Shuffled(graph, rng_);
    EXPECT_EQ(search_space::GraphHash(shuffled), search_space::GraphHash(graph)) << graph.ToJson();
    const auto sources = Isomorphism(graph, shuffled).Find();
    ASSERT_TRUE(sources) << graph.ToJson();
    EXPECT_TRUE(SameFunction(graph, shuffled, *sources)) << graph.ToJson();
  }
}

// Candidates that are near to each other, so that some are the same network.
TEST_P(CatalogSimplificationTest, EqualHashesAreEqualFunctions) {
  constexpr int kPairs = 4;
  std::map<std::string, NetworkGraph> seen;
  int pairs = 0;
  Candidate candidate = space_.Sample(rng_);
  for (int i = 0; i < 400 && pairs < kPairs; ++i) {
    candidate = i % 20 == 0 ? space_.Sample(rng_) : search_space::Mutate(space_, candidate, rng_);
    const auto written = space_.Lower(candidate, task_);
    if (!written.ok()) continue;
    const NetworkGraph graph = search_space::Simplify(*written);
    const auto [first, is_new] = seen.emplace(search_space::GraphHash(graph), graph);
    if (is_new || first->second == graph) continue;
    const auto costs = search_space::ComputeCosts(graph);
    if (costs->params > kMostParams || costs->macs > kMostMacs) continue;
    ++pairs;
    const auto sources = Isomorphism(first->second, graph).Find();
    ASSERT_TRUE(sources) << graph.ToJson() << "\n" << first->second.ToJson();
    EXPECT_TRUE(SameFunction(first->second, graph, *sources)) << graph.ToJson();
  }
}

TEST_P(CatalogSimplificationTest, AnotherOperatorIsAnotherHashAndFunction) {
  for (const NetworkGraph& written : Networks(5)) {
    NetworkGraph graph = search_space::Simplify(written);
    auto changed = WithAnotherOperator(graph, rng_);
    if (!changed) continue;
    EXPECT_NE(search_space::GraphHash(changed->graph), search_space::GraphHash(graph)) << graph.ToJson();
    EXPECT_FALSE(Isomorphism(graph, changed->graph).Find()) << graph.ToJson();
    // At that node: beside a large branch the output may show nothing of it.
    graph.output = changed->graph.output = changed->node;
    EXPECT_FALSE(SameFunction(graph, changed->graph, Themselves(graph))) << graph.ToJson();
  }
}

INSTANTIATE_TEST_SUITE_P(Catalog, CatalogSimplificationTest,
                         ::testing::ValuesIn(search_space::CatalogNames()),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace canopy::trainer
