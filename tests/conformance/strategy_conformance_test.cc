// What every strategy must do, run over all of them: a new one joins through StrategyKinds.

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/random.h"
#include "controller/core/proposer.h"
#include "controller/core/strategy.h"
#include "controller/strategies/strategies.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "search_spaces/catalog/catalog.h"
#include "search_spaces/space.h"

namespace canopy {
namespace {

using controller::Observation;
using controller::Strategy;
using search_space::Candidate;
using search_space::SearchSpace;

// 2 * (2 + 3) = 10 candidates; `kernel` is inactive where the block is pooling.
constexpr char kFiniteSpace[] = R"(
canopy: 1
name: finite
input: {shape: [1, 8, 8], classes: 10}
network:
  - one_of:
      name: block
      choices:
        conv:
          - conv2d: {out_channels: 4, kernel: {name: kernel, choice: [1, 3]}, bias: false}
        pool:
          - max_pool: {kernel: {name: window, choice: [2, 3, 4]}}
  - global_avg_pool
  - linear: {features: classes}
recipe:
  learning_rate: {choice: [0.1, 0.2]}
)";

SearchSpace Parse(std::string_view text) {
  auto space = SearchSpace::Parse(text, "space.yaml");
  EXPECT_TRUE(space.ok()) << space.status();
  return *space;
}

std::vector<SearchSpace> Spaces() {
  std::vector<SearchSpace> spaces = {Parse(kFiniteSpace)};
  for (const std::string& name : search_space::CatalogNames())
    spaces.push_back(Parse(*search_space::CatalogSpace(name)));
  return spaces;
}

class StrategyConformanceTest : public testing::TestWithParam<std::string> {
 protected:
  std::unique_ptr<Strategy> Make(const SearchSpace& space, uint64_t seed = 7) const {
    auto strategy = strategies::MakeStrategy(GetParam(), "{}", space, seed);
    EXPECT_TRUE(strategy.ok()) << strategy.status();
    return *std::move(strategy);
  }

  // One of the three outcomes with a score of its own, from `rng`.
  static Observation Outcome(Candidate candidate, Rng& rng) {
    const uint64_t kind = rng.Below(4);
    if (kind == 0) return {Observation::Kind::kInfeasible, std::move(candidate), 0, 0};
    if (kind == 1) return {Observation::Kind::kRejected, std::move(candidate), 0, 10 * rng.Double()};
    return {Observation::Kind::kCompleted, std::move(candidate), rng.Double(), 0};
  }
};

TEST_P(StrategyConformanceTest, EveryProposalLiesInTheSpace) {
  for (const SearchSpace& space : Spaces()) {
    const auto strategy = Make(space);
    Rng rng(1);
    for (int i = 0; i < 300; ++i) {
      auto candidate = strategy->Propose();
      if (absl::IsOutOfRange(candidate.status())) break;
      ASSERT_TRUE(candidate.ok()) << candidate.status();
      ASSERT_TRUE(space.CheckCandidate(*candidate).ok()) << space.name() << ": " << candidate->ToJson();
      strategy->Record(Outcome(*std::move(candidate), rng));
    }
  }
}

TEST_P(StrategyConformanceTest, SavedAndRestoredAtEveryStepItGoesOnTheSame) {
  for (const SearchSpace& space : Spaces()) {
    const auto whole = Make(space);
    std::string state = whole->Save();
    Rng rng(2);
    for (int i = 0; i < 150; ++i) {
      const auto restored = Make(space);
      ASSERT_TRUE(restored->Restore(state).ok()) << space.name() << " at step " << i;
      const auto expected = whole->Propose();
      const auto actual = restored->Propose();
      ASSERT_EQ(actual.status().code(), expected.status().code()) << space.name() << " at step " << i;
      if (!expected.ok()) break;
      ASSERT_EQ(actual->ToJson(), expected->ToJson()) << space.name() << " at step " << i;
      ASSERT_EQ(restored->Save(), whole->Save()) << space.name() << " at step " << i;
      whole->Record(Outcome(*expected, rng));
      state = whole->Save();
    }
  }
}

// What a campaign evaluated before its space changed is shown to a fresh strategy.
TEST_P(StrategyConformanceTest, WhatOthersProposedIsTakenUp) {
  for (const SearchSpace& space : Spaces()) {
    const auto strategy = Make(space);
    Rng rng(3);
    for (int i = 0; i < 60; ++i)
      strategy->Record({Observation::Kind::kCompleted, space.Sample(rng), rng.Double(), 0});
    const auto restored = Make(space);
    ASSERT_TRUE(restored->Restore(strategy->Save()).ok());
    const auto proposal = strategy->Propose();
    ASSERT_TRUE(proposal.ok()) << proposal.status();
    EXPECT_TRUE(space.CheckCandidate(*proposal).ok());
    EXPECT_EQ(restored->Propose()->ToJson(), proposal->ToJson());
  }
}

TEST(RegularizedEvolutionTest, AsManyObservationsAsThePopulationHoldsReplaceItsRandomCandidates) {
  const SearchSpace space = Parse(*search_space::CatalogSpace("nas_bench_201"));
  const auto strategy =
      *strategies::MakeStrategy("regularized_evolution", R"({"population":4,"sample":4})", space, 7);
  Rng rng(3);
  const Candidate best = space.Sample(rng);
  strategy->Record({Observation::Kind::kCompleted, best, 1, 0});
  for (int i = 0; i < 3; ++i) strategy->Record({Observation::Kind::kCompleted, space.Sample(rng), 0, 0});
  const auto child = strategy->Propose();
  ASSERT_TRUE(child.ok()) << child.status();
  int changed = 0;
  for (const Candidate::Assignment& gene : best.assignments())
    changed += *child->Find(gene.decision) != gene.value;
  EXPECT_EQ(changed, 1);
}

TEST_P(StrategyConformanceTest, SeedsGiveSearchesOfTheirOwn) {
  const SearchSpace space = Parse(*search_space::CatalogSpace("fashion_macro"));
  EXPECT_EQ(Make(space, 1)->Propose()->ToJson(), Make(space, 1)->Propose()->ToJson());
  EXPECT_NE(Make(space, 1)->Propose()->ToJson(), Make(space, 2)->Propose()->ToJson());
}

TEST_P(StrategyConformanceTest, DamagedStateIsRefused) {
  const auto strategy = Make(Parse(kFiniteSpace));
  EXPECT_EQ(strategy->Restore("{\"members\":").code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(strategy->Restore("").code(), absl::StatusCode::kDataLoss);
}

TEST_P(StrategyConformanceTest, NothingButFailuresStillGivesProposals) {
  const SearchSpace space = Parse(*search_space::CatalogSpace("fashion_macro"));
  for (const auto kind : {Observation::Kind::kInfeasible, Observation::Kind::kRejected}) {
    const auto strategy = Make(space);
    for (int i = 0; i < 200; ++i) {
      const auto candidate = strategy->Propose();
      ASSERT_TRUE(candidate.ok()) << candidate.status();
      strategy->Record({kind, *candidate, 0, 1});
    }
  }
}

// Behind a proposer, with each result seen before the next proposal.
TEST_P(StrategyConformanceTest, ExhaustedSpaceEndsWithEveryCandidateEvaluatedOnce) {
  const SearchSpace space = Parse(kFiniteSpace);
  model::CampaignRecord campaign;
  campaign.settings.task.input_shape = {1, 8, 8};
  campaign.settings.task.classes = 10;
  controller::Proposer proposer(campaign, space, {}, Make(space));
  std::vector<controller::ObservedResult> results;
  std::set<std::string> evaluated;
  std::string ended;
  for (int64_t seq = 1; ended.empty() && seq <= 100; ++seq) {
    const auto batch = proposer.Propose(results, seq - 1, 1);
    ASSERT_TRUE(batch.ok()) << batch.status();
    ended = batch->ended;
    results.clear();
    for (const controller::Proposal& proposal : batch->proposals) {
      if (proposal.verdict != controller::Proposal::Verdict::kAccepted) continue;
      EXPECT_TRUE(evaluated.insert(proposal.candidate.candidate_hash).second);
      results.push_back(
          {seq, proposal.candidate.candidate_json, proposal.candidate.candidate_hash, true, 0.5});
    }
  }
  EXPECT_FALSE(ended.empty());
  EXPECT_EQ(evaluated.size(), 10u);
}

INSTANTIATE_TEST_SUITE_P(All, StrategyConformanceTest, testing::ValuesIn(strategies::StrategyKinds()),
                         [](const auto& info) { return info.param; });

TEST(StrategiesTest, UnknownNamesAndValuesAreExplained) {
  const SearchSpace space = Parse(kFiniteSpace);
  const auto message = [&](std::string_view kind, std::string_view parameters) {
    return Message(strategies::MakeStrategy(kind, parameters, space, 1).status());
  };
  EXPECT_THAT(message("regularised_evolution", "{}"),
              testing::AllOf(testing::HasSubstr("did you mean 'regularized_evolution'?"),
                             testing::HasSubstr("random")));
  EXPECT_THAT(message("regularized_evolution", "{\"populaton\":5}"),
              testing::HasSubstr("did you mean 'population'?"));
  EXPECT_THAT(message("regularized_evolution", "{\"population\":0}"), testing::HasSubstr("population"));
  EXPECT_THAT(message("random", "{\"sample\":1}"), testing::HasSubstr("unknown parameter 'sample'"));
}

}  // namespace
}  // namespace canopy
