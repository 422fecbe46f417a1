// Networks that no built-in space has, written from the documentation: docs/examples/networks. Their
// parameters are exactly those of the implementations that their papers' readers use, MACs those published.

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <ostream>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "search_spaces/evaluation.h"
#include "search_spaces/space.h"

namespace canopy::search_space {
namespace {

struct PublishedNetwork {
  std::string file;
  int64_t params;
  double published_gmacs;  // as torchvision and timm round them
  int64_t macs;

  friend void PrintTo(const PublishedNetwork& network, std::ostream* out) { *out << network.file; }
};

const PublishedNetwork kNetworks[] = {
    {"convnext", 28'589'128, 4.46, 4'455'531'264},      // ConvNeXt-T
    {"efficientnet", 5'288'548, 0.39, 385'814'752},     // EfficientNet-B0
    {"inception_v3", 23'834'568, 5.71, 5'713'216'096},  // without its auxiliary head
    {"mlp_mixer", 59'880'472, 12.6, 12'601'767'936},    // Mixer-B/16
    {"shufflenet_v2", 2'278'604, 0.145, 144'907'992},   // x1.0
    {"swin", 28'288'354, 4.49, 4'490'566'656},          // Swin-T
};

std::string PathOf(const std::string& name) {
  return std::string(CANOPY_EXAMPLE_NETWORKS) + "/" + name + ".yaml";
}

class PublishedNetworksTest : public ::testing::TestWithParam<PublishedNetwork> {};

TEST_P(PublishedNetworksTest, CountsAsPublished) {
  const PublishedNetwork& network = GetParam();
  std::ifstream file(PathOf(network.file));
  const std::string text((std::istreambuf_iterator<char>(file)), {});
  const auto space = SearchSpace::Parse(text, network.file + ".yaml");
  ASSERT_TRUE(space.ok()) << space.status();
  const Candidate reference = space->reference().value_or(Candidate());
  const auto evaluation = Evaluate(*space, reference, *space->default_task());
  ASSERT_TRUE(evaluation.ok()) << evaluation.status();
  EXPECT_EQ(evaluation->costs_as_written.params, network.params);
  EXPECT_EQ(evaluation->costs_as_written.macs, network.macs);
  EXPECT_NEAR(static_cast<double>(network.macs) / 1e9, network.published_gmacs,
              network.published_gmacs * 0.02);
  EXPECT_TRUE(CheckSpace(*space, *space->default_task(), {}).ok());
}

TEST(PublishedNetworkFiles, EveryOneIsCounted) {
  std::vector<std::string> files, known;
  for (const auto& entry : std::filesystem::directory_iterator(CANOPY_EXAMPLE_NETWORKS))
    files.push_back(entry.path().stem());
  for (const PublishedNetwork& network : kNetworks) known.push_back(network.file);
  std::sort(files.begin(), files.end());
  EXPECT_EQ(files, known);
}

INSTANTIATE_TEST_SUITE_P(Examples, PublishedNetworksTest, ::testing::ValuesIn(kNetworks),
                         [](const auto& info) { return info.param.file; });

}  // namespace
}  // namespace canopy::search_space
