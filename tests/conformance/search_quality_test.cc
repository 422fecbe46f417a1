// Whether the strategies search: 20 seeds of 200 evaluations on NAS-Bench-201's table.

#include <cmath>
#include <cstdlib>
#include <fstream>
#include <map>
#include <memory>
#include <numeric>
#include <string>
#include <vector>

#include "base/strings.h"
#include "controller/core/proposer.h"
#include "controller/strategies/strategies.h"
#include "gtest/gtest.h"
#include "search_spaces/catalog/catalog.h"
#include "search_spaces/space.h"

namespace canopy {
namespace {

constexpr int kSeeds = 20;
constexpr int kEvaluations = 200;

// Validation accuracy on CIFAR-10 after 12 epochs, as a fraction, by the decisions' JSON.
using Table = std::map<std::string, double>;

class SearchQualityTest : public testing::Test {
 protected:
  void SetUp() override {
    const char* folder = std::getenv("CANOPY_TABULAR_DATA");
    if (folder == nullptr) GTEST_SKIP() << "CANOPY_TABULAR_DATA names no folder with nas_bench_201.csv";
    auto space =
        search_space::SearchSpace::Parse(*search_space::CatalogSpace("nas_bench_201"), "nas_bench_201.yaml");
    ASSERT_TRUE(space.ok()) << space.status();
    space_ = std::make_unique<search_space::SearchSpace>(*space);
    std::ifstream file(std::string(folder) + "/nas_bench_201.csv");
    std::string line;
    ASSERT_TRUE(std::getline(file, line)) << "no nas_bench_201.csv in " << folder;
    while (std::getline(file, line)) {
      const std::vector<std::string> fields = Split(line, ',');
      table_[CellJson(fields[1])] = *ParseDouble(fields[6]) / 100;
    }
    ASSERT_EQ(table_.size(), 15'625u);
  }

  // Six digits for the edges 0-1, 0-2, 1-2, 0-3, 1-3, 2-3, as the table writes cells.
  std::string CellJson(const std::string& digits) const {
    static const char* const kOperators[] = {"none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3",
                                             "avg_pool_3x3"};
    std::vector<search_space::Candidate::Assignment> assignments;
    for (size_t i = 0; i < digits.size(); ++i)
      assignments.push_back({space_->decisions()[i].name, std::string(kOperators[digits[i] - '0'])});
    return search_space::Candidate(std::move(assignments)).ToJson();
  }

  // The scores in order of evaluation; each result is seen before the next proposal.
  std::vector<double> Search(const std::string& kind, uint64_t seed) const {
    model::CampaignRecord campaign;
    campaign.settings.task.input_shape = space_->default_task()->input;
    campaign.settings.task.classes = space_->default_task()->classes;
    auto strategy = strategies::MakeStrategy(kind, "{}", *space_, *space_->default_task(), seed);
    EXPECT_TRUE(strategy.ok()) << strategy.status();
    controller::Proposer proposer(campaign, *space_, {}, *std::move(strategy));
    std::vector<controller::ObservedResult> results;
    std::vector<double> scores;
    while (scores.size() < kEvaluations) {
      const auto batch = proposer.Propose(results, static_cast<int64_t>(scores.size()), 1);
      EXPECT_TRUE(batch.ok() && batch->ended.empty()) << batch.status();
      const model::CandidateFacts& candidate = batch->proposals.back().candidate;
      scores.push_back(table_.at(candidate.candidate_json));
      results = {{static_cast<int64_t>(scores.size()), candidate.candidate_json, candidate.candidate_hash,
                  true, scores.back()}};
    }
    return scores;
  }

  // Mean of the last quarter less the mean of the first, for each seed.
  std::vector<double> Gains(const std::string& kind) const {
    std::vector<double> gains;
    for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
      const std::vector<double> scores = Search(kind, seed);
      constexpr int kQuarter = kEvaluations / 4;
      gains.push_back((std::accumulate(scores.end() - kQuarter, scores.end(), 0.0) -
                       std::accumulate(scores.begin(), scores.begin() + kQuarter, 0.0)) /
                      kQuarter);
    }
    return gains;
  }

  std::unique_ptr<search_space::SearchSpace> space_;
  Table table_;
};

TEST_F(SearchQualityTest, EvolutionImproves) {
  int improved = 0;
  for (const double gain : Gains("regularized_evolution")) improved += gain > 0;
  EXPECT_GE(improved, 18);
}

TEST_F(SearchQualityTest, RandomSearchHasNoTrend) {
  const std::vector<double> gains = Gains("random");
  const double mean = std::accumulate(gains.begin(), gains.end(), 0.0) / kSeeds;
  double squares = 0;
  for (const double gain : gains) squares += (gain - mean) * (gain - mean);
  const double standard_error = std::sqrt(squares / (kSeeds - 1) / kSeeds);
  EXPECT_LE(std::abs(mean), 2 * standard_error) << "mean " << mean << ", standard error " << standard_error;
}

}  // namespace
}  // namespace canopy
