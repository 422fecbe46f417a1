// What every strategy must do, run over all of them: a new one joins through StrategyKinds.

#include <cctype>
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
#include "search_spaces/evaluation.h"
#include "search_spaces/space.h"
#include "search_spaces/testing/parse_space.h"

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

std::vector<SearchSpace> Spaces() {
  std::vector<SearchSpace> spaces = {search_space::ParseSpace(kFiniteSpace)};
  for (const std::string& name : search_space::CatalogNames())
    spaces.push_back(search_space::ParseSpace(*search_space::CatalogSpace(name)));
  return spaces;
}

struct Variant {
  std::string kind, parameters = "{}";
};

// Every kind as it is by default, and options that make proposals differently.
std::vector<Variant> Variants() {
  std::vector<Variant> variants;
  for (const std::string& kind : strategies::StrategyKinds()) variants.push_back({kind});
  variants.push_back({"random", R"({"sampling":"uniform"})"});
  variants.push_back({"regularized_evolution", R"({"mutation":"network"})"});
  variants.push_back({"regularized_evolution", R"({"crossover":0.5,"population":10,"sample":3})"});
  return variants;
}

StatusOr<std::unique_ptr<Strategy>> MakeStrategy(const Variant& variant, const SearchSpace& space,
                                                 uint64_t seed) {
  return strategies::MakeStrategy(variant.kind, variant.parameters, space, *space.default_task(), seed);
}

class StrategyConformanceTest : public testing::TestWithParam<Variant> {
 protected:
  std::unique_ptr<Strategy> Make(const SearchSpace& space, uint64_t seed = 7) const {
    auto strategy = MakeStrategy(GetParam(), space, seed);
    EXPECT_TRUE(strategy.ok()) << strategy.status();
    return *std::move(strategy);
  }

  // One of the outcomes with a score of its own, from `rng`.
  static Observation Outcome(Candidate candidate, Rng& rng) {
    const uint64_t kind = rng.Below(5);
    if (kind == 0) return {Observation::Kind::kInfeasible, std::move(candidate), 0, 0};
    if (kind == 1) return {Observation::Kind::kRejected, std::move(candidate), 0, 10 * rng.Double()};
    if (kind == 2) return {Observation::Kind::kStopped, std::move(candidate), rng.Double(), 0, rng.Int(1, 3)};
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

// At every step of the beginning, and at every seventh: restoring takes long in large spaces.
TEST_P(StrategyConformanceTest, SavedAndRestoredItGoesOnTheSame) {
  for (const SearchSpace& space : Spaces()) {
    const auto whole = Make(space);
    Rng rng(2);
    for (int i = 0; i < 150; ++i) {
      const bool restores = i < 4 || i % 7 == 0;
      const std::unique_ptr<Strategy> restored = restores ? Make(space) : nullptr;
      if (restores) {
        ASSERT_TRUE(restored->Restore(whole->Save()).ok()) << space.name() << " at step " << i;
      }
      const auto expected = whole->Propose();
      if (restores) {
        const auto actual = restored->Propose();
        ASSERT_EQ(actual.status().code(), expected.status().code()) << space.name() << " at step " << i;
        if (expected.ok()) {
          ASSERT_EQ(actual->ToJson(), expected->ToJson()) << space.name() << " at step " << i;
        }
        ASSERT_EQ(restored->Save(), whole->Save()) << space.name() << " at step " << i;
      }
      if (!expected.ok()) break;
      whole->Record(Outcome(*expected, rng));
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
  const SearchSpace space = search_space::ParseSpace(*search_space::CatalogSpace("nas_bench_201"));
  const auto strategy = *strategies::MakeStrategy("regularized_evolution", R"({"population":4,"sample":4})",
                                                  space, *space.default_task(), 7);
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
  const SearchSpace space = search_space::ParseSpace(*search_space::CatalogSpace("fashion_macro"));
  EXPECT_EQ(Make(space, 1)->Propose()->ToJson(), Make(space, 1)->Propose()->ToJson());
  EXPECT_NE(Make(space, 1)->Propose()->ToJson(), Make(space, 2)->Propose()->ToJson());
}

TEST_P(StrategyConformanceTest, DamagedStateIsRefused) {
  const auto strategy = Make(search_space::ParseSpace(kFiniteSpace));
  EXPECT_EQ(strategy->Restore("{\"members\":").code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(strategy->Restore("").code(), absl::StatusCode::kDataLoss);
}

TEST_P(StrategyConformanceTest, NothingButFailuresStillGivesProposals) {
  const SearchSpace space = search_space::ParseSpace(*search_space::CatalogSpace("fashion_macro"));
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
  const SearchSpace space = search_space::ParseSpace(kFiniteSpace);
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

INSTANTIATE_TEST_SUITE_P(All, StrategyConformanceTest, testing::ValuesIn(Variants()), [](const auto& info) {
  std::string name = info.param.kind;
  for (const char c : info.param.parameters) {
    if (std::isalpha(static_cast<unsigned char>(c))) name += c;
  }
  return name;
});

// Every candidate once, in an order that no memory holds; 509,607,936 here.
TEST(RandomSearchTest, DistinctSamplingWalksThroughALargeSpace) {
  const SearchSpace space = search_space::ParseSpace(*search_space::CatalogSpace("nas_bench_101"));
  const Variant distinct{"random", R"({"sampling":"distinct"})"};
  const auto strategy = *MakeStrategy(distinct, space, 3);
  std::set<std::string> seen;
  for (int i = 0; i < 2000; ++i) {
    const auto candidate = strategy->Propose();
    ASSERT_TRUE(candidate.ok()) << candidate.status();
    EXPECT_TRUE(space.CheckCandidate(*candidate).ok());
    EXPECT_TRUE(seen.insert(candidate->ToJson()).second);
    if (i != 1000) continue;
    const auto restored = *MakeStrategy(distinct, space, 3);
    ASSERT_TRUE(restored->Restore(strategy->Save()).ok());
    const auto again = *MakeStrategy(distinct, space, 3);
    ASSERT_TRUE(again->Restore(strategy->Save()).ok());
    EXPECT_EQ(restored->Propose()->ToJson(), again->Propose()->ToJson());
  }
}

TEST(RandomSearchTest, ByDefaultSmallSpacesAreWalkedAndLargeOnesSampled) {
  const auto state = [](const char* name) {
    const SearchSpace space = search_space::ParseSpace(*search_space::CatalogSpace(name));
    const auto strategy = *MakeStrategy({"random"}, space, 1);
    EXPECT_TRUE(strategy->Propose().ok());
    return strategy->Save();
  };
  EXPECT_EQ(state("nas_bench_201"), "1");
  EXPECT_EQ(state("nas_bench_101").size(), 64u);  // of a generator
  EXPECT_EQ(state("fashion_macro").size(), 64u);
}

// With mutations of one decision most children of such cells are their parents again.
TEST(RegularizedEvolutionTest, NetworkMutationProposesNoParentAgain) {
  const SearchSpace space = search_space::ParseSpace(*search_space::CatalogSpace("nas_bench_201"));
  const Candidate parent = *space.ParseCandidate(
      R"({"edge_0_1":"none","edge_0_2":"none","edge_1_2":"none","edge_0_3":"nor_conv_3x3",)"
      R"("edge_1_3":"none","edge_2_3":"none"})");
  const auto hash = [&](const Candidate& candidate) {
    return search_space::Evaluate(space, candidate, *space.default_task())->graph_hash;
  };
  const auto repeated = [&](const std::string& mutation) {
    const auto strategy = *MakeStrategy(
        {"regularized_evolution", R"({"population":1,"sample":1,"mutation":")" + mutation + "\"}"}, space, 1);
    EXPECT_TRUE(strategy->Propose().ok());
    int same = 0;
    for (int i = 0; i < 60; ++i) {
      strategy->Record({Observation::Kind::kCompleted, parent, 0.5, 0});
      same += hash(*strategy->Propose()) == hash(parent);
    }
    return same;
  };
  EXPECT_EQ(repeated("network"), 0);
  EXPECT_GT(repeated("one_decision"), 20);
}

TEST(RegularizedEvolutionTest, CrossoverMixesTwoParents) {
  const SearchSpace space = search_space::ParseSpace(*search_space::CatalogSpace("nas_bench_201"));
  const auto all = [&](const std::string& op) {
    std::string json;
    for (const char* edge : {"0_1", "0_2", "1_2", "0_3", "1_3", "2_3"})
      json += (json.empty() ? "{\"edge_" : ",\"edge_") + std::string(edge) + "\":\"" + op + "\"";
    return *space.ParseCandidate(json + "}");
  };
  const Candidate first = all("skip_connect"), second = all("nor_conv_3x3");
  // Children that share at least two decisions with each parent.
  const auto mixed = [&](const std::string& parameters) {
    const auto strategy = *MakeStrategy({"regularized_evolution", parameters}, space, 1);
    for (const Candidate& member : {first, second}) {
      EXPECT_TRUE(strategy->Propose().ok());
      strategy->Record({Observation::Kind::kCompleted, member, 0.5, 0});
    }
    int count = 0;
    for (int i = 0; i < 100; ++i) {
      const Candidate child = *strategy->Propose();
      int of_first = 0, of_second = 0;
      for (const Candidate::Assignment& decision : child.assignments()) {
        of_first += decision.value == *first.Find(decision.decision);
        of_second += decision.value == *second.Find(decision.decision);
      }
      count += of_first >= 2 && of_second >= 2;
    }
    return count;
  };
  EXPECT_EQ(mixed(R"({"population":2,"sample":1})"), 0);
  const int half = mixed(R"({"population":2,"sample":1,"crossover":0.5})");
  EXPECT_GT(half, 5);
  EXPECT_GT(mixed(R"({"population":2,"sample":1,"crossover":1})"), half);
}

TEST(StrategiesTest, UnknownNamesAndValuesAreExplained) {
  const SearchSpace space = search_space::ParseSpace(kFiniteSpace);
  const auto message = [&](std::string_view kind, std::string_view parameters) {
    return Message(MakeStrategy({std::string(kind), std::string(parameters)}, space, 1).status());
  };
  EXPECT_THAT(message("regularised_evolution", "{}"),
              testing::AllOf(testing::HasSubstr("did you mean 'regularized_evolution'?"),
                             testing::HasSubstr("random")));
  EXPECT_THAT(message("regularized_evolution", "{\"populaton\":5}"),
              testing::HasSubstr("did you mean 'population'?"));
  EXPECT_THAT(message("regularized_evolution", "{\"population\":0}"), testing::HasSubstr("population"));
  EXPECT_THAT(message("random", "{\"sample\":1}"), testing::HasSubstr("unknown parameter 'sample'"));
  EXPECT_EQ(
      message("random", "{\"sampling\":\"distnct\"}"),
      "strategy random: sampling: expected one of auto, uniform, distinct, found 'distnct' (did you mean "
      "'distinct'?)");
  EXPECT_THAT(message("regularized_evolution", "{\"mutation\":1}"),
              testing::HasSubstr("mutation: expected one of one_decision, network, found '1'"));
  EXPECT_THAT(message("regularized_evolution", "{\"crossover\":1.5}"),
              testing::HasSubstr("crossover: expected a number from 0 to 1, found 1.5"));
  const SearchSpace infinite = search_space::ParseSpace(*search_space::CatalogSpace("fashion_macro"));
  EXPECT_EQ(Message(MakeStrategy({"random", "{\"sampling\":\"distinct\"}"}, infinite, 1).status()),
            "strategy random: sampling: expected a space that can be enumerated, found 'fashion_macro': "
            "'learning_rate' is a float, which has infinitely many values");
}

}  // namespace
}  // namespace canopy
