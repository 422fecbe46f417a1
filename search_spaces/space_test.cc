#include "search_spaces/space.h"

#include <cmath>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "search_spaces/catalog/catalog.h"
#include "search_spaces/evaluation.h"
#include "search_spaces/exploration.h"
#include "search_spaces/testing/parse_space.h"

namespace canopy::search_space {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// Conditions of every kind: a repeat's count, a choice, `when`, an optional block.
constexpr std::string_view kStages = R"(
canopy: 1
name: stages
input: {shape: [1, 16, 16], classes: 10}
decisions:
  base: {ordinal: [4, 8]}
network:
  - repeat:
      name: stage
      count: 2
      decisions: {expansion: {choice: [1, 2]}}
      body:
        - repeat:
            count: {name: depth, int: [1, 2]}
            body:
              one_of:
                choices:
                  conv:
                    conv2d: {out_channels: base * stage * expansion, kernel: {choice: [3, 5]}}
                  skip: identity
        - max_pool: {kernel: 2}
  - optional: {name: drop, body: {dropout: {rate: {float: [0.1, 0.5]}}}}
  - global_avg_pool
  - linear: {features: classes}
recipe:
  optimizer: {choice: [sgd, adam]}
  learning_rate: {float: [0.001, 1], log: true}
  momentum: {float: [0, 0.99], when: optimizer == 'sgd'}
constraints: ["params < 5000", "stage1_depth <= stage2_depth"]
)";

TEST(SearchSpaceTest, DecisionsHaveReadableNamesInTheFilesOrder) {
  const SearchSpace space = ParseSpace(kStages);
  std::vector<std::string> names;
  for (const Decision& decision : space.decisions()) names.push_back(decision.name);
  EXPECT_THAT(names, ElementsAre("base", "stage1_expansion", "stage1_depth", "stage1_block1_op",
                                 "stage1_block1_conv_kernel", "stage1_block2_op", "stage1_block2_conv_kernel",
                                 "stage2_expansion", "stage2_depth", "stage2_block1_op",
                                 "stage2_block1_conv_kernel", "stage2_block2_op", "stage2_block2_conv_kernel",
                                 "drop", "drop_rate", "optimizer", "learning_rate", "momentum"));
  const Decision& kernel = *space.FindDecision("stage2_block2_conv_kernel");
  ASSERT_EQ(kernel.conditions.size(), 2u);
  EXPECT_EQ(kernel.conditions[0].text(), "stage2_depth >= 2");
  EXPECT_EQ(kernel.conditions[1].text(), "stage2_block2_op == 'conv'");
}

TEST(SearchSpaceTest, SamplesLieInTheSpaceAndLower) {
  const SearchSpace space = ParseSpace(kStages);
  Rng rng(7);
  std::set<std::string> depths;
  for (int i = 0; i < 200; ++i) {
    const Candidate candidate = space.Sample(rng);
    ASSERT_TRUE(space.CheckCandidate(candidate).ok()) << candidate.ToJson();
    EXPECT_EQ(*space.ParseCandidate(candidate.ToJson()), candidate);
    const bool two = std::get<int64_t>(*candidate.Find("stage1_depth")) == 2;
    EXPECT_EQ(candidate.Find("stage1_block2_op") != nullptr, two);
    EXPECT_EQ(candidate.Find("momentum") != nullptr,
              *candidate.Find("optimizer") == Value(std::string("sgd")));
    const auto graph = space.Lower(candidate, *space.default_task());
    ASSERT_TRUE(graph.ok()) << graph.status();
    EXPECT_THAT(graph->nodes[graph->output].shape, ElementsAre(10));
    depths.insert(CanonicalText(*candidate.Find("stage1_depth")));
  }
  EXPECT_EQ(depths.size(), 2u);
}

TEST(SearchSpaceTest, MutationChangesOneDecisionAndResamplesWhatItActivates) {
  const SearchSpace space = ParseSpace(kStages);
  Rng rng(3);
  for (int i = 0; i < 300; ++i) {
    const Candidate parent = space.Sample(rng);
    const Candidate child = Mutate(space, parent, rng);
    ASSERT_TRUE(space.CheckCandidate(child).ok()) << child.ToJson();
    int changed = 0;
    for (const auto& [name, value] : parent.assignments()) {
      const Value* now = child.Find(name);
      changed += now && *now != value;
    }
    EXPECT_EQ(changed, 1) << parent.ToJson() << " to " << child.ToJson();
  }
}

TEST(SearchSpaceTest, SameSeedSameCandidates) {
  const SearchSpace space = ParseSpace(*CatalogSpace("nas_bench_201"));
  Rng rng(1);
  const Candidate candidate = space.Sample(rng);
  EXPECT_EQ(candidate.ToJson(),
            R"({"edge_0_1":"nor_conv_3x3","edge_0_2":"nor_conv_1x1","edge_1_2":"nor_conv_1x1",)"
            R"("edge_0_3":"skip_connect","edge_1_3":"nor_conv_3x3","edge_2_3":"none"})");
  EXPECT_EQ(Mutate(space, candidate, rng).ToJson(),
            R"({"edge_0_1":"skip_connect","edge_0_2":"nor_conv_1x1","edge_1_2":"nor_conv_1x1",)"
            R"("edge_0_3":"skip_connect","edge_1_3":"nor_conv_3x3","edge_2_3":"none"})");
  const SearchSpace stages = ParseSpace(kStages);
  EXPECT_EQ(stages.Sample(rng).ToJson(),
            R"({"base":8,"stage1_expansion":2,"stage1_depth":2,"stage1_block1_op":"skip",)"
            R"("stage1_block2_op":"skip","stage2_expansion":2,"stage2_depth":2,)"
            R"("stage2_block1_op":"skip","stage2_block2_op":"conv","stage2_block2_conv_kernel":3,)"
            R"("drop":false,"optimizer":"sgd","learning_rate":0.024529606674522635,)"
            R"("momentum":0.49150903263426454})");
}

TEST(SearchSpaceTest, SizeCountsConditionsExactly) {
  EXPECT_EQ(ParseSpace(kStages).Size(), "infinite");
  EXPECT_EQ(ParseSpace(kStages).Size(/*architectures_only=*/true), "infinite");
  // Per block 2 kernels or a skip: 3 alternatives; depth 1 or 2: 3 + 9 = 12 a stage.
  const SearchSpace space = ParseSpace(R"(
canopy: 1
name: counted
network:
  - repeat:
      name: stage
      count: 2
      body:
        repeat:
          count: {name: depth, int: [1, 2]}
          body:
            one_of: {choices: {conv: {conv2d: {out_channels: 4, kernel: {choice: [3, 5]}}}, skip: identity}}
recipe:
  batch_size: {ordinal: [32, 64, 128]}
)");
  EXPECT_EQ(space.Size(true), "144");
  EXPECT_EQ(space.Size(), "432");
  // Each decision is there where the one before is 1: one more way to stop at each.
  std::string chain = "canopy: 1\nname: chain\nnetwork: relu\nrecipe:\n  d0: {choice: [0, 1]}\n";
  for (int i = 1; i < 300; ++i) {
    chain += "  d" + std::to_string(i) + ": {choice: [0, 1], when: d" + std::to_string(i - 1) + " == 1}\n";
  }
  EXPECT_EQ(ParseSpace(chain).Size(), "301");
  const SearchSpace large = ParseSpace(R"(
canopy: 1
name: large
network: {repeat: {count: {int: [1, 100]}, body: {one_of: {choices: [relu, silu, gelu]}}}}
)");
  // (3^101 - 3) / 2
  EXPECT_EQ(large.Size(), "773066281098016996554691694648431909053161283000");
}

// A range is counted by the intervals that conditions cut it into; what computes with it, up to a bound.
TEST(SearchSpaceTest, SizeOfHugeRangesIsCountedInBoundedTime) {
  const auto size = [](const std::string& condition) {
    return ParseSpace(
               "canopy: 1\nname: huge\nnetwork: relu\nrecipe:\n  n: {int: [1, 9007199254740992]}\n"
               "  m: {choice: [1, 2, 3], when: \"" +
               condition + "\"}\n")
        .Size();
  };
  EXPECT_EQ(size("n > 5"), "27021597764222966");              // 5 + 3 (2^53 - 5)
  EXPECT_EQ(size("n == 7"), "9007199254740994");              // 2^53 + 2
  EXPECT_EQ(size("not n in [1, 2.5]"), "27021597764222974");  // 1 + 3 (2^53 - 1)
  EXPECT_THAT(size("n % 2 == 0"), HasSubstr("more than "));
  EXPECT_EQ(ParseSpace("canopy: 1\nname: one\nnetwork: relu\nrecipe:\n  x: {float: [0.5, 0.5]}\n"
                       "  m: {choice: [1, 2, 3], when: x > 0}\n")
                .Size(),
            "3");
}

// Names within a block mean the same in every copy that shares its decisions.
TEST(SearchSpaceTest, SharedCopiesKnowTheirDecisionsByTheirOwnNames) {
  const SearchSpace space = ParseSpace(R"(
canopy: 1
name: shared
network:
  - repeat:
      name: outer
      count: 2
      body:
        - repeat:
            name: inner
            count: 3
            share: true
            decisions: {width: {choice: [4, 8]}, layers: {int: [1, 2]}}
            body:
              - conv2d: {out_channels: width, kernel: 3}
              - repeat: {name: layer, count: layers, body: relu}
)");
  std::vector<std::string> names;
  for (const Decision& decision : space.decisions()) names.push_back(decision.name);
  EXPECT_THAT(names, ElementsAre("outer1_width", "outer1_layers", "outer2_width", "outer2_layers"));
  const auto graph = space.Lower(
      *space.ParseCandidate(R"({"outer1_width":4,"outer1_layers":1,"outer2_width":8,"outer2_layers":2})"),
      {{1, 8, 8}, 10});
  ASSERT_TRUE(graph.ok()) << graph.status();
  EXPECT_THAT(graph->nodes[graph->output].shape, ElementsAre(8, 8, 8));
}

TEST(SearchSpaceTest, ValuesOfADecisionByItsShortNameAreChecked) {
  const auto space = SearchSpace::Parse(
      "canopy: 1\nname: s\nnetwork: {sequence: {name: stem, decisions: {k: {int: [0, 3]}}, blocks: [{conv2d: "
      "{out_channels: 8, kernel: k}}]}}\n",
      "s.yaml");
  EXPECT_THAT(Message(space.status()),
              HasSubstr("expected an integer from 1 to 2147483647 for 'kernel', found 0"));
}

// A space whose candidates are nearly all refused is a space all the same.
TEST(SearchSpaceTest, SelectiveSpacesAreAccepted) {
  const std::string network =
      "canopy: 1\nname: s\nnetwork: [global_avg_pool, {linear: {features: {name: f, int: [1, 100000]}}}, "
      "{linear: {features: classes}}]\n";
  const TaskShape task{{3, 8, 8}, 10};
  EXPECT_TRUE(CheckSpace(ParseSpace(network + "constraints: [f <= 400]\n"), task, {}).ok());
  // One in a hundred thousand: only the reference shows it.
  const std::string one = network + "constraints: [f == 50000]\n";
  EXPECT_FALSE(CheckSpace(ParseSpace(one), task, {}).ok());
  EXPECT_TRUE(CheckSpace(ParseSpace(one + "reference: {f: 50000}\n"), task, {}).ok());
  const Status status = CheckSpace(ParseSpace(one + "reference: {f: 5}\n"), task, {});
  EXPECT_EQ(
      Message(status),
      "space.yaml:5:12: reference: expected a network that can be trained, but: expected a candidate that "
      "keeps 'f == 50000'");
  // What the campaign asks of candidates is not asked of the reference.
  const SearchSpace space = ParseSpace(network + "reference: {f: 50000}\n");
  const auto few = Constraint::Parse("f < 10000", space);
  EXPECT_TRUE(CheckSpace(space, task, {*few}).ok());
}

TEST(SearchSpaceTest, SampleOtherEndsOnANarrowRange) {
  Decision decision;
  decision.name = "rate";
  decision.kind = DecisionKind::kFloat;
  decision.low = 0.5;
  decision.high = std::nextafter(0.5, 1.0);
  Rng rng(1);
  const Value other = decision.SampleOther(decision.low, rng);
  EXPECT_NE(other, Value(decision.low));
  EXPECT_TRUE(decision.Check(other).ok());
}

TEST(SearchSpaceTest, ContentHashIgnoresDescriptionAndTheOrderOfAttributesAndReference) {
  const std::string begin = "canopy: 1\nname: a\n";
  const std::string one =
      "network: {conv2d: {out_channels: {choice: [1, 2]}, kernel: {choice: [3, 5]}}}\n"
      "reference: {out_channels: 1, kernel: 3}\n";
  const std::string other =
      "description: b\nnetwork: {conv2d: {kernel: {choice: [3, 5]}, out_channels: {choice: [1, 2]}}}\n"
      "reference: {kernel: 3, out_channels: 1}\n";
  const SearchSpace a = ParseSpace(begin + one), b = ParseSpace(begin + other);
  EXPECT_EQ(a.content_hash(), b.content_hash());
  // One hash, one order of decisions: the same seed draws the same candidates.
  EXPECT_EQ(a.decisions()[0].name, b.decisions()[0].name);
}

TEST(SearchSpaceTest, ContentHashIgnoresCommentsAndLayout) {
  const std::string flow = "canopy: 1\nname: a\nnetwork: [relu, {dropout: {rate: 0.10}}]\n";
  const std::string block = "# c\ncanopy: 1\nname: 'a'\nnetwork:\n  - relu\n  - dropout:\n      rate: 0.1\n";
  EXPECT_EQ(ParseSpace(flow).content_hash(), ParseSpace(block).content_hash());
  EXPECT_NE(ParseSpace(flow).content_hash(),
            ParseSpace("canopy: 1\nname: a\nnetwork: [relu]\n").content_hash());
}

TEST(SearchSpaceTest, CandidatesAreReadStrictly) {
  const SearchSpace space = ParseSpace(*CatalogSpace("nas_bench_201"));
  const auto error = [&](std::string_view json) { return Message(space.ParseCandidate(json).status()); };
  const std::string rest =
      R"("edge_0_2":"none","edge_1_2":"none","edge_0_3":"none","edge_1_3":"none","edge_2_3":"none"})";
  EXPECT_EQ(error(R"({"edge_0_1":"none",)" + rest), "");
  EXPECT_EQ(
      error(R"({"edge_01":"none",)" + rest),
      "candidate: expected a decision of space 'nas_bench_201', found 'edge_01' (did you mean 'edge_0_1'?)");
  EXPECT_THAT(error(R"({"edge_0_1":"nothing",)" + rest),
              HasSubstr("expected one of \"none\", \"skip_connect\", \"nor_conv_1x1\", \"nor_conv_3x3\", "
                        "\"avg_pool_3x3\" for 'edge_0_1', found \"nothing\""));
  EXPECT_THAT(error("{" + rest), HasSubstr("for 'edge_0_1', found none"));
  EXPECT_THAT(error("[1]"), HasSubstr("expected a JSON object"));
  EXPECT_THAT(error("{"), HasSubstr("expected a JSON object"));
  EXPECT_EQ(error(R"({"edge_0_1":"none","edge_0_1":"none",)" + rest),
            "candidate: expected 'edge_0_1' once, found it twice");
  EXPECT_EQ(error(R"({"edge_0_1":18446744073709551615,)" + rest),
            "candidate: expected an integer below 2^63 for 'edge_0_1', found 18446744073709551615");
  const SearchSpace stages = ParseSpace(kStages);
  Rng rng(1);
  Candidate candidate = stages.Sample(rng);
  while (candidate.Find("momentum")) candidate = stages.Sample(rng);
  std::string json = candidate.ToJson();
  json.insert(json.size() - 1, ",\"momentum\":0.9");
  EXPECT_EQ(Message(stages.ParseCandidate(json).status()),
            "candidate: expected no value for 'momentum', which is active only where optimizer == 'sgd'; "
            "found 0.9");
}

TEST(SearchSpaceTest, RecipeAndConstraints) {
  const SearchSpace space = ParseSpace(kStages);
  Rng rng(11);
  const Candidate candidate = space.Sample(rng);
  const Candidate recipe = space.Recipe(candidate);
  EXPECT_EQ(recipe.assignments().front().decision, "optimizer");
  EXPECT_EQ(*recipe.Find("learning_rate"), *candidate.Find("learning_rate"));
  EXPECT_EQ(recipe.Find("base"), nullptr);
  Costs costs;
  costs.params = 6000;
  const auto violations = *space.CheckConstraints(candidate, costs);
  ASSERT_FALSE(violations.empty());
  EXPECT_EQ(violations[0], (Violation{"params < 5000", 1001}));
}

TEST(ConstraintTest, NamesAreChecked) {
  const SearchSpace space = ParseSpace(kStages);
  const auto error = [&](std::string_view text) { return Message(Constraint::Parse(text, space).status()); };
  EXPECT_EQ(error("macs <= 10 * 1000000 and base < 8"), "");
  EXPECT_EQ(error("parms < 3"),
            "expected params, macs, activation_memory, training_memory, depth or a decision in 'parms < 3', "
            "found 'parms' (did you "
            "mean 'params'?)");
  EXPECT_THAT(error("params <"), HasSubstr("expected a number, a name or a quoted word"));
  // What is not there is not limited.
  const auto constraint = Constraint::Parse("momentum < 0.5", space);
  EXPECT_EQ(*constraint->Amount(Candidate(), Costs()), 0);
}

// A constraint that cannot be computed for a candidate is broken by it, and says why.
TEST(ConstraintTest, WhatCannotBeComputedIsBroken) {
  const SearchSpace space = ParseSpace(kStages);
  const auto constraint = Constraint::Parse("params / (base - 4) < 10", space);
  ASSERT_TRUE(constraint.ok()) << constraint.status();
  const auto violations = CheckConstraints({*constraint}, Candidate({{"base", int64_t{4}}}), Costs());
  ASSERT_TRUE(violations.ok());
  ASSERT_EQ(violations->size(), 1u);
  EXPECT_THAT(violations->front().constraint, HasSubstr("no division by zero"));
  EXPECT_EQ(violations->front().amount, 1);
}

TEST(SearchSpaceTest, ASpaceWithoutDecisionsHasAReferenceWithoutValues) {
  const std::string fixed = "canopy: 1\nname: s\nnetwork: {linear: {features: 3}}\n";
  EXPECT_FALSE(ParseSpace(fixed).reference());
  EXPECT_TRUE(ParseSpace(fixed + "reference: {}\n").reference());
  const auto incomplete =
      SearchSpace::Parse(fixed + "recipe: {batch_size: {choice: [1, 2]}}\nreference: {}\n", "s.yaml");
  EXPECT_EQ(Message(incomplete.status()),
            "s.yaml:5:12: reference: expected one of 1, 2 for 'batch_size', found none");
}

TEST(EvaluationTest, ANetworkWithoutDecisionsIsJudgedByItself) {
  const SearchSpace space = ParseSpace("canopy: 1\nname: s\nnetwork: {linear: {features: 3}}\n");
  EXPECT_EQ(
      Message(CheckSpace(space, {{4}, 10}, {})),
      "space.yaml:3:10: network: expected a network that can be trained, but: space.yaml:3:10: network: "
      "expected an output of 10 features, one a class, found {3}: end the network with linear: "
      "{features: classes}");
}

TEST(EvaluationTest, EachCandidatesOutputIsChecked) {
  const SearchSpace space = ParseSpace(
      "canopy: 1\nname: s\nnetwork: [global_avg_pool, {linear: {features: {name: f, choice: [7, 10]}}}]\n");
  const TaskShape task{{3, 8, 8}, 10};
  EXPECT_TRUE(Evaluate(space, *space.ParseCandidate(R"({"f":10})"), task).ok());
  EXPECT_THAT(
      Message(Evaluate(space, *space.ParseCandidate(R"({"f":7})"), task).status()),
      HasSubstr("space.yaml:3:10: network: expected an output of 10 features, one a class, found {7}"));
}

TEST(EvaluationTest, EqualNetworksWithOtherRecipesAreOtherCandidates) {
  const SearchSpace space = ParseSpace(kStages);
  Rng rng(5);
  const Candidate candidate = space.Sample(rng);
  std::vector<Candidate::Assignment> assignments = candidate.assignments();
  for (auto& [name, value] : assignments) {
    if (name == "learning_rate") value = 0.0625;
  }
  const Evaluation a = *Evaluate(space, candidate, *space.default_task());
  const Evaluation b = *Evaluate(space, *space.MakeCandidate(assignments), *space.default_task());
  EXPECT_EQ(a.graph_hash, b.graph_hash);
  EXPECT_NE(a.candidate_hash, b.candidate_hash);
}

TEST(CatalogTest, EverySpaceParsesAndHasAValidReference) {
  for (const std::string& name : CatalogNames()) {
    const SearchSpace space = ParseSpace(*CatalogSpace(name));
    EXPECT_EQ(space.name(), name);
    EXPECT_TRUE(space.reference().has_value()) << name;
    const Status status = CheckSpace(space, *space.default_task(), {});
    EXPECT_TRUE(status.ok()) << status;
  }
}

}  // namespace
}  // namespace canopy::search_space
