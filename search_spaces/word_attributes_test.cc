// Attributes whose values are words: in space files, in graphs, in hashes.

#include <string>
#include <string_view>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "search_spaces/evaluation.h"
#include "search_spaces/graph.h"
#include "search_spaces/space.h"

namespace canopy::search_space {
namespace {

using ::testing::HasSubstr;

const TaskShape kTokens = {{4, 6}, 3};

StatusOr<SearchSpace> Parse(const std::string& text) {
  return SearchSpace::Parse("canopy: 1\nname: s\n" + text, "s.yaml");
}

// A space whose mlp has that activation, behind what else the file says.
std::string WithActivation(const std::string& activation, const std::string& before = "") {
  return before + "network:\n- mlp:\n    activation: " + activation +
         "\n- global_avg_pool\n- linear: {features: classes}\n";
}

std::string ErrorOf(const std::string& activation, const std::string& before = "") {
  return Message(Parse(WithActivation(activation, before)).status());
}

Evaluation EvaluationOf(const std::string& text, std::string_view candidate = "{}") {
  const auto space = Parse(text);
  EXPECT_TRUE(space.ok()) << space.status();
  auto evaluation = Evaluate(*space, *space->ParseCandidate(candidate), kTokens);
  EXPECT_TRUE(evaluation.ok()) << evaluation.status();
  return *std::move(evaluation);
}

std::string ActivationOf(const std::string& text, std::string_view candidate = "{}") {
  return WordOf(EvaluationOf(text, candidate).graph.nodes[1].attributes, "activation");
}

TEST(WordAttributesTest, AWordOfTheOperatorNeedsNoQuotes) {
  EXPECT_EQ(ActivationOf(WithActivation("relu")), "relu");
  EXPECT_EQ(ActivationOf(WithActivation("'relu'")), "relu");
  EXPECT_EQ(ActivationOf("network: [mlp, global_avg_pool, {linear: {features: classes}}]\n"), "gelu");
  EXPECT_EQ(Parse(WithActivation("silu"))->content_hash(), Parse(WithActivation("'silu'"))->content_hash());
  EXPECT_NE(Parse(WithActivation("silu"))->content_hash(), Parse(WithActivation("gelu"))->content_hash());
}

TEST(WordAttributesTest, DecisionsAndExpressionsGiveWords) {
  const std::string choice = WithActivation("{choice: [relu, silu]}");
  EXPECT_EQ(ActivationOf(choice, R"({"activation":"silu"})"), "silu");
  const std::string decision = "decisions: {kind: {choice: [relu, tanh]}, wide: {choice: [true, false]}}\n";
  EXPECT_EQ(ActivationOf(WithActivation("kind", "decisions: {kind: {choice: [relu, tanh]}}\n"),
                         R"({"kind":"tanh"})"),
            "tanh");
  EXPECT_EQ(
      ActivationOf(WithActivation("if(wide, kind, 'mish')", decision), R"({"kind":"relu","wide":false})"),
      "mish");
  const std::string parameter =
      "blocks:\n  feed_forward:\n    parameters: [activation]\n    body: [{mlp: {activation: activation}}]\n"
      "network:\n- use: {block: feed_forward, with: {activation: 'sigmoid'}}\n"
      "- global_avg_pool\n- linear: {features: classes}\n";
  EXPECT_EQ(ActivationOf(parameter), "sigmoid");
}

// A word stays a word when a decision of that name is declared.
TEST(WordAttributesTest, WordsComeBeforeDecisionsOfTheSameName) {
  const std::string text =
      "decisions: {relu: {choice: [gelu, silu]}}\nnetwork:\n- mlp: {activation: relu}\n"
      "- optional: {when: relu == 'silu', body: tanh}\n- global_avg_pool\n- linear: {features: classes}\n";
  EXPECT_EQ(ActivationOf(text, R"({"relu":"silu"})"), "relu");
}

TEST(WordAttributesTest, OtherWordsAreRefusedWithTheNearestOne) {
  EXPECT_EQ(ErrorOf("gellu"),
            "s.yaml:5:17: network[0].mlp.activation: expected one of relu, relu6, hard_swish, hard_sigmoid, "
            "silu, gelu, mish, sigmoid, tanh or a decision declared before, found 'gellu' (did you mean "
            "'gelu'?)");
  EXPECT_EQ(ErrorOf("'gellu'"),
            "s.yaml:5:17: network[0].mlp.activation: expected one of relu, relu6, hard_swish, hard_sigmoid, "
            "silu, gelu, mish, sigmoid, tanh for 'activation', found gellu (did you mean 'gelu'?)");
  EXPECT_THAT(ErrorOf("{choice: [relu, hardswish]}"),
              HasSubstr("found hardswish (did you mean 'hard_swish'?)"));
  EXPECT_THAT(ErrorOf("3"), HasSubstr("for 'activation', found 3"));
  EXPECT_THAT(ErrorOf("kidn", "decisions: {kind: {choice: [relu, tanh]}}\n"),
              HasSubstr("did you mean 'kind'?"));
  // What an expression gives is known to be no word before a candidate is drawn.
  EXPECT_EQ(ErrorOf("width * 2", "decisions: {width: {choice: [1, 2]}}\n"),
            "s.yaml:6:17: network[0].mlp.activation: expected a word for 'activation', found an expression "
            "that gives a number");
  EXPECT_THAT(Message(Parse("decisions: {kind: {choice: [a, b]}}\nnetwork:\n- mlp:\n    ratio: "
                            "if(kind == 'a', 'relu', 'gelu')\n")
                          .status()),
              HasSubstr("expected a number for 'ratio', found an expression that gives a word"));
}

TEST(WordAttributesTest, AreOfTheGraphsTextAndHash) {
  const Evaluation relu = EvaluationOf(WithActivation("relu"));
  EXPECT_THAT(relu.graph.ToJson(), HasSubstr(R"({"activation":"relu","bias":true,"ratio":4})"));
  const auto read = NetworkGraph::FromJson(relu.graph.ToJson());
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(*read, relu.graph);
  EXPECT_NE(relu.graph_hash, EvaluationOf(WithActivation("gelu")).graph_hash);
  std::string other = relu.graph.ToJson();
  other.replace(other.find("relu"), 4, "rule");
  EXPECT_THAT(Message(NetworkGraph::FromJson(other).status()),
              HasSubstr("network graph: node 1: mlp: expected one of relu"));
}

// sigmoid(0) is 1/2, so that such an mlp of zeros is no zero.
TEST(WordAttributesTest, SimplificationKnowsWhichActivationsKeepZero) {
  const auto depends = [](const std::string& activation) {
    const std::string text =
        "network:\n- branches:\n    merge: add\n    bodies: [[zero, {mlp: {bias: false, "
        "activation: " +
        activation +
        "}}], identity]\n- global_avg_pool\n"
        "- linear: {features: classes}\n";
    return EvaluationOf(text).graph.nodes.size();
  };
  EXPECT_EQ(depends("tanh"), 3u);
  EXPECT_GT(depends("sigmoid"), 3u);
}

}  // namespace
}  // namespace canopy::search_space
