#include "search_spaces/file_operators.h"

#include <string>
#include <string_view>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "search_spaces/evaluation.h"
#include "search_spaces/includes.h"
#include "search_spaces/ops/operator_definition.h"
#include "search_spaces/simplify.h"
#include "search_spaces/space.h"

namespace canopy::search_space {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

// A strided depthwise convolution, an expansion and a projection back. The network stands before what it
// uses.
constexpr std::string_view kMixer = R"(canopy: 1
name: mixers
input: {shape: [3, 32, 32], classes: 10}
network:
  - conv2d: {out_channels: 8, kernel: 3}
  - mixer: {kernel: {choice: [3, 5]}, stride: 2}
  - relu
  - mixer: {kernel: 3, expand: 4, groups: 2}
  - global_avg_pool
  - linear: {features: classes}
operators:
  mixer:
    attributes:
      kernel: int
      stride: {type: int, default: 1, min: 1}
      expand: {type: float, default: 2.0}
      groups: {type: int, default: 1, min: 1}
      bias: {type: bool, default: false}
    conditions: [in_channels % groups == 0]
    output: [in_channels, in_height // stride, in_width // stride]
    parameters: in_channels * kernel ** 2 + 2 * in_channels ** 2 * expand // groups + if(bias, in_channels, 0)
    macs: out_places * (in_channels * kernel ** 2 + 2 * in_channels ** 2 * expand // groups)
    layers: 3
)";

StatusOr<Evaluation> EvaluateText(std::string_view text, std::string_view candidate) {
  CANOPY_ASSIGN_OR_RETURN(const SearchSpace space, SearchSpace::Parse(text, "s.yaml"));
  CANOPY_ASSIGN_OR_RETURN(const Candidate parsed, space.ParseCandidate(candidate));
  return Evaluate(space, parsed, *space.default_task());
}

std::string Replaced(std::string_view text, std::string_view from, std::string_view to) {
  std::string result(text);
  const size_t at = result.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return result.replace(at, from.size(), to);
}

std::string ParseError(std::string_view from, std::string_view to) {
  return Message(SearchSpace::Parse(Replaced(kMixer, from, to), "s.yaml").status());
}

std::string EvaluationError(std::string_view from, std::string_view to) {
  return Message(EvaluateText(Replaced(kMixer, from, to), R"({"kernel": 3})").status());
}

TEST(FileOperatorsTest, RulesGiveShapesAndCounts) {
  const auto evaluation = EvaluateText(kMixer, R"({"kernel": 5})");
  ASSERT_TRUE(evaluation.ok()) << evaluation.status();
  const auto& nodes = evaluation->graph.nodes;
  EXPECT_THAT(nodes[2].shape, ElementsAre(8, 16, 16));
  EXPECT_THAT(nodes[4].shape, ElementsAre(8, 16, 16));
  EXPECT_EQ(nodes[2].attributes.text(), "bias=false expand=2 groups=1 kernel=5 stride=2");
  const int64_t stem = 3 * 8 * 9, head = 8 * 10;
  const int64_t first = 8 * 25 + 2 * 64 * 2, second = 8 * 9 + 2 * 64 * 4 / 2;
  EXPECT_EQ(evaluation->costs.params, stem + 8 + first + second + head + 10);
  EXPECT_EQ(evaluation->costs.macs, stem * 1024 + 256 * (first + second) + head);
  EXPECT_EQ(evaluation->costs.depth, 1 + 3 + 3 + 1);
  EXPECT_TRUE(evaluation->depends_on_input);
}

TEST(FileOperatorsTest, ConstraintsCountThem) {
  const auto evaluation = EvaluateText(
      Replaced(kMixer, "operators:", "constraints: [params < 100]\noperators:"), R"({"kernel": 5})");
  ASSERT_TRUE(evaluation.ok()) << evaluation.status();
  EXPECT_EQ(evaluation->violations.size(), 1u);
}

TEST(FileOperatorsTest, AreUnknownToSimplificationButForDeadOnes) {
  // Two of the same input stay two, and of a zero there is no zero.
  const auto twice = EvaluateText(R"(canopy: 1
name: twice
input: {shape: [4], classes: 4}
network:
  - branches:
      merge: add
      bodies: [own, own, [zero, own]]
  - optional: {when: 1 < 2, body: own}
operators:
  own: {output: same, parameters: in_channels}
)",
                                  "{}");
  ASSERT_TRUE(twice.ok()) << twice.status();
  EXPECT_EQ(twice->costs.params, 16);
  const auto dead = EvaluateText(R"(canopy: 1
name: dead
input: {shape: [4], classes: 4}
network:
  - branches: {merge: add, bodies: [identity, [own, zero]]}
operators:
  own: {output: same, parameters: in_channels}
)",
                                 "{}");
  ASSERT_TRUE(dead.ok()) << dead.status();
  EXPECT_EQ(dead->costs.params, 0);
  EXPECT_EQ(dead->costs_as_written.params, 4);
}

TEST(FileOperatorsTest, TheGraphBringsTheRulesAlong) {
  const auto evaluation = EvaluateText(kMixer, R"({"kernel": 3})");
  ASSERT_TRUE(evaluation.ok()) << evaluation.status();
  const std::string text = evaluation->graph.ToJson();
  EXPECT_THAT(
      text,
      HasSubstr(R"("operators":{"mixer":{"attributes":[{"max":2147483647,"min":0,"name":"kernel",)"
                R"("type":"int"},{"default":1,"max":2147483647,"min":1,"name":"stride","type":"int"})"));
  const auto read = NetworkGraph::FromJson(text);
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(*read, evaluation->graph);
  EXPECT_EQ(read->ToJson(), text);
  const auto wrong_shape = NetworkGraph::FromJson(
      Replaced(text, R"("op":"mixer","shape":[8,16,16])", R"("op":"mixer","shape":[8,32,32])"));
  EXPECT_THAT(Message(wrong_shape.status()), HasSubstr("node 2: mixer: expected shape {8, 16, 16}, found"));
  const auto wrong_rule =
      NetworkGraph::FromJson(Replaced(text, R"("macs":"out_places)", R"("macs":"out_plces)"));
  EXPECT_THAT(Message(wrong_rule.status()), HasSubstr("operator 'mixer': macs: expected an attribute"));
  const auto incomplete = NetworkGraph::FromJson(Replaced(text, R"("layers":3,)", ""));
  EXPECT_THAT(Message(incomplete.status()), HasSubstr("operator 'mixer': expected the definition"));
  EXPECT_FALSE(
      NetworkGraph::FromJson(Replaced(text, R"("operators":{"mixer")", R"("operators":{"other")")).ok());
}

constexpr std::string_view kGated = R"(canopy: 1
name: gated
input: {shape: [6, 4], classes: 2}
network:
  - gated: {gate: {choice: [relu, swiglu]}}
  - gated
  - global_avg_pool
  - linear: {features: classes, bias: false}
operators:
  gated:
    attributes:
      gate: {type: word, words: [relu, swiglu, geglu], default: geglu}
    input: tokens
    output: same
    parameters: if(gate == 'relu', 2, 3) * in_channels ** 2
)";

TEST(FileOperatorsTest, AttributesCanBeWords) {
  const auto relu = EvaluateText(kGated, R"({"gate": "relu"})");
  const auto swiglu = EvaluateText(kGated, R"({"gate": "swiglu"})");
  ASSERT_TRUE(relu.ok() && swiglu.ok()) << relu.status() << swiglu.status();
  EXPECT_EQ(relu->costs.params, 2 * 16 + 3 * 16 + 8);
  EXPECT_EQ(swiglu->costs.params, 3 * 16 + 3 * 16 + 8);
  EXPECT_EQ(relu->graph.nodes[2].attributes.text(), R"(gate="geglu")");
  EXPECT_NE(relu->graph_hash, swiglu->graph_hash);
  const std::string text = relu->graph.ToJson();
  EXPECT_THAT(text, HasSubstr(R"({"default":"geglu","name":"gate","type":"word",)"
                              R"("words":["relu","swiglu","geglu"]})"));
  const auto read = NetworkGraph::FromJson(text);
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(*read, relu->graph);
  EXPECT_FALSE(NetworkGraph::FromJson(Replaced(text, R"("gate":"relu")", R"("gate":"silu")")).ok());
  const auto error = [](std::string_view from, std::string_view to) {
    return Message(SearchSpace::Parse(Replaced(kGated, from, to), "s.yaml").status());
  };
  EXPECT_EQ(error("{gate: {choice: [relu, swiglu]}}", "{gate: swiglu}"), "");
  EXPECT_THAT(
      error("{gate: {choice: [relu, swiglu]}}", "{gate: swigul}"),
      HasSubstr("s.yaml:5:19: network[0].gated.gate: expected one of relu, swiglu, geglu or a decision "
                "declared before, found 'swigul' (did you mean 'swiglu'?)"));
  EXPECT_THAT(error("[relu, swiglu]}", "[relu, glu]}"),
              HasSubstr("expected one of relu, swiglu, geglu for 'gate', found glu"));
  EXPECT_THAT(error("default: geglu", "default: gelu"), HasSubstr("expected one of relu, swiglu, geglu"));
  EXPECT_THAT(error("words: [relu, swiglu, geglu], default: geglu", "default: geglu"),
              HasSubstr("attributes.gate: expected `type: word` and `words` together"));
  EXPECT_THAT(error("type: word", "type: int"), HasSubstr("expected `type: word` and `words` together"));
  EXPECT_THAT(error("default: geglu", "min: 2"), HasSubstr("expected no min and max of a word"));
  EXPECT_THAT(error("swiglu, geglu]", "relu, geglu]"),
              HasSubstr("each once and none `true` or `false`; found"));
  EXPECT_THAT(error("swiglu, geglu]", "true, geglu]"), HasSubstr("found 'true'"));
  EXPECT_THAT(error("if(gate == 'relu', 2, 3)", "gate"), HasSubstr("expected a number on each side of '*'"));
}

TEST(FileOperatorsTest, HashesDependOnTheRules) {
  const auto first = EvaluateText(kMixer, R"({"kernel": 3})");
  const auto same = EvaluateText(Replaced(kMixer, "name: mixers", "name: others"), R"({"kernel": 3})");
  const std::string changed = Replaced(kMixer, "macs: out_places", "macs: 2 * out_places");
  const auto other = EvaluateText(changed, R"({"kernel": 3})");
  ASSERT_TRUE(first.ok() && same.ok() && other.ok());
  EXPECT_EQ(first->graph_hash, same->graph_hash);
  EXPECT_NE(first->graph_hash, other->graph_hash);
  EXPECT_EQ(first->costs.params, other->costs.params);
  EXPECT_NE(SearchSpace::Parse(kMixer, "s.yaml")->content_hash(),
            SearchSpace::Parse(changed, "s.yaml")->content_hash());
  EXPECT_THAT(SearchSpace::Parse(kMixer, "s.yaml")->own_operators(), ElementsAre("mixer"));
}

TEST(FileOperatorsTest, TakesInputsOfTheKindThatItSays) {
  const auto of = [](std::string_view shape, std::string_view op, std::string_view definition) {
    const std::string text =
        "canopy: 1\nname: s\ninput: {shape: " + std::string(shape) + ", classes: 2}\nnetwork: [" +
        std::string(op) + ", own, linear: {features: classes}]\noperators: {own: " + std::string(definition) +
        "}\n";
    return EvaluateText(text, "{}");
  };
  EXPECT_TRUE(of("[3, 8, 8]", "identity", "{input: image, output: [in_places * in_channels]}").ok());
  EXPECT_TRUE(of("[5, 8]", "identity", "{input: tokens, output: [in_channels], macs: in_tokens}").ok());
  EXPECT_TRUE(of("[8]", "identity", "{output: [in_channels * 2], conditions: [in_channels > 1]}").ok());
  EXPECT_THAT(Message(of("[5, 8]", "identity", "{output: [in_channels]}").status()),
              HasSubstr("expected an input of shape {features}, found {5, 8}"));
  EXPECT_THAT(Message(of("[8]", "identity", "{output: [in_tokens, in_channels]}").status()),
              HasSubstr("expected an input of shape {tokens, features}, found {8}"));
  EXPECT_THAT(
      Message(of("[8]", "identity", "{output: [in_tokens]}").status()),
      HasSubstr("own.output[0]: expected an attribute of the operator or one of in_channels, in_places, "
                "found 'in_tokens'"));
}

TEST(FileOperatorsTest, ErrorsOfDefinitionsNameTheirPlace) {
  EXPECT_THAT(ParseError("  - mixer: {kernel: {", "  - mxier: {kernel: {"),
              HasSubstr("s.yaml:6:5: network[1]: expected an operator or one of sequence,"));
  EXPECT_THAT(ParseError("  - mixer: {kernel: {", "  - mxier: {kernel: {"),
              HasSubstr("did you mean 'mixer'?"));
  EXPECT_THAT(
      ParseError("stride: 2}", "strid: 2}"),
      HasSubstr("s.yaml:6:39: network[1].mixer: expected one of name, kernel, stride, expand, groups, bias, "
                "found 'strid' (did you mean 'stride'?)"));
  EXPECT_THAT(ParseError("mixer: {kernel: 3, ", "mixer: {"),
              HasSubstr("s.yaml:8:5: network[3]: mixer: expected 'kernel', found none"));
  EXPECT_THAT(ParseError("groups: 2}", "groups: 0}"),
              HasSubstr("expected an integer from 1 to 2147483647 for 'groups', found 0"));
  EXPECT_THAT(
      ParseError("kernel: int", "kernel: integer"),
      HasSubstr("s.yaml:14:15: operators.mixer.attributes.kernel: expected one of int, float, bool, word as "
                "type, found 'integer'"));
  EXPECT_THAT(ParseError("default: 2.0", "defualt: 2.0"), HasSubstr("did you mean 'default'?"));
  EXPECT_THAT(
      ParseError("default: 2.0", "default: -2.0"),
      HasSubstr("operators.mixer.attributes.expand: expected a number from 0 to 2147483647 for 'expand'"));
  EXPECT_THAT(ParseError("      groups: {", "      in_height: {"),
              HasSubstr("expected attributes of lower-case"));
  EXPECT_THAT(ParseError("in_channels % groups == 0", "in_channels % groups"),
              HasSubstr("s.yaml:19:18: operators.mixer.conditions[0]: expected a condition, found"));
  EXPECT_THAT(
      ParseError("in_height // stride", "in_hieght // stride"),
      HasSubstr("operators.mixer.output[1]: expected an attribute of the operator or one of in_channels, "
                "in_places, in_height, in_width, found 'in_hieght' (did you mean 'in_height'?)"));
  EXPECT_THAT(ParseError("in_height // stride", "out_height // stride"), HasSubstr("found 'out_height'"));
  EXPECT_THAT(ParseError("in_height // stride", "in_height // bias"),
              HasSubstr("expected a number on each side of '//'"));
  EXPECT_THAT(ParseError("macs: out_places *", "macs: out_places * *"),
              HasSubstr("s.yaml:22:11: operators.mixer.macs: expected a number, a name"));
  EXPECT_THAT(ParseError("    layers: 3", "    layers: 99"),
              HasSubstr("operators.mixer.layers: expected from 0 to 64"));
  EXPECT_THAT(ParseError("    output: [in_channels, in_height // stride, in_width // stride]\n", ""),
              HasSubstr("operators.mixer: expected 'output', found none"));
  EXPECT_THAT(
      ParseError("output: [in_channels, in_height // stride, in_width // stride]", "output: image"),
      HasSubstr("expected a list of rules, one for each size of the output, or `same`, found 'image'"));
}

TEST(FileOperatorsTest, NamesAreTheirOwn) {
  const auto renamed = [](std::string_view name) {
    std::string text = Replaced(kMixer, "\n  mixer:", "\n  " + std::string(name) + ":");
    return Message(SearchSpace::Parse(text, "s.yaml").status());
  };
  EXPECT_THAT(renamed("relu"), HasSubstr("s.yaml:12:3: operators: expected a name"));
  EXPECT_THAT(renamed("repeat"), HasSubstr("found 'repeat', which is a block"));
  EXPECT_THAT(renamed("min"), HasSubstr("a word of expressions, found 'min'"));
  EXPECT_THAT(renamed("Mixer"), HasSubstr("expected a name of lower-case letters"));
  EXPECT_THAT(
      Message(SearchSpace::Parse(std::string(kMixer) + "  unused: {output: same}\n", "s.yaml").status()),
      HasSubstr("s.yaml:24:3: operators.unused: expected an operator that the network uses"));
  const std::string block = std::string(kMixer) + "blocks: {mixer: [relu]}\n";
  EXPECT_THAT(
      Message(SearchSpace::Parse(Replaced(block, "  - relu\n", "  - use: mixer\n"), "s.yaml").status()),
      HasSubstr("found 'mixer', which one of `blocks` has"));
}

TEST(FileOperatorsTest, WhatARuleGivesHasToBeACount) {
  EXPECT_THAT(
      EvaluationError("groups: 2}", "groups: 3}"),
      HasSubstr("s.yaml:8:5: network[3]: mixer: expected in_channels % groups == 0, found in_channels = 8, "
                "groups = 3"));
  EXPECT_THAT(EvaluationError("in_height // stride", "in_height / 3"),
              HasSubstr("mixer: output[1]: expected an integer of 1 or more of 'in_height / 3', found "));
  EXPECT_THAT(EvaluationError("in_height // stride", "in_height - 32"),
              HasSubstr("found 0 with in_height = 32"));
  EXPECT_THAT(EvaluationError("parameters: in_channels", "parameters: -100000 + in_channels"),
              HasSubstr("mixer: parameters: expected an integer of 0 or more"));
  EXPECT_THAT(EvaluationError("macs: out_places", "macs: 9223372036854775807 * out_places"),
              HasSubstr("mixer: macs: expected a result that fits in 64 bits"));
  EXPECT_THAT(EvaluationError("in_height // stride", "in_height // (stride - stride)"),
              HasSubstr("output[1]: expected no division by zero"));
  EXPECT_THAT(EvaluationError(
                  "macs: out_places * (in_channels * kernel ** 2 + 2 * in_channels ** 2 * expand // groups)",
                  "macs: 9223372036854775807"),
              HasSubstr("parameters and MACs fit in 64 bits"));
}

TEST(FileOperatorsTest, IncludedFilesBringThem) {
  constexpr std::string_view kSpace = R"(canopy: 1
name: s
input: {shape: [4], classes: 4}
include: [lib/ops.yaml]
network: [own: {by: 2}, {linear: {features: classes}}]
)";
  const auto with = [&](std::string library) {
    const auto bundle = BundleIncludes(kSpace, "dir/s.yaml", [&](const std::string&) { return library; });
    EXPECT_TRUE(bundle.ok()) << bundle.status();
    return SearchSpace::Parse(*bundle, "dir/s.yaml");
  };
  const std::string own =
      "canopy: 1\noperators:\n  own: {attributes: {by: int}, output: [in_channels * by]}\n";
  const auto space = with(own + "  another: {output: same}\n");
  ASSERT_TRUE(space.ok()) << space.status();
  EXPECT_THAT(space->own_operators(), ElementsAre("own"));
  EXPECT_THAT(
      Message(with("canopy: 1\noperators: {own: {attributes: {by: int}, output: [in_channel]}}\n").status()),
      HasSubstr("dir/lib/ops.yaml:2:"));
  EXPECT_THAT(Message(with("canopy: 1\n").status()), HasSubstr("found 'own'"));
  // Moving a definition to another file changes no hash.
  const auto inside = SearchSpace::Parse(
      Replaced(Replaced(kSpace, "include: [lib/ops.yaml]\n", ""), "canopy: 1\n", own), "s.yaml");
  ASSERT_TRUE(inside.ok()) << inside.status();
  EXPECT_EQ(inside->content_hash(), with(own)->content_hash());
}

TEST(DefineOperatorTest, EqualDefinitionsAreOneOperator) {
  std::string fault;
  const OperatorDefinition definition{.name = "defined_once", .output = {"in_channels"}};
  const auto first = DefineOperator(definition, fault), again = DefineOperator(definition, fault);
  ASSERT_TRUE(first.ok() && again.ok());
  EXPECT_EQ(*first, *again);
  OperatorDefinition other = definition;
  other.macs = "1";
  EXPECT_NE(*DefineOperator(other, fault), *first);
  const auto read = ParseOperatorDefinition("defined_once", (*first)->definition());
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(*DefineOperator(*read, fault), *first);
}

}  // namespace
}  // namespace canopy::search_space
