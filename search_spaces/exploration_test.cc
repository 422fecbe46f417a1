#include "search_spaces/exploration.h"

#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "search_spaces/assignments.h"
#include "search_spaces/catalog/catalog.h"
#include "search_spaces/evaluation.h"
#include "search_spaces/testing/parse_space.h"

namespace canopy::search_space {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::vector<SearchSpace> CatalogSpaces() {
  std::vector<SearchSpace> spaces;
  for (const std::string& name : CatalogNames()) spaces.push_back(ParseSpace(*CatalogSpace(name)));
  return spaces;
}

// Every kind of decision and condition, and 2 (3 + 9) 3 (17 + 2) candidates.
constexpr std::string_view kConditional = R"(
canopy: 1
name: conditional
input: {shape: [1, 16, 16], classes: 10}
network:
  - conv2d: {out_channels: {name: width, ordinal: [4, 8]}, kernel: 3}
  - repeat:
      count: {name: layers, int: [1, 2]}
      body:
        one_of:
          choices:
            conv: {conv2d: {out_channels: 4, kernel: {choice: [3, 5]}}}
            skip: identity
  - global_avg_pool
  - linear: {features: classes}
recipe:
  batch_size: {ordinal: [32, 64, 128]}
  optimizer: {choice: [sgd, adamw]}
  warmup: {int: [3, 19], when: optimizer == 'sgd'}
  accumulate: {choice: [true, false], when: optimizer == 'adamw'}
)";

// Ranges too large to have every value as a neighbour.
constexpr std::string_view kRate = R"(
canopy: 1
name: rate
input: {shape: [1, 8, 8], classes: 10}
network:
  - global_avg_pool
  - linear: {features: {name: f, int: [1, 4096], log: true}}
  - linear: {features: classes}
recipe:
  rate: {float: [0.0001, 1], log: true}
  many: {int: [0, 1000]}
)";

std::string HashOf(const SearchSpace& space, const Candidate& candidate) {
  const auto evaluation = Evaluate(space, candidate, *space.default_task());
  return evaluation.ok() ? evaluation->candidate_hash : "";
}

TEST(MutateTest, NetworkMutationIsAnotherCandidateInAllButItsName) {
  for (const char* name : {"nas_bench_201", "fashion_macro"}) {
    const SearchSpace space = ParseSpace(*CatalogSpace(name));
    Rng rng(5);
    for (int i = 0; i < 50; ++i) {
      const Candidate parent = space.Sample(rng);
      const auto child = MutateNetwork(space, *space.default_task(), parent, rng);
      ASSERT_TRUE(child.ok()) << child.status();
      ASSERT_TRUE(space.CheckCandidate(*child).ok());
      ASSERT_NE(HashOf(space, *child), "");
      EXPECT_NE(HashOf(space, *child), HashOf(space, parent)) << parent.ToJson() << child->ToJson();
    }
  }
}

TEST(MutateTest, NoNetworkMutationIsAClearStatus) {
  const SearchSpace space = ParseSpace(R"(
canopy: 1
name: alike
input: {shape: [1, 8, 8], classes: 10}
network:
  - one_of: {choices: {a: identity, b: {dropout: {rate: 0}}, c: {max_pool: {kernel: 1}}}}
  - global_avg_pool
  - linear: {features: classes}
)");
  Rng rng(1);
  const auto child = MutateNetwork(space, *space.default_task(), *space.ParseCandidate(R"({"op":"a"})"), rng);
  EXPECT_EQ(child.status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(Message(child.status()), HasSubstr("found none in 100 draws and 2 of its 2 neighbours"));
}

// What draws find in one case of a thousand the neighbours find.
TEST(MutateTest, NeighboursAreTriedWhereDrawsFindNoOtherNetwork) {
  std::string choices = "a0: identity";
  for (int i = 1; i < 1000; ++i) choices += ", a" + std::to_string(i) + ": identity";
  const SearchSpace space = ParseSpace(
      "canopy: 1\nname: rare\ninput: {shape: [1, 8, 8], classes: 10}\nnetwork:\n  - one_of: {choices: {" +
      choices + ", last: relu}}\n  - global_avg_pool\n  - linear: {features: classes}\n");
  for (uint64_t seed = 1; seed <= 5; ++seed) {
    Rng rng(seed);
    const auto child =
        MutateNetwork(space, *space.default_task(), *space.ParseCandidate(R"({"op":"a0"})"), rng);
    ASSERT_TRUE(child.ok()) << child.status();
    EXPECT_EQ(child->ToJson(), R"({"op":"last"})");
  }
}

TEST(CrossoverTest, EachDecisionIsThatOfAParentInWhichItIsActive) {
  std::vector<SearchSpace> spaces = CatalogSpaces();
  spaces.push_back(ParseSpace(kConditional));
  for (const SearchSpace& space : spaces) {
    Rng rng(3);
    std::map<std::string, int> from_first, from_second;
    for (int i = 0; i < 100; ++i) {
      const Candidate a = space.Sample(rng), b = space.Sample(rng);
      const Candidate child = Crossover(space, a, b, rng);
      ASSERT_TRUE(space.CheckCandidate(child).ok()) << space.name() << ": " << child.ToJson();
      for (const auto& [name, value] : child.assignments()) {
        const Value *first = a.Find(name), *second = b.Find(name);
        if (!first && !second) continue;
        ASSERT_TRUE((first && *first == value) || (second && *second == value)) << name;
        if (!first || !second || *first == *second) continue;
        ++(value == *first ? from_first : from_second)[name];
      }
    }
    for (const auto& [name, count] : from_first) {
      if (count + from_second[name] < 20) continue;
      EXPECT_GT(from_second[name], 0) << space.name() << ": " << name;
    }
    EXPECT_EQ(from_first.empty(), from_second.empty());
  }
}

TEST(CrossoverTest, WhatNoParentHasIsDrawn) {
  const SearchSpace space = ParseSpace(R"(
canopy: 1
name: pair
network: relu
recipe:
  a: {choice: [0, 1]}
  b: {choice: [0, 1]}
  c: {choice: [1, 2, 3], when: a == b}
)");
  const Candidate first = *space.ParseCandidate(R"({"a":0,"b":1})");
  const Candidate second = *space.ParseCandidate(R"({"a":1,"b":0})");
  Rng rng(1);
  std::set<std::string> children;
  for (int i = 0; i < 200; ++i) children.insert(Crossover(space, first, second, rng).ToJson());
  EXPECT_EQ(children.size(), 8u);  // the parents, and 3 for either value of both
}

TEST(NeighboursTest, EachIsACandidateThatDiffersInItsDecision) {
  std::vector<SearchSpace> spaces = CatalogSpaces();
  spaces.push_back(ParseSpace(kConditional));
  spaces.push_back(ParseSpace(kRate));
  for (const SearchSpace& space : spaces) {
    Rng rng(4);
    for (int i = 0; i < 5; ++i) {
      const Candidate candidate = space.Sample(rng);
      std::set<std::string> seen = {candidate.ToJson()};
      for (const Move& move : MovesFrom(space, candidate)) {
        const Candidate neighbour = Apply(space, candidate, move);
        ASSERT_TRUE(space.CheckCandidate(neighbour).ok()) << space.name() << ": " << neighbour.ToJson();
        EXPECT_TRUE(seen.insert(neighbour.ToJson()).second);
        const std::string& changed = space.decisions()[move.decision].name;
        EXPECT_EQ(*neighbour.Find(changed), move.value);
        for (const auto& [name, value] : candidate.assignments()) {
          const Value* now = neighbour.Find(name);
          EXPECT_EQ(now && *now != value, name == changed) << space.name() << ": " << name;
        }
      }
    }
  }
}

TEST(NeighboursTest, AreAllOthersOfChoicesAndFewOfRanges) {
  const SearchSpace cells = ParseSpace(*CatalogSpace("nas_bench_201"));
  EXPECT_EQ(MovesFrom(cells, *cells.reference()).size(), 24u);
  const SearchSpace space = ParseSpace(kRate);
  const auto values = [&](std::string_view decision) {
    std::vector<double> values;
    for (const Move& move : MovesFrom(space, *space.ParseCandidate(R"({"f":64,"rate":1,"many":500})"))) {
      if (space.decisions()[move.decision].name == decision) values.push_back(AsDouble(move.value));
    }
    return values;
  };
  // 64 = 4096^(1/2); 2^0.1875, 2^0.75 and 2^3 times more and less, and the next integers.
  EXPECT_THAT(values("f"), ElementsAre(8, 38, 56, 63, 65, 73, 108, 512));
  EXPECT_THAT(values("many"), ElementsAre(250, 438, 484, 499, 501, 516, 563, 750));
  EXPECT_THAT(values("rate"), ElementsAre(testing::DoubleEq(0.1), testing::DoubleNear(0.56234132519, 1e-11),
                                          testing::DoubleNear(0.86596432336, 1e-11)));
  const SearchSpace conditional = ParseSpace(kConditional);
  const Candidate candidate = *conditional.ParseCandidate(
      R"({"width":4,"layers":1,"block1_op":"skip","batch_size":32,"optimizer":"adamw","accumulate":false})");
  EXPECT_EQ(Apply(conditional, candidate, {1, int64_t{2}}).ToJson(),
            R"({"width":4,"layers":2,"block1_op":"skip","block2_op":"conv","block2_conv_kernel":3,)"
            R"("batch_size":32,"optimizer":"adamw","accumulate":false})");
  // The middle of 3, ..., 19.
  const size_t optimizer = conditional.FindDecision("optimizer") - conditional.decisions().data();
  EXPECT_EQ(Apply(conditional, candidate, {optimizer, std::string("sgd")}).ToJson(),
            R"({"width":4,"layers":1,"block1_op":"skip","batch_size":32,"optimizer":"sgd","warmup":11})");
}

// Ranges that conditions cut into intervals, and one that they compute with: 6 + 14 * 3 times 5 + 5 * 2.
constexpr std::string_view kIntervals = R"(
canopy: 1
name: intervals
network: relu
recipe:
  n: {int: [-4, 15]}
  high: {choice: [1, 2, 3], when: n > 1}
  k: {int: [1, 10]}
  odd: {choice: [a, b], when: k % 2 == 1}
)";

// Listed values of which conditions tell some apart. By rank: 3 * 2 + 1, 1 + 1, 2 + 1 + 2 + 1, and 1.
constexpr std::string_view kListed = R"(
canopy: 1
name: listed
network: relu
recipe:
  rank: {ordinal: [1, 2, 4, 8]}
  deep: {choice: [x, y], when: rank < 5}
  more: {choice: [4, 2, 8], when: deep == 'x' and rank != 2}
  last: {choice: [true, false], when: more > 3 or rank == 1}
)";

TEST(EnumerationTest, HasEveryCandidateOnceUnderConditions) {
  for (const auto& [text, size] :
       {std::pair(kConditional, 2 * (3 + 9) * 3 * (17 + 2)), std::pair(kListed, 16),
        std::pair(kIntervals, (6 + 14 * 3) * (5 + 5 * 2))}) {
    const SearchSpace space = ParseSpace(text);
    const Enumeration all = *Enumeration::Make(space);
    ASSERT_EQ(all.size(), size);
    EXPECT_EQ(std::to_string(size), space.Size());
    std::set<std::string> seen;
    for (absl::uint128 i = 0; i < all.size(); ++i) {
      const Candidate candidate = all.At(i);
      ASSERT_TRUE(space.CheckCandidate(candidate).ok()) << candidate.ToJson();
      EXPECT_TRUE(seen.insert(candidate.ToJson()).second);
      ASSERT_EQ(all.IndexOf(candidate), i);
    }
  }
}

TEST(EnumerationTest, ArchitecturesHaveTheFirstRecipe) {
  const SearchSpace space = ParseSpace(kConditional);
  const Enumeration architectures = *Enumeration::Make(space, Enumeration::Scope::kArchitectures);
  EXPECT_EQ(architectures.size(), 24);
  EXPECT_EQ(architectures.At(0).ToJson(),
            R"({"width":4,"layers":1,"block1_op":"conv","block1_conv_kernel":3,"batch_size":32,)"
            R"("optimizer":"sgd","warmup":3})");
}

TEST(EnumerationTest, RandomCandidatesOfEverySpaceAreFoundByTheirNumber) {
  for (const SearchSpace& space : CatalogSpaces()) {
    auto all = Enumeration::Make(space);
    const bool whole = all.ok();
    if (!whole) {
      EXPECT_THAT(Message(all.status()), HasSubstr("is a float, which has infinitely many values"));
      all = Enumeration::Make(space, Enumeration::Scope::kArchitectures);
    }
    ASSERT_TRUE(all.ok()) << space.name() << ": " << all.status();
    Rng rng(6);
    for (int i = 0; i < 200; ++i) {
      const Candidate candidate = space.Sample(rng);
      const absl::uint128 index = all->IndexOf(candidate);
      ASSERT_LT(index, all->size());
      const Candidate found = all->At(index);
      ASSERT_TRUE(!whole || found == candidate) << space.name();
      ASSERT_EQ(all->IndexOf(found), index) << space.name();
      EXPECT_EQ(Evaluate(space, found, *space.default_task()).ok(),
                Evaluate(space, candidate, *space.default_task()).ok());
    }
  }
}

TEST(EnumerationTest, WhatHasNoNumbersIsRefusedWithItsReason) {
  const auto error = [](const std::string& network) {
    return Message(Enumeration::Make(ParseSpace("canopy: 1\nname: s\nnetwork: " + network)).status());
  };
  EXPECT_EQ(
      error("{dropout: {rate: {float: [0.1, 0.5]}}}\n"),
      "expected a space that can be enumerated, found 's': 'rate' is a float, which has infinitely many "
      "values");
  EXPECT_EQ(error("relu\nrecipe: {n: {int: [1, 1000]}, m: {choice: [1, 2]}}\n"), "");
  const std::string large = "{repeat: {count: COUNT, body: {one_of: {choices: [relu, silu]}}}}\n";
  EXPECT_EQ(error(std::string(large).replace(large.find("COUNT"), 5, "127")), "");
  EXPECT_THAT(
      error(std::string(large).replace(large.find("COUNT"), 5, "128")),
      HasSubstr("it has 340282366920938463463374607431768211456 candidates, of which fewer than 2^128 "
                "can be numbered"));
  EXPECT_THAT(
      error("relu\nrecipe: {n: {int: [1, 9007199254740992]}, m: {choice: [1, 2], when: n % 2 == 0}}\n"),
      HasSubstr("its conditions are too entangled to count them"));
}

// 2^127 - 1 apart, and the digits in the order of the decisions.
TEST(EnumerationTest, LargeNumbersAreExact) {
  const SearchSpace space = ParseSpace(
      "canopy: 1\nname: s\nnetwork: {repeat: {count: 127, body: {one_of: {choices: [relu, silu]}}}}\n");
  const Enumeration all = *Enumeration::Make(space);
  const absl::uint128 last = (absl::uint128(1) << 127) - 1;
  ASSERT_EQ(all.size(), last + 1);
  EXPECT_EQ(all.IndexOf(all.At(last)), last);
  EXPECT_EQ(*all.At(last).Find("block1_op"), Value(std::string("silu")));
  EXPECT_EQ(*all.At(last / 2).Find("block1_op"), Value(std::string("relu")));
  EXPECT_EQ(*all.At(last / 2).Find("block2_op"), Value(std::string("silu")));
}

TEST(DistinctNetworksTest, AreTheFirstOfEachHash) {
  const SearchSpace space = ParseSpace(R"(
canopy: 1
name: twice
input: {shape: [1, 8, 8], classes: 10}
network:
  - repeat: {count: 2, body: {one_of: {choices: [relu, identity]}}}
  - global_avg_pool
  - linear: {features: {choice: [9, 10]}}
)");
  const Enumeration all = *Enumeration::Make(space, Enumeration::Scope::kArchitectures);
  // Of relu relu, relu, relu, none, each with either number of features: networks of 9 have no meaning here.
  std::vector<std::string> found;
  for (const absl::uint128 index : DistinctNetworks(all, *space.default_task()))
    found.push_back(all.At(index).ToJson());
  EXPECT_THAT(found, ElementsAre(R"({"block1_op":"relu","block2_op":"relu","features":10})",
                                 R"({"block1_op":"relu","block2_op":"identity","features":10})",
                                 R"({"block1_op":"identity","block2_op":"identity","features":10})"));
}

TEST(SampleRecipeTest, KeepsTheArchitectureAndDrawsTheRecipe) {
  const SearchSpace space = ParseSpace(kConditional);
  Rng rng(2);
  const Candidate candidate = space.Sample(rng);
  std::set<std::string> recipes;
  for (int i = 0; i < 500; ++i) {
    const Candidate drawn = SampleRecipe(space, candidate, rng);
    ASSERT_TRUE(space.CheckCandidate(drawn).ok());
    for (const char* name : {"width", "layers", "block1_op"})
      EXPECT_EQ(*drawn.Find(name), *candidate.Find(name));
    recipes.insert(space.Recipe(drawn).ToJson());
  }
  EXPECT_GT(recipes.size(), 40u);  // of 57
}

TEST(PermutationTest, WalksThroughEveryCellOfNasBench201Once) {
  const SearchSpace space = ParseSpace(*CatalogSpace("nas_bench_201"));
  const Enumeration all = *Enumeration::Make(space);
  ASSERT_EQ(all.size(), 15625);
  const Permutation order(all.size(), 7);
  std::set<std::string> seen;
  for (uint64_t i = 0; i < 15625; ++i) seen.insert(all.At(order.At(i)).ToJson());
  EXPECT_EQ(seen.size(), 15625u);
}

TEST(PermutationTest, IsOneForEverySizeAndSeed) {
  for (const uint64_t size : {1, 2, 3, 4095, 4096, 4097, 16384, 16385, 20000}) {
    for (const uint64_t seed : {0, 1}) {
      const Permutation order(size, seed);
      std::set<absl::uint128> seen;
      for (uint64_t i = 0; i < size; ++i) seen.insert(order.At(i));
      EXPECT_EQ(seen.size(), size);
      EXPECT_LT(*seen.rbegin(), size);
    }
  }
  const Permutation largest(absl::Uint128Max(), 1);
  EXPECT_NE(largest.At(0), largest.At(absl::Uint128Max() - 1));
}

TEST(PermutationTest, PlacesAreUniformOverSeeds) {
  constexpr int kSeeds = 4000;
  for (const uint64_t size : {5, 5000, 100000}) {
    for (const uint64_t position : {uint64_t{0}, size / 2, size - 1}) {
      std::vector<int> counts(5);
      for (int seed = 0; seed < kSeeds; ++seed) {
        const Permutation order(size, static_cast<uint64_t>(seed));
        ++counts[absl::Uint128Low64(order.At(position) * 5 / size)];
      }
      double chi_squared = 0;
      for (const int count : counts) chi_squared += (count - 800.0) * (count - 800.0) / 800;
      EXPECT_LT(chi_squared, 18.5) << size << " at " << position;  // 1 in 1,000 at random
    }
  }
}

// What was drawn once is drawn again by every release.
TEST(ExplorationTest, GoldenValuesStayTheSameOnEveryRelease) {
  const SearchSpace space = ParseSpace(kConditional);
  Rng rng(11);
  const Candidate a = space.Sample(rng), b = space.Sample(rng);
  EXPECT_EQ(a.ToJson(), R"({"width":4,"layers":1,"block1_op":"conv","block1_conv_kernel":3,)"
                        R"("batch_size":32,"optimizer":"sgd","warmup":11})");
  EXPECT_EQ(b.ToJson(), R"({"width":8,"layers":2,"block1_op":"conv","block1_conv_kernel":3,)"
                        R"("block2_op":"conv","block2_conv_kernel":5,)"
                        R"("batch_size":32,"optimizer":"sgd","warmup":17})");
  EXPECT_EQ(Mutate(space, a, rng).ToJson(),
            R"({"width":8,"layers":1,"block1_op":"conv","block1_conv_kernel":3,)"
            R"("batch_size":32,"optimizer":"sgd","warmup":11})");
  EXPECT_EQ(Crossover(space, a, b, rng).ToJson(),
            R"({"width":4,"layers":2,"block1_op":"conv","block1_conv_kernel":3,)"
            R"("block2_op":"conv","block2_conv_kernel":5,)"
            R"("batch_size":32,"optimizer":"sgd","warmup":17})");
  EXPECT_EQ(SampleRecipe(space, a, rng).ToJson(),
            R"({"width":4,"layers":1,"block1_op":"conv","block1_conv_kernel":3,)"
            R"("batch_size":32,"optimizer":"sgd","warmup":7})");
  EXPECT_EQ(MutateNetwork(space, *space.default_task(), b, rng)->ToJson(),
            R"({"width":8,"layers":2,"block1_op":"conv","block1_conv_kernel":3,)"
            R"("block2_op":"conv","block2_conv_kernel":5,)"
            R"("batch_size":32,"optimizer":"adamw","accumulate":false})");
  EXPECT_EQ(Enumeration::Make(space)->At(1000).ToJson(),
            R"({"width":8,"layers":2,"block1_op":"skip","block2_op":"conv","block2_conv_kernel":3,)"
            R"("batch_size":64,"optimizer":"sgd","warmup":15})");
  const auto places = [](absl::uint128 size) {
    const Permutation order(size, 3);
    std::vector<std::string> places;
    for (int i = 0; i < 4; ++i) {
      const absl::uint128 at = order.At(i);
      places.push_back(std::to_string(absl::Uint128High64(at)) + ":" +
                       std::to_string(absl::Uint128Low64(at)));
    }
    return places;
  };
  EXPECT_THAT(places(10), ElementsAre("0:9", "0:4", "0:8", "0:0"));
  EXPECT_THAT(places(15625), ElementsAre("0:12726", "0:156", "0:4534", "0:4965"));
  EXPECT_THAT(places(absl::uint128(1) << 100),
              ElementsAre("56034568150:1077201976770216148", "2817821015:7450326609347999852",
                          "63082834244:3052049839204916608", "61917867398:17813911708215619492"));
}

}  // namespace
}  // namespace canopy::search_space
