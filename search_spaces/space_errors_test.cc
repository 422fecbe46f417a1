#include <string>
#include <string_view>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "search_spaces/evaluation.h"
#include "search_spaces/space.h"

namespace canopy::search_space {
namespace {

using ::testing::HasSubstr;

struct BadSpace {
  std::string_view text;  // after the two lines that begin every space
  std::string_view error;
};

constexpr std::string_view kBegin = "canopy: 1\nname: s\n";

std::string ErrorOf(std::string_view text) {
  return Message(SearchSpace::Parse(std::string(kBegin) + std::string(text), "s.yaml").status());
}

TEST(SpaceErrorsTest, EachNamesItsPlaceAndWhatWasExpected) {
  const BadSpace cases[] = {
      {"network: [conv2dd]\n",
       "s.yaml:3:11: network[0]: expected an operator or one of sequence, one_of, repeat, residual, "
       "optional, branches, cell, use, "
       "found 'conv2dd' (did you mean 'conv2d'?)"},
      {"network:\n  - conv2d: {out_channels: 8, kernle: 3}\n",
       "s.yaml:4:31: network[0].conv2d: expected one of name, out_channels, kernel, stride, padding, "
       "dilation, "
       "groups, bias, found 'kernle' (did you mean 'kernel'?)"},
      {"network:\n  - conv2d: {out_channels: 8}\n",
       "s.yaml:4:5: network[0]: conv2d: expected 'kernel', found none"},
      {"network:\n  - conv2d: {out_channels: 8, kernel: 0}\n",
       "s.yaml:4:39: network[0].conv2d.kernel: expected an integer from 1 to 2147483647 for 'kernel', found "
       "0"},
      {"network:\n  - conv2d: {out_channels: 8, kernel: {choice: [3, big]}}\n",
       "s.yaml:4:39: network[0].conv2d.kernel: expected values of one type, found 3 and \"big\""},
      {"network:\n  - conv2d: {out_channels: 8, kernel: {choice: [3, 3]}}\n",
       "s.yaml:4:39: network[0].conv2d.kernel: expected each value once, found 3 twice"},
      {"network:\n  - conv2d: {out_channels: 8, kernel: {chioce: [3, 5]}}\n",
       "s.yaml:4:40: network[0].conv2d.kernel: expected one of choice, ordinal, int, float, "
       "name, log, when, found 'chioce' (did you mean 'choice'?)"},
      {"network:\n  - max_pool: {kernel: [3, 5]}\n",
       "s.yaml:4:24: network[0].max_pool.kernel: expected a value, an expression, or a map of one of choice, "
       "ordinal, "
       "int, float, found [3, 5]"},
      {"network:\n  - conv2d: {out_channels: min(8, 16), kernel: 3}\n",
       "s.yaml:4:35: network[0].conv2d: expected one of name, out_channels, kernel, stride, padding, "
       "dilation, groups, bias, found '16)' (within {...} a comma ends a value: put the value in quotes)"},
      {"network:\n  - optional: {when: max(1, 2) > 1, body: relu}\n",
       "s.yaml:4:29: network[0].optional: expected one of name, when, body, found '2) > 1' (within {...} a "
       "comma ends a value: put the value in quotes)"},
      {"network:\n  - conv2d: {out_channels: 'big', kernel: 3}\n",
       "s.yaml:4:28: network[0].conv2d.out_channels: expected a decision declared before, found 'big'"},
      {"network:\n  - conv2d: {out_channels: 8, kernel: {choice: []}}\n",
       "s.yaml:4:48: network[0].conv2d.kernel.choice: expected a list of values, found an empty list"},
      {"network:\n  - conv2d: {out_channels: widht, kernel: 3}\ndecisions: {width: {choice: [8, 16]}}\n",
       "s.yaml:4:28: network[0].conv2d.out_channels: expected a decision declared before, found 'widht' (did "
       "you mean "
       "'width'?)"},
      {"network:\n  - conv2d: {out_channels: 8 +, kernel: 3}\n",
       "s.yaml:4:28: network[0].conv2d.out_channels: expected a number, a name or a quoted word at character "
       "4 of "
       "'8 +', found the end"},
      {"network:\n  - relu: {}\n    tanh: {}\n",
       "s.yaml:4:5: network[0]: expected a block: an operator's name, a list, or a map of one key, found 2 "
       "keys"},
      {"network:\n  - one_of: {choices: {}}\n",
       "s.yaml:4:5: network[0]: expected at least one choice, found none"},
      {"network:\n  - one_of: {choices: [relu, relu]}\n",
       "s.yaml:4:30: network[0].one_of.choices[1]: expected each choice once, found 'relu' again"},
      {"network:\n  - one_of: {choices: [relu, tanh]}\n  - one_of: {choices: [relu, tanh]}\n",
       "s.yaml:5:5: network[1]: expected a name of its own, found 'op' again: give this decision or a block "
       "around it "
       "another `name`"},
      {"network:\n  - one_of: {name: Op, choices: [relu]}\n",
       "s.yaml:4:5: network[0]: expected a name of lower-case letters, digits and _ that begins with a "
       "letter, of at "
       "most 63 characters, found 'Op'"},
      {"network:\n  - repeat: {count: many, body: relu}\n",
       "s.yaml:4:21: network[0].repeat.count: expected a decision declared before, found 'many'"},
      {"network:\n  - repeat: {count: 1.5, body: relu}\n",
       "s.yaml:4:21: network[0].repeat.count: expected a count of 0 or more, an integer or a decision "
       "between "
       "integers, found 1.5"},
      {"network:\n  - repeat: {count: 2}\n", "s.yaml:4:13: network[0].repeat: expected 'body', found none"},
      {"network:\n  - cell: {nodes: 1, edge_choices: [relu]}\n",
       "s.yaml:4:5: network[0]: expected from 2 to 32 nodes, found 1"},
      {"network: relu\nrecipe: {lr: 0.1}\n",
       "s.yaml:4:14: recipe.lr: expected a decision: a map of one of choice, ordinal, int, float"},
      {"network: relu\nrecipe: {lr: {float: [0, 1], log: true}}\n",
       "s.yaml:4:14: recipe.lr: expected a low end above 0 with log"},
      {"network: relu\nrecipe: {lr: {float: [1, 0]}}\n",
       "s.yaml:4:22: recipe.lr.float: expected [low, high] of numbers, low at most high, found [1, 0]"},
      {"network: relu\nrecipe: {b: {ordinal: [64, 32]}}\n",
       "s.yaml:4:13: recipe.b: expected values in rising order, found 32 after 64"},
      {"network: relu\nrecipe: {a: {choice: [1]}, b: {choice: [2], when: c == 1}}\n",
       "s.yaml:4:31: recipe.b: expected a decision declared before, found 'c' (did you mean 'a'?)"},
      {"network: relu\nrecipe: {a: {choice: [sgd, adam]}, b: {choice: [2], when: a == 'sdg'}}\n",
       "s.yaml:4:39: recipe.b: expected one of sgd, adam to compare 'a' with, found 'sdg' (did you mean "
       "'sgd'?)"},
      {"network:\n- one_of: {choices: [relu, tanh]}\n"
       "- optional: {when: \"op in ['relu', 'tan']\", body: relu}\n",
       "s.yaml:5:3: network[1]: expected one of relu, tanh to compare 'op' with, found 'tan' (did you mean "
       "'tanh'?)"},
      {"network: {one_of: {choices: [relu, tanh]}}\nconstraints: [op != 'rel']\n",
       "s.yaml:4:15: constraints[0]: expected one of relu, tanh to compare 'op' with, found 'rel' (did you "
       "mean 'relu'?)"},
      {"network: relu\nconstraints: [params < 5, depht > 1]\n",
       "s.yaml:4:27: constraints[1]: expected params, macs, activation_memory, training_memory, depth or a "
       "decision in 'depht "
       "> 1', "
       "found 'depht' (did you mean 'depth'?)"},
      {"network: relu\nreference: {a: 1}\n",
       "s.yaml:4:16: reference.a: expected a decision of space 's', found 'a'"},
      {"network: relu\ninput: {shape: [3, 0, 2], classes: 10}\n",
       "s.yaml:4:8: input: expected sizes from 1 to 2147483648, found {3, 0, 2}"},
  };
  for (const BadSpace& c : cases) EXPECT_EQ(ErrorOf(c.text), c.error) << c.text;
}

TEST(SpaceErrorsTest, ShapesThatDoNotFitNameTheBlock) {
  const std::string text =
      std::string(kBegin) + "network:\n  - max_pool: {kernel: 2}\n  - linear: {features: 3}\n";
  const auto space = SearchSpace::Parse(text, "s.yaml");
  ASSERT_TRUE(space.ok()) << space.status();
  EXPECT_EQ(Message(space->Lower(Candidate(), {{3, 8, 8}, 10}).status()),
            "s.yaml:5:5: network[1]: linear: expected an input of shape {features} or {tokens, features}, "
            "found {3, 4, 4}: put global_avg_pool or flatten before it");
}

TEST(SpaceErrorsTest, SpaceWithoutAValidCandidateSaysWhy) {
  const auto check = [](const std::string& text) {
    const auto space = SearchSpace::Parse(std::string(kBegin) + text, "s.yaml");
    EXPECT_TRUE(space.ok()) << space.status();
    return Message(CheckSpace(*space, {{3, 8, 8}, 10}, {}));
  };
  EXPECT_THAT(
      check("network: [{one_of: {choices: [relu, tanh]}}, global_avg_pool]\n"),
      HasSubstr(
          "s.yaml:3:10: network: expected a space with a valid candidate, found none among 1,000 drawn"));
  EXPECT_THAT(check("network: [global_avg_pool]\n"),
              HasSubstr("expected an output of 10 features, one a class"));
  EXPECT_THAT(check("network: [zero, global_avg_pool, {linear: {features: classes}}]\n"),
              HasSubstr("output depends on its input"));
  EXPECT_THAT(check("network: [global_avg_pool, {linear: {features: classes}}]\nconstraints: [params < 5]\n"),
              HasSubstr("expected a candidate that keeps 'params < 5'"));
}

TEST(SpaceErrorsTest, NamesThatOthersHaveAreRefusedWhereTheyStand) {
  EXPECT_EQ(
      ErrorOf("network:\n  - repeat: {count: {name: depth, int: [1, 4]}, body: relu}\n"),
      "s.yaml:4:21: network[0].repeat.count: expected a name of its own, found 'depth', which is a column "
      "of every campaign's view: give this decision another `name`");
  EXPECT_THAT(
      ErrorOf("network: relu\nrecipe: {val_loss: {choice: [1, 2]}}\n"),
      HasSubstr("s.yaml:4:20: recipe.val_loss: expected a name of its own, found 'val_loss', which is a "
                "metric of every campaign"));
  for (const std::string word : {"true", "false", "and", "or", "not", "in", "min", "max", "classes"}) {
    EXPECT_THAT(ErrorOf("network: {one_of: {name: '" + word + "', choices: [relu, tanh]}}\n"),
                HasSubstr("found '" + word + "', which is a word of expressions"));
    EXPECT_THAT(ErrorOf("network: {repeat: {name: s, count: 1, body: {repeat: {count: {name: '" + word +
                        "', int: [1, 2]}, body: relu}}}}\n"),
                HasSubstr("which is a word of expressions"));
  }
  // With a prefix the whole name is another.
  EXPECT_EQ(
      ErrorOf("network: {repeat: {name: s, count: 2, body: {repeat: {count: {name: depth, int: [1, 2]}, "
              "body: relu}}}}\n"),
      "");
}

// Copies that share decisions cannot have them under conditions of their own.
TEST(SpaceErrorsTest, SharedDecisionsNeedTheSameConditions) {
  EXPECT_THAT(
      ErrorOf("decisions: {layers: {int: [1, 3]}}\n"
              "network: {repeat: {name: stage, count: 3, share: true, body: {optional: {when: layers <= "
              "stage, body: {one_of: {choices: [relu, tanh]}}}}}}\n"),
      HasSubstr("s.yaml:4:103: network.repeat.body.optional.body: expected the same conditions for 'op' in "
                "every copy that shares it: leave out `share`"));
}

TEST(SpaceErrorsTest, DecisionsThatDoNothingAreRefused) {
  EXPECT_EQ(ErrorOf("decisions: {width: {choice: [8, 16]}}\nnetwork: relu\n"),
            "s.yaml:3:20: decisions.width: expected a decision that the network uses, found 'width', which "
            "nothing names: use it in the network or remove it");
  EXPECT_THAT(ErrorOf("network: {sequence: {decisions: {k: {choice: [3, 5]}}, blocks: [relu]}}\n"),
              HasSubstr("found 'k', which nothing names"));
  EXPECT_EQ(
      ErrorOf("decisions: {deep: {choice: [true, false]}}\nnetwork: {optional: {when: deep, body: relu}}\n"),
      "");
}

TEST(SpaceErrorsTest, ConditionsAndExpressionsAreOfTheKindsThatTheyNeed) {
  const std::string width = "decisions: {width: {ordinal: [8, 16]}}\n";
  const auto when = [&](const std::string& condition) {
    return ErrorOf(width + "network: {optional: {when: \"" + condition + "\", body: relu}}\n");
  };
  EXPECT_EQ(when("width > 8"), "");
  EXPECT_EQ(when("width"),
            "s.yaml:4:10: network: expected a condition, true or false, found 'width', which is a number");
  EXPECT_THAT(when("width == 'a'"),
              HasSubstr("expected a number on each side of '==' in 'width == 'a'', found a word"));
  EXPECT_THAT(when("width > 'a'"), HasSubstr("expected a number on each side of '>'"));
  EXPECT_THAT(when("width > 8 and width"), HasSubstr("expected true or false on each side of 'and'"));
  EXPECT_THAT(when("width in [8, 'a']"), HasSubstr("expected a number on each side of 'in'"));
  EXPECT_THAT(
      ErrorOf("decisions: {kind: {choice: [a, b]}}\nnetwork: {conv2d: {out_channels: kind * 2, kernel: "
              "3}}\n"),
      HasSubstr("s.yaml:4:34: network.conv2d.out_channels: expected a number on each side of '*'"));
  EXPECT_THAT(ErrorOf("network: relu\nconstraints: [params]\n"),
              HasSubstr("s.yaml:4:15: constraints[0]: expected a condition, true or false"));
}

TEST(SpaceErrorsTest, ValuesOfTheReferenceAreLocatedEach) {
  const std::string text =
      "network: {conv2d: {out_channels: {choice: [8, 16]}, kernel: {choice: [3, 5]}}}\nreference:\n";
  EXPECT_THAT(ErrorOf(text + "  out_channels: 8\n  kernel: 4\n"),
              HasSubstr("s.yaml:6:11: reference.kernel: expected one of 3, 5 for 'kernel', found 4"));
  EXPECT_THAT(ErrorOf(text + "  out_channels: 8\n"),
              HasSubstr("reference: expected one of 3, 5 for 'kernel', found none"));
}

TEST(SpaceErrorsTest, InactiveDecisionsAreNamedWithTheBlockThatNeedsThem) {
  const auto space = SearchSpace::Parse(
      std::string(kBegin) +
          "decisions: {kind: {choice: [a, b]}, n: {int: [1, 2], when: kind == 'a'}}\n"
          "network: [global_avg_pool, {repeat: {count: n, body: relu}}, {linear: {features: classes}}]\n",
      "s.yaml");
  ASSERT_TRUE(space.ok()) << space.status();
  const auto candidate = space->ParseCandidate(R"({"kind":"b"})");
  ASSERT_TRUE(candidate.ok()) << candidate.status();
  EXPECT_THAT(
      Message(space->Lower(*candidate, {{3, 8, 8}, 10}).status()),
      HasSubstr("s.yaml:4:45: network[1].repeat.count: expected a decision that is active wherever this "
                "block is, found 'n'"));
}

// Small files that stand for enormous networks.
TEST(SpaceErrorsTest, ExpansionIsBoundedBeforeItHappens) {
  EXPECT_THAT(ErrorOf("network: {repeat: {count: 1000000000, body: relu}}\n"),
              HasSubstr("at most 65536 blocks"));
  EXPECT_THAT(ErrorOf("network: {repeat: {count: 1000000000, share: true, body: relu}}\n"),
              HasSubstr("at most 65536 blocks"));
  EXPECT_THAT(ErrorOf("network: {repeat: {count: {int: [1, 1000000000]}, body: relu}}\n"),
              HasSubstr("at most 65536 blocks"));
  EXPECT_THAT(
      ErrorOf("network: {repeat: {count: 1000, body: {repeat: {name: b, count: 1000, body: relu}}}}\n"),
      HasSubstr("at most 65536 blocks"));
  EXPECT_THAT(ErrorOf("network: {repeat: {count: 2000, body: {one_of: {choices: [relu, tanh]}}}}\n"),
              HasSubstr("at most 1500 decisions"));
  EXPECT_THAT(ErrorOf("network: {repeat: {count: 9223372036854775808, body: relu}}\n"),
              HasSubstr("s.yaml:3:"));
  EXPECT_THAT(ErrorOf("network: {conv2d: {out_channels: 9223372036854775807, kernel: 3}}\n"),
              HasSubstr("from 1 to 2147483647"));
  EXPECT_THAT(ErrorOf("network: {cell: {nodes: 1000000, edge_choices: [relu]}}\n"),
              HasSubstr("65536 blocks"));
  EXPECT_THAT(ErrorOf("network: {repeat: {count: 1000000000, body: []}}\n"),
              HasSubstr("at most 65536 blocks"));
}

}  // namespace
}  // namespace canopy::search_space
