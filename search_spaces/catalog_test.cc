#include "search_spaces/catalog/catalog.h"

#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/strings.h"
#include "gtest/gtest.h"
#include "search_spaces/evaluation.h"
#include "search_spaces/space.h"

namespace canopy::search_space {
namespace {

SearchSpace Catalog(const std::string& name) {
  auto space = SearchSpace::Parse(*CatalogSpace(name), name + ".yaml");
  EXPECT_TRUE(space.ok()) << space.status();
  return *std::move(space);
}

Costs CostsOf(const SearchSpace& space, const Candidate& candidate) {
  const auto evaluation = Evaluate(space, candidate, *space.default_task());
  EXPECT_TRUE(evaluation.ok()) << evaluation.status();
  return evaluation.ok() ? evaluation->costs_as_written : Costs();
}

Costs CostsOf(const SearchSpace& space, std::string_view json) {
  const auto candidate = space.ParseCandidate(json);
  EXPECT_TRUE(candidate.ok()) << candidate.status();
  return candidate.ok() ? CostsOf(space, *candidate) : Costs();
}

Costs ReferenceOf(const std::string& name) {
  const SearchSpace space = Catalog(name);
  return CostsOf(space, *space.reference());
}

TEST(CatalogTest, EverySpaceHasAReferenceAndCandidatesThatCanBeTrained) {
  for (const std::string& name : CatalogNames()) {
    SCOPED_TRACE(name);
    const SearchSpace space = Catalog(name);
    EXPECT_EQ(space.name(), name);
    EXPECT_FALSE(space.description().empty());
    ASSERT_TRUE(space.reference().has_value());
    ASSERT_TRUE(space.default_task().has_value());
    EXPECT_TRUE(CheckSpace(space, *space.default_task(), {}).ok());
    // Most of what is drawn is a network, too.
    Rng rng(1);
    int built = 0;
    for (int i = 0; i < 20; ++i) built += Evaluate(space, space.Sample(rng), *space.default_task()).ok();
    EXPECT_GE(built, 5);
  }
}

std::string ResNet(const std::string& kind, const std::vector<int>& depths) {
  std::string json = R"({"stem_width":64)";
  for (size_t i = 0; i < depths.size(); ++i) {
    const std::string stage = ",\"stage" + std::to_string(i + 1);
    json += stage + "_kind\":\"" + kind + "\"" + stage + "_width\":64" + stage +
            "_depth\":" + std::to_string(depths[i]);
  }
  return json + "}";
}

TEST(CatalogTest, ResNetsCountAsPublished) {
  const SearchSpace space = Catalog("resnet");
  const Costs resnet18 = CostsOf(space, ResNet("basic", {2, 2, 2, 2}));
  EXPECT_EQ(resnet18.params, 11689512);
  EXPECT_EQ(resnet18.macs, 1814073344);
  const Costs resnet34 = CostsOf(space, ResNet("basic", {3, 4, 6, 3}));
  EXPECT_EQ(resnet34.params, 21797672);
  EXPECT_EQ(resnet34.macs, 3663761408);
  const Costs resnet50 = CostsOf(space, *space.reference());
  EXPECT_EQ(resnet50.params, 25557032);
  EXPECT_EQ(resnet50.macs, 4089184256);
}

TEST(CatalogTest, NasBenchMacroCountsAsItsCodeDoes) {
  const SearchSpace space = Catalog("nas_bench_macro");
  EXPECT_EQ(space.Size(), "6561");
  const auto network = [&](const std::string& digits) {
    static const char* const kOperators[] = {"identity", "mb3_k3", "mb6_k5"};
    static const char* const kLayers[] = {"stage1_layer1_op", "stage1_layer2_op", "stage2_layer1_op",
                                          "stage2_layer2_op", "stage2_layer3_op", "stage3_layer1_op",
                                          "stage3_layer2_op", "stage3_layer3_op"};
    std::vector<Candidate::Assignment> assignments;
    for (int i = 0; i < 8; ++i) assignments.push_back({kLayers[i], std::string(kOperators[digits[i] - '0'])});
    return CostsOf(space, *space.MakeCandidate(assignments));
  };
  const auto counts = [&](const std::string& digits) {
    const Costs costs = network(digits);
    return std::make_pair(costs.params, costs.macs);
  };
  EXPECT_EQ(counts("22222222"), std::make_pair(int64_t{2932586}, int64_t{105660928}));
  EXPECT_EQ(counts("11111111"), std::make_pair(int64_t{1588874}, int64_t{53246464}));
  EXPECT_EQ(counts("00000000"), std::make_pair(int64_t{387882}, int64_t{7713280}));
  EXPECT_EQ(counts("22221122"), std::make_pair(int64_t{2652266}, int64_t{93391360}));
}

TEST(CatalogTest, SmallSpacesCountAsTheirNetworksDo) {
  EXPECT_EQ(ReferenceOf("resnet20_channels").params, 272474);
  EXPECT_EQ(ReferenceOf("resnet20_channels").macs, 40813184);
  EXPECT_EQ(Catalog("resnet20_channels").Size(), "549755813888");  // 8^13
  EXPECT_EQ(ReferenceOf("fcnet").params, 142602);
  EXPECT_EQ(ReferenceOf("fcnet").macs, 141824);
  EXPECT_EQ(Catalog("fcnet").Size(), "31104");
  EXPECT_EQ(ReferenceOf("vgg_recipe").params, 288170);
  EXPECT_EQ(ReferenceOf("vgg_recipe").macs, 29128448);
  EXPECT_EQ(Catalog("vgg_recipe").Size(/*architectures_only=*/true), "1");
}

// A cell of NAS-Bench-101: its edges as "from-to" and the operators of nodes 1 to 5.
Costs NasBench101(const std::vector<std::string>& edges, const std::vector<std::string>& operators) {
  const SearchSpace space = Catalog("nas_bench_101");
  const std::set<std::string> there(edges.begin(), edges.end());
  std::vector<Candidate::Assignment> assignments;
  for (int to = 1; to < 7; ++to) {
    for (int from = 0; from < to; ++from) {
      const std::string ends[] = {std::to_string(from), std::to_string(to)};
      assignments.push_back({"edge_" + ends[0] + "_" + ends[1], there.count(ends[0] + "-" + ends[1]) > 0});
    }
    if (to < 6) assignments.push_back({"node_" + std::to_string(to) + "_op", operators[to - 1]});
  }
  return CostsOf(space, *space.MakeCandidate(assignments));
}

TEST(CatalogTest, NasBench101CountsAsPublished) {
  const SearchSpace space = Catalog("nas_bench_101");
  EXPECT_EQ(space.Size(), "509607936");  // 2^21 3^5
  const Costs reference = CostsOf(space, *space.reference());
  EXPECT_EQ(reference.params, 2694282);
  EXPECT_EQ(reference.macs, 402002944);
  const std::string c1 = "conv1x1", c3 = "conv3x3", pool = "maxpool3x3";
  // Three nodes share 128 channels and a projection of the input is added.
  EXPECT_EQ(NasBench101({"0-1", "0-2", "0-3", "1-6", "2-6", "3-6", "0-6"}, {c3, c1, pool, c3, c3}).params,
            2913959);
  const Costs cut =
      NasBench101({"0-1", "1-2", "2-3", "1-3", "3-6", "0-6", "2-6", "0-4", "4-6"}, {c3, c1, c3, c3, c1});
  EXPECT_EQ(cut.params, 4683976);
  EXPECT_EQ(cut.macs, 697120064);
  // Node 2 leads nowhere.
  EXPECT_EQ(NasBench101({"0-6", "0-1", "1-2"}, {c3, c1, c3, c3, c1}).params, 882570);
}

TEST(CatalogTest, DartsCountsAsPublished) {
  const SearchSpace space = Catalog("darts");
  EXPECT_EQ(space.Size(), "1076746950455072400");
  const Costs reference = CostsOf(space, *space.reference());
  EXPECT_EQ(reference.params, 3349342);
  EXPECT_EQ(reference.macs, 528359040);
  const Costs wide = CostsOf(
      space,
      R"({"normal_edge_0_2":"sep_conv_5x5","normal_edge_1_2":"dil_conv_5x5","normal_node_3_inputs":"0_1",)"
      R"("normal_edge_0_3":"sep_conv_5x5","normal_edge_1_3":"dil_conv_5x5","normal_node_4_inputs":"0_1",)"
      R"("normal_edge_0_4":"sep_conv_5x5","normal_edge_1_4":"dil_conv_5x5","normal_node_5_inputs":"0_1",)"
      R"("normal_edge_0_5":"sep_conv_5x5","normal_edge_1_5":"dil_conv_5x5",)"
      R"("reduction_edge_0_2":"sep_conv_5x5","reduction_edge_1_2":"sep_conv_3x3",)"
      R"("reduction_node_3_inputs":"0_1","reduction_edge_0_3":"skip_connect",)"
      R"("reduction_edge_1_3":"dil_conv_3x3","reduction_node_4_inputs":"0_1",)"
      R"("reduction_edge_0_4":"skip_connect","reduction_edge_1_4":"skip_connect",)"
      R"("reduction_node_5_inputs":"0_1","reduction_edge_0_5":"sep_conv_3x3",)"
      R"("reduction_edge_1_5":"avg_pool_3x3"})");
  EXPECT_EQ(wide.params, 4103614);
  EXPECT_EQ(wide.macs, 659217024);
}

// `blocks` bottlenecks a stage: their kernels and expansions in turn.
std::string MobileNet(bool squeeze_excite, const std::vector<std::pair<int, double>>& blocks) {
  std::string json;
  for (int stage = 1; stage <= 5; ++stage) {
    const std::string name = "\"stage" + std::to_string(stage) + "_";
    json += (stage == 1 ? "{" : ",") + name + "squeeze_excite\":" + (squeeze_excite ? "true" : "false") +
            "," + name + "depth\":" + std::to_string(blocks.size());
    for (size_t i = 0; i < blocks.size(); ++i) {
      const std::string block = "," + name + "block" + std::to_string(i + 1);
      json += block + "_kernel\":" + std::to_string(blocks[i].first) + block +
              "_expansion\":" + FormatDouble(blocks[i].second);
    }
  }
  return json + "}";
}

// Against torchvision's mobilenet_v3_large and its InvertedResidual blocks, MACs of layers alone.
TEST(CatalogTest, MobileNetV3CountsAsTorchvisionDoes) {
  const SearchSpace space = Catalog("mobilenet_v3");
  EXPECT_EQ(space.Size(), "15001952351781827812500000");  // (2 (15^2 + 15^3 + 15^4))^5
  const Costs reference = CostsOf(space, *space.reference());
  EXPECT_EQ(reference.params, 5483032);
  EXPECT_EQ(reference.macs, 216589760);
  const Costs largest = CostsOf(space, MobileNet(true, {{7, 6}, {7, 6}, {7, 6}, {7, 6}}));
  EXPECT_EQ(largest.params, 8084304);
  EXPECT_EQ(largest.macs, 566586144);
  const Costs plain = CostsOf(space, MobileNet(false, {{5, 2.3}, {7, 2.5}}));
  EXPECT_EQ(plain.params, 3098840);
  EXPECT_EQ(plain.macs, 122861424);
}

// The reference's activations are those of its table 1: relu up to the 40 channels, h-swish behind.
TEST(CatalogTest, MobileNetV3LargeHasItsActivationsAndSqueezes) {
  const SearchSpace space = Catalog("mobilenet_v3");
  const auto evaluation = Evaluate(space, *space.reference(), *space.default_task());
  ASSERT_TRUE(evaluation.ok()) << evaluation.status();
  std::vector<std::string> activations;
  std::vector<int64_t> squeezes;
  for (const Node& node : evaluation->graph.nodes) {
    if (node.op == "relu" || node.op == "hard_swish")
      activations.push_back(std::string(node.op.name()) + ":" + std::to_string(node.shape[0]));
    if (node.op == "squeeze_excite") {
      squeezes.push_back(IntegerOf(node.attributes, "squeeze"));
      EXPECT_EQ(WordOf(node.attributes, "gate"), "hard_sigmoid");
    }
  }
  std::vector<std::string> expected = {"hard_swish:16", "relu:16"};
  const auto twice = [&](const std::string& name, const std::vector<int>& channels) {
    for (const int c : channels) expected.insert(expected.end(), 2, name + ":" + std::to_string(c));
  };
  twice("relu", {64, 72, 72, 120, 120});
  twice("hard_swish", {240, 200, 184, 184, 480, 672, 672, 960, 960});
  expected.insert(expected.end(), {"hard_swish:960", "hard_swish:1280"});
  EXPECT_EQ(activations, expected);
  EXPECT_EQ(squeezes, (std::vector<int64_t>{24, 32, 32, 120, 168, 168, 240, 240}));
}

// "layer1_heads":3,"layer1_mlp_ratio":4, ... for `layers` equal ones.
std::string Layers(int layers, const std::string& second, int heads, const std::string& value) {
  std::string json;
  for (int i = 1; i <= layers; ++i) {
    const std::string name = ",\"layer" + std::to_string(i);
    json += name + "_heads\":" + std::to_string(heads) + name + "_" + second + "\":" + value;
  }
  return json;
}

TEST(CatalogTest, AutoFormerCountsAsPublished) {
  const SearchSpace space = Catalog("autoformer");
  EXPECT_EQ(space.Size(), "1056964608");  // 3 (4^12 + 4^13 + 4^14)
  const Costs reference = CostsOf(space, *space.reference());
  EXPECT_EQ(reference.params, 5717416);  // DeiT-Ti
  EXPECT_EQ(reference.macs, 1253683200);
  const Costs largest =
      CostsOf(space, R"({"embedding":240,"layers":14)" + Layers(14, "mlp_ratio", 4, "4.0") + "}");
  EXPECT_EQ(largest.params, 10409752);
  EXPECT_EQ(largest.macs, 2263242112);
}

TEST(CatalogTest, DecoderLmCountsAsGpt2) {
  const SearchSpace space = Catalog("decoder_lm");
  const Costs reference = CostsOf(space, *space.reference());
  constexpr int64_t kHead = 50257 * 768;  // GPT-2's is the embedding
  EXPECT_EQ(reference.params - kHead, 124439808);
  // The head sees the last token alone.
  constexpr int64_t kTokens = 1024, kFeatures = 768, kLayers = 12;
  constexpr int64_t kWeights = 12 * kFeatures * kFeatures, kProducts = 2 * kTokens * kFeatures;
  EXPECT_EQ(reference.macs, kLayers * kTokens * (kWeights + kProducts) + kHead);
  const Costs small =
      CostsOf(space, R"({"embedding":384,"context":256,"activation":"relu","layers":2,"layer1_heads":4,)"
                     R"("layer1_feed_forward":1536,"layer2_heads":2,"layer2_feed_forward":256})");
  EXPECT_EQ(small.params, 40670080);
  EXPECT_EQ(small.macs, 572946816);
}

// What is not in the catalog can be written from the docs (Sandler et al., CVPR 2018, table 2).
TEST(CatalogTest, MobileNetV2CanBeWrittenAndCountsAsPublished) {
  const auto space = SearchSpace::Parse(R"(
canopy: 1
name: mobilenet_v2
input: {shape: [3, 224, 224], classes: 1000}
decisions:
  multiplier: {choice: [0.35, 0.5, 0.75, 1.0, 1.4]}
blocks:
  convolution:
    parameters: [width, kernel, stride, groups]
    defaults: {stride: 1, groups: 1}
    body:
      - conv2d: {out_channels: width, kernel: kernel, stride: stride, groups: groups, bias: false}
      - batch_norm
      - relu6
  bottleneck:
    parameters: [expansion, width, stride]
    body:
      - optional:
          when: expansion > 1
          body: [{conv2d: {out_channels: in_channels * expansion, kernel: 1, bias: false}}, batch_norm, relu6]
      - conv2d: {out_channels: in_channels, kernel: 3, stride: stride, groups: in_channels, bias: false}
      - batch_norm
      - relu6
      - conv2d: {out_channels: width, kernel: 1, bias: false}
      - batch_norm
  stage:
    parameters: [expansion, base, count, stride]
    body:
      - use:
          block: bottleneck
          with:
            expansion: expansion
            width: divisible(base * multiplier, 8)
            stride: stride
      - repeat:
          count: count - 1
          body:
            residual:
              body:
                use:
                  block: bottleneck
                  with:
                    expansion: expansion
                    width: divisible(base * multiplier, 8)
                    stride: 1
network:
  - use:
      block: convolution
      with:
        width: divisible(32 * multiplier, 8)
        kernel: 3
        stride: 2
  - use: {block: stage, with: {expansion: 1, base: 16, count: 1, stride: 1}}
  - use: {block: stage, with: {expansion: 6, base: 24, count: 2, stride: 2}}
  - use: {block: stage, with: {expansion: 6, base: 32, count: 3, stride: 2}}
  - use: {block: stage, with: {expansion: 6, base: 64, count: 4, stride: 2}}
  - use: {block: stage, with: {expansion: 6, base: 96, count: 3, stride: 1}}
  - use: {block: stage, with: {expansion: 6, base: 160, count: 3, stride: 2}}
  - use: {block: stage, with: {expansion: 6, base: 320, count: 1, stride: 1}}
  - use:
      block: convolution
      with:
        width: divisible(1280 * max(1, multiplier), 8)
        kernel: 1
  - global_avg_pool
  - linear: {features: classes}
)",
                                        "mobilenet_v2.yaml");
  ASSERT_TRUE(space.ok()) << space.status();
  const Costs costs = CostsOf(*space, R"({"multiplier":1.0})");
  EXPECT_EQ(costs.params, 3504872);
  EXPECT_EQ(costs.macs, 300774272);
}

}  // namespace
}  // namespace canopy::search_space
