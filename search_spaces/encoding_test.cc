#include "search_spaces/encoding.h"

#include <algorithm>
#include <map>
#include <memory>
#include <numeric>
#include <set>
#include <string>
#include <vector>

#include "base/sha256.h"
#include "base/strings.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "search_spaces/catalog/catalog.h"
#include "search_spaces/evaluation.h"
#include "search_spaces/graph_encoding.h"
#include "search_spaces/testing/parse_space.h"

namespace canopy::search_space {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::unique_ptr<Encoding> Make(std::string_view kind, const SearchSpace& space,
                               const Encoding::Options& options = {}) {
  auto encoding = MakeEncoding(kind, space, space.default_task().value_or(TaskShape()), options);
  EXPECT_TRUE(encoding.ok()) << encoding.status();
  return *std::move(encoding);
}

// The index of the appended operator.
int Append(NetworkGraph& graph, std::string_view op, const Attributes& attributes, NodeInputs inputs) {
  const auto node = AppendNode(graph, op, attributes, std::move(inputs));
  EXPECT_TRUE(node.ok()) << node.status();
  return node.value_or(0);
}

// relu(x) + relu(conv(x)), pooled.
NetworkGraph Residual() {
  NetworkGraph graph = *InputGraph({4, 8, 8});
  const int conv = Append(graph, "conv2d", {{"out_channels", int64_t{4}}, {"kernel", int64_t{3}}}, {0});
  const int left = Append(graph, "relu", {}, {conv});
  const int right = Append(graph, "relu", {}, {0});
  const int add = Append(graph, "add", {}, {left, right});
  graph.output = Append(graph, "global_avg_pool", {}, {add});
  return graph;
}

TEST(EncodingTest, EverySpaceHasOneLengthAndEqualCandidatesAreEqual) {
  for (const std::string& name : CatalogNames()) {
    const SearchSpace space = ParseSpace(*CatalogSpace(name));
    for (const std::string& kind : EncodingKinds()) {
      const auto encoding = Make(kind, space, {.max_nodes = 1024, .buckets = 128});
      const size_t length = encoding->columns().size();
      Rng rng(1);
      for (int i = 0; i < 3; ++i) {
        const Candidate candidate = space.Sample(rng);
        const auto code = encoding->Encode(candidate);
        if (kind != "numeric" && !space.Lower(candidate, *space.default_task()).ok()) {
          EXPECT_FALSE(code.ok());
          continue;
        }
        ASSERT_TRUE(code.ok()) << name << ": " << code.status();
        EXPECT_EQ(code->size(), length) << name << ": " << kind;
        EXPECT_EQ(*encoding->Encode(*space.ParseCandidate(candidate.ToJson())), *code);
      }
    }
  }
}

TEST(EncodingTest, ColumnsHaveNamesOfTheirOwn) {
  const SearchSpace space = ParseSpace(*CatalogSpace("fashion_macro"));
  for (const std::string& kind : EncodingKinds()) {
    const auto columns = Make(kind, space, {.max_nodes = 40, .buckets = 16})->columns();
    EXPECT_EQ(std::set<std::string>(columns.begin(), columns.end()).size(), columns.size()) << kind;
  }
}

TEST(NumericEncodingTest, ChoicesAreOneHotNumbersAreScaledAndWhatIsInactiveIsMarked) {
  const SearchSpace space = ParseSpace(R"(
canopy: 1
name: numbers
network: [relu, {dropout: {rate: {ordinal: [0, 0.1, 0.5]}}}]
recipe:
  optimizer: {choice: [sgd, adamw]}
  nesterov: {choice: [true, false], when: optimizer == 'sgd'}
  momentum: {float: [0, 0.8], when: optimizer == 'sgd'}
  learning_rate: {float: [0.01, 1], log: true}
  warmup: {int: [2, 6]}
)");
  const auto encoding = Make("numeric", space);
  EXPECT_THAT(encoding->columns(),
              ElementsAre("rate", "optimizer=sgd", "optimizer=adamw", "nesterov=true", "nesterov=false",
                          "momentum_active", "momentum", "learning_rate", "warmup"));
  const auto encode = [&](const std::string& json) { return *encoding->Encode(*space.ParseCandidate(json)); };
  EXPECT_THAT(encode(R"({"rate":0.1,"optimizer":"sgd","nesterov":false,"momentum":0.6,"learning_rate":0.1,)"
                     R"("warmup":3})"),
              ElementsAre(0.5, 1, 0, 0, 1, 1, testing::DoubleEq(0.75), testing::DoubleEq(0.5), 0.25));
  EXPECT_THAT(encode(R"({"rate":0.5,"optimizer":"adamw","learning_rate":1,"warmup":2})"),
              ElementsAre(1, 0, 1, 0, 0, 0, 0, 1, 0));
}

TEST(NumericEncodingTest, TellsAllCandidatesApart) {
  const SearchSpace space = ParseSpace(*CatalogSpace("fashion_macro"));
  const auto encoding = Make("numeric", space);
  Rng rng(2);
  std::map<std::vector<double>, std::string> known;
  for (int i = 0; i < 2000; ++i) {
    const Candidate candidate = space.Sample(rng);
    const auto [it, added] = known.emplace(*encoding->Encode(candidate), candidate.ToJson());
    EXPECT_TRUE(added || it->second == candidate.ToJson());
  }
}

TEST(AdjacencyEncodingTest, HasTheTriangleAndThenTheNodes) {
  const std::vector<double> code = *EncodeAdjacency(Residual(), 7);
  const std::vector<std::string> columns = AdjacencyColumns(7);
  ASSERT_EQ(code.size(), columns.size());
  std::vector<std::string> set;
  for (size_t i = 0; i < code.size(); ++i) {
    if (code[i] != 0) set.push_back(columns[i] + "=" + FormatDouble(code[i]));
  }
  EXPECT_THAT(
      set, ElementsAre("edge_0_1=1", "edge_0_3=1", "edge_1_2=1", "edge_2_4=1", "edge_3_4=1", "edge_4_5=1",
                       "node_0_input=1", "node_0_log2_channels=2", "node_1_conv2d=1", "node_1_kernel=3",
                       "node_1_stride=1", "node_1_log2_channels=2", "node_2_relu=1", "node_2_log2_channels=2",
                       "node_3_relu=1", "node_3_log2_channels=2", "node_4_add=1", "node_4_log2_channels=2",
                       "node_5_global_avg_pool=1", "node_5_log2_channels=2"));
  EXPECT_EQ(Message(EncodeAdjacency(Residual(), 5).status()),
            "adjacency encoding: expected a network of at most 5 nodes, found 6; raise max_nodes");
}

TEST(PathEncodingTest, CountsThePathsBetweenTheNodesThatAllPathsPass) {
  const std::vector<double> code = EncodePaths(Residual(), 4096);
  EXPECT_EQ(std::accumulate(code.begin(), code.end(), 0.0), 3);  // relu add; conv relu add; pool
  EXPECT_EQ(std::count(code.begin(), code.end(), 1.0), 3);
  // The same block again: the same two kinds, without new ones.
  NetworkGraph twice = *InputGraph({4, 8, 8});
  int from = 0;
  for (int i = 0; i < 2; ++i) {
    const int conv = Append(twice, "conv2d", {{"out_channels", int64_t{4}}, {"kernel", int64_t{3}}}, {from});
    const int left = Append(twice, "relu", {}, {conv});
    from = Append(twice, "add", {}, {left, Append(twice, "relu", {}, {from})});
  }
  twice.output = Append(twice, "global_avg_pool", {}, {from});
  std::vector<double> doubled = EncodePaths(twice, 4096);
  EXPECT_EQ(std::count(doubled.begin(), doubled.end(), 2.0), 2);
  EXPECT_EQ(std::count(doubled.begin(), doubled.end(), 1.0), 1);
}

// Numbers of paths grow beyond any list of them.
TEST(PathEncodingTest, ManyPathsAreCutToTheShortest) {
  NetworkGraph graph = *InputGraph({4});
  int before = 0, last = 0;
  for (int i = 0; i < 60; ++i) {
    const int next = Append(graph, "add", {},
                            {Append(graph, i % 2 ? "relu" : "tanh", {}, {before}),
                             Append(graph, i % 3 ? "silu" : "gelu", {}, {last})});
    before = last;
    last = next;
  }
  graph.output = last;
  const std::vector<double> code = EncodePaths(graph, 64);
  const double total = std::accumulate(code.begin(), code.end(), 0.0);
  EXPECT_GT(total, 1);
  EXPECT_LT(total, 1e12);
}

TEST(PathEncodingTest, EqualNetworksHaveEqualPathsAndOthersMostlyNot) {
  const SearchSpace space = ParseSpace(*CatalogSpace("nas_bench_201"));
  const auto encoding = Make("path", space);
  Rng rng(3);
  std::map<std::string, std::vector<double>> by_hash;
  std::set<std::vector<double>> codes;
  int pairs = 0;
  for (int i = 0; i < 1500; ++i) {
    const Candidate candidate = space.Sample(rng);
    const std::string hash = Evaluate(space, candidate, *space.default_task())->graph_hash;
    const std::vector<double> code = *encoding->Encode(candidate);
    const auto [it, added] = by_hash.emplace(hash, code);
    pairs += !added;
    EXPECT_EQ(it->second, code) << candidate.ToJson();
    codes.insert(code);
  }
  EXPECT_GT(pairs, 50);
  EXPECT_GT(codes.size(), by_hash.size() / 2);
}

TEST(EncodingTest, UnknownKindsAndSizesAreExplained) {
  const SearchSpace space = ParseSpace(*CatalogSpace("nas_bench_201"));
  const auto error = [&](std::string_view kind, const Encoding::Options& options) {
    return Message(MakeEncoding(kind, space, *space.default_task(), options).status());
  };
  EXPECT_EQ(error("paths", {}),
            "expected an encoding, one of numeric, adjacency, path, found 'paths' (did you mean 'path'?)");
  EXPECT_THAT(error("path", {.buckets = 0}),
              HasSubstr("buckets: expected an integer from 1 to 65,536, found 0"));
}

// A predictor trained on them goes on with every release.
TEST(EncodingTest, GoldenValuesStayTheSameOnEveryRelease) {
  const SearchSpace space = ParseSpace(*CatalogSpace("nas_bench_201"));
  const auto digest = [&](std::string_view kind) {
    const std::vector<double> code = *Make(kind, space)->Encode(*space.reference());
    std::string text;
    for (const double value : code) text += FormatDouble(value) + " ";
    return Sha256Hex(text).substr(0, 16);
  };
  EXPECT_EQ(digest("numeric"), "bfb61ddafca875e0");
  EXPECT_EQ(digest("path"), "325f0c3bf161004f");
}

}  // namespace
}  // namespace canopy::search_space
