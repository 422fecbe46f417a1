// Every rule of simplification keeps a network's function: as written and simplified, with the same weights,
// it gives the same, in training and in inference.

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "search_spaces/catalog/catalog.h"
#include "search_spaces/simplify.h"
#include "search_spaces/space.h"
#include "worker/trainer/graph_module.h"

namespace canopy::trainer {
namespace {

using search_space::Candidate;
using search_space::NetworkGraph;
using search_space::SearchSpace;

constexpr int64_t kSize = 8, kClasses = 4;

std::unique_ptr<GraphModule> Build(const NetworkGraph& graph) {
  auto network = GraphModule::Build(graph, at::kFloat, 3);
  EXPECT_TRUE(network.ok()) << network.status();
  return *std::move(network);
}

// Batch norms as training leaves them, with nothing at its neutral value.
void Randomize(GraphModule& network) {
  for (Parameter& parameter : network.store().parameters()) {
    if (parameter.name.find("batch_norm.weight") != std::string::npos) parameter.value.uniform_(0.5, 1.5);
    if (parameter.name.find("batch_norm.bias") != std::string::npos) parameter.value.normal_(0, 0.5);
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

void ExpectClose(const at::Tensor& a, const at::Tensor& b) {
  const double scale = std::max(1.0, a.abs().max().item<double>());
  EXPECT_LT((a - b).abs().max().item<double>(), 1e-3 * scale);
}

void ExpectSameFunction(const NetworkGraph& graph) {
  auto written = Build(graph);
  const auto simplification = search_space::SimplifyWithSources(graph);
  auto simplified = Build(simplification.graph);
  Randomize(*written);
  CopyTensors(written->store().parameters(), simplification.sources, simplified->store().parameters());
  CopyTensors(written->store().buffers(), simplification.sources, simplified->store().buffers());
  simplified->store().RefreshCompute();
  at::Tensor images = EmptyImages(6, 3, kSize, kSize, at::kFloat);
  images.normal_();
  const auto compare_inference = [&] {
    written->PrepareInference();
    simplified->PrepareInference();
    ExpectClose(written->ForwardInference(images), simplified->ForwardInference(images));
  };
  compare_inference();
  Rng noise(1), same_noise(1);
  ExpectClose(written->ForwardTraining(images, noise), simplified->ForwardTraining(images, same_noise));
  compare_inference();  // with the statistics that training has left
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
    ExpectSameFunction(Lower(cell));
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
    ExpectSameFunction(Lower(*cell));
  }
}

}  // namespace
}  // namespace canopy::trainer
