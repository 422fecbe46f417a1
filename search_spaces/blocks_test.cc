#include <string>
#include <string_view>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "search_spaces/cost.h"
#include "search_spaces/space.h"
#include "search_spaces/testing/parse_space.h"

namespace canopy::search_space {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr std::string_view kBegin = "canopy: 1\nname: s\n";

std::string ErrorOf(const std::string& text) {
  return Message(SearchSpace::Parse(std::string(kBegin) + text, "s.yaml").status());
}

SearchSpace Parse(const std::string& text) { return ParseSpace(std::string(kBegin) + text); }

std::vector<std::string> NamesOf(const SearchSpace& space) {
  std::vector<std::string> names;
  for (const Decision& decision : space.decisions()) names.push_back(decision.name);
  return names;
}

// The operators of a candidate's graph in order, "op" or "op:channels".
std::vector<std::string> Operators(const SearchSpace& space, std::string_view candidate) {
  const auto read = space.ParseCandidate(candidate);
  EXPECT_TRUE(read.ok()) << read.status();
  if (!read.ok()) return {};
  const auto graph = space.Lower(*read, {{3, 8, 8}, 10});
  EXPECT_TRUE(graph.ok()) << graph.status();
  std::vector<std::string> operators;
  if (!graph.ok()) return operators;
  for (const Node& node : graph->nodes)
    operators.push_back(std::string(node.op.name()) + ":" + std::to_string(node.shape[0]));
  return operators;
}

TEST(BranchesTest, ContinueFromOneInputAndAreMerged) {
  const SearchSpace space = Parse(R"(
network:
  branches:
    name: mix
    merge: concat
    bodies:
      wide: {conv2d: {out_channels: {choice: [4, 8]}, kernel: 3}}
      narrow: [{conv2d: {out_channels: {choice: [1, 2]}, kernel: 1}}, relu]
      skip: identity
)");
  EXPECT_THAT(NamesOf(space), ElementsAre("mix_wide_out_channels", "mix_narrow_out_channels"));
  EXPECT_THAT(Operators(space, R"({"mix_wide_out_channels":8,"mix_narrow_out_channels":2})"),
              ElementsAre("input:3", "conv2d:8", "conv2d:2", "relu:2", "identity:3", "concat:13"));
}

TEST(BranchesTest, AListNamesItsBodiesByNumber) {
  const SearchSpace space = Parse(
      "network: {branches: {merge: add, bodies: [{one_of: {choices: [relu, tanh]}}, "
      "{one_of: {choices: [relu, tanh]}}]}}\n");
  EXPECT_THAT(NamesOf(space), ElementsAre("branch1_op", "branch2_op"));
}

TEST(BranchesTest, ErrorsNameTheirPlace) {
  EXPECT_EQ(ErrorOf("network: {branches: {merge: sum, bodies: [relu, tanh]}}\n"),
            "s.yaml:3:10: network: expected add, multiply or concat as merge, found 'sum'");
  EXPECT_EQ(ErrorOf("network: {branches: {bodies: [relu, tanh]}}\n"),
            "s.yaml:3:21: network.branches: expected 'merge', found none");
  EXPECT_THAT(ErrorOf("network: {branches: {merge: add, bodies: [relu]}}\n"),
              HasSubstr("expected from 2 to 1024 bodies, found 1"));
  EXPECT_THAT(ErrorOf("network: {branches: {merge: add, bodies: relu}}\n"),
              HasSubstr("expected a list of blocks, or a map of blocks by name, found 'relu'"));
  const SearchSpace space =
      Parse("network: {branches: {merge: add, bodies: [relu, {conv2d: {out_channels: 4, kernel: 1}}]}}\n");
  EXPECT_EQ(
      Message(space.Lower(Candidate(), {{3, 8, 8}, 10}).status()),
      "space.yaml:3:10: network: branches: add: expected inputs of equal shapes, found {3, 8, 8} and {4, 8, "
      "8}");
}

constexpr std::string_view kUnits = R"(
blocks:
  unit:
    parameters: [width, kernel, last]
    defaults: {kernel: 3, last: false}
    decisions: {scale: {choice: [1, 2]}}
    body:
      - conv2d: {out_channels: width * scale, kernel: kernel}
      - optional: {when: not last, body: {one_of: {choices: [relu, tanh]}}}
decisions: {base: {ordinal: [4, 8]}}
network:
  - use: {block: unit, name: first, with: {width: base + 1}}
  - use: {block: unit, name: second, with: {width: base, kernel: {choice: [3, 5]}}}
  - use: {block: unit, name: third, with: {width: 2, last: true}}
)";

TEST(UseTest, PutsANamedBlockWithArgumentsAndFreshDecisions) {
  const SearchSpace space = Parse(std::string(kUnits));
  EXPECT_THAT(NamesOf(space), ElementsAre("base", "first_scale", "first_op", "second_kernel", "second_scale",
                                          "second_op", "third_scale"));
  EXPECT_THAT(Operators(space, R"({"base":8,"first_scale":2,"first_op":"relu","second_kernel":5,)"
                               R"("second_scale":1,"second_op":"tanh","third_scale":2})"),
              ElementsAre("input:3", "conv2d:18", "relu:18", "conv2d:8", "tanh:8", "conv2d:4"));
}

TEST(UseTest, SharedUsesHaveOneSetOfDecisionsWhereverTheyStand) {
  const SearchSpace space = Parse(R"(
blocks:
  cell: [{one_of: {choices: [relu, tanh]}}]
network:
  - use: {block: cell, share: true}
  - repeat: {name: stage, count: 2, body: [{use: {block: cell, share: true}}, {use: cell}]}
)");
  EXPECT_THAT(NamesOf(space), ElementsAre("cell_op", "stage1_op", "stage2_op"));
  EXPECT_THAT(Operators(space, R"({"cell_op":"tanh","stage1_op":"relu","stage2_op":"relu"})"),
              ElementsAre("input:3", "tanh:3", "tanh:3", "relu:3", "tanh:3", "relu:3"));
}

TEST(UseTest, NumbersOfRepeatsAndNestedUsesPassThrough) {
  const SearchSpace space = Parse(R"(
blocks:
  inner: {parameters: [n], body: {conv2d: {out_channels: n * n, kernel: 1}}}
  outer: {parameters: [n], body: [{use: {block: inner, with: {n: n + 1}}}, relu]}
decisions: {k: {choice: [1, 2]}}
network: {repeat: {count: 2, body: {use: {block: outer, with: {n: block * k}}}}}
)");
  EXPECT_THAT(Operators(space, R"({"k":2})"),
              ElementsAre("input:3", "conv2d:9", "relu:9", "conv2d:25", "relu:25"));
}

TEST(UseTest, TheBodyKnowsTheFilesDecisionsAndNotThoseAroundItsUse) {
  EXPECT_THAT(
      ErrorOf("blocks: {b: {body: {conv2d: {out_channels: w, kernel: 1}}}}\nnetwork: {sequence: {name: a, "
              "decisions: {w: {choice: [1, 2]}}, blocks: [{use: b}]}}\n"),
      HasSubstr("s.yaml:3:44: blocks.b.body.conv2d.out_channels: expected a decision declared before, "
                "found 'w'"));
}

TEST(UseTest, ArgumentsMayBeConditional) {
  const SearchSpace space = Parse(R"(
decisions: {wide: {choice: [true, false]}}
blocks: {unit: {parameters: [rate], body: [{optional: {when: wide, body: {dropout: {rate: rate}}}}, relu]}}
network: {use: {block: unit, with: {rate: {choice: [0.1, 0.5], when: wide}}}}
)");
  EXPECT_THAT(Operators(space, R"({"wide":true,"rate":0.5})"), ElementsAre("input:3", "dropout:3", "relu:3"));
  EXPECT_THAT(Operators(space, R"({"wide":false})"), ElementsAre("input:3", "relu:3"));
}

TEST(UseTest, TwoUsesWithFreshDecisionsNeedNames) {
  EXPECT_EQ(
      ErrorOf("blocks: {b: [{one_of: {choices: [relu, tanh]}}]}\nnetwork: [{use: b}, {use: b}]\n"),
      "s.yaml:3:14: blocks.b[0]: expected a name of its own, found 'op' again: give this decision or the "
      "`use` around it another `name`, or let all uses `share`");
  // Without decisions there is nothing to name.
  EXPECT_EQ(ErrorOf("blocks: {b: [relu, tanh]}\nnetwork: [{use: b}, {use: b}]\n"), "");
}

TEST(UseTest, ErrorsNameTheirPlace) {
  EXPECT_EQ(
      ErrorOf("blocks: {unit: [relu]}\nnetwork: {use: untt}\n"),
      "s.yaml:4:16: network.use: expected the name of one of the file's `blocks`, found 'untt' (did you "
      "mean 'unit'?)");
  EXPECT_THAT(
      ErrorOf("blocks: {b: {parameters: [n], body: relu}}\nnetwork: {use: b}\n"),
      HasSubstr("s.yaml:4:10: network: expected a value for 'n' of block 'b' under `with`, found none"));
  EXPECT_THAT(
      ErrorOf("blocks: {b: {parameters: [n], body: relu}}\nnetwork: {use: {block: b, with: {m: 1}}}\n"),
      HasSubstr("s.yaml:4:34: network.use.with.m: expected one of n, found 'm'"));
  EXPECT_THAT(ErrorOf("blocks: {b: [relu]}\nnetwork: {use: {block: b, with: {m: 1}}}\n"),
              HasSubstr("expected no arguments: 'b' has no parameters"));
  EXPECT_THAT(
      ErrorOf("blocks: {b: {parameters: [n], body: relu}}\nnetwork: {use: {block: b, with: {n: in_channels}}}"
              "\n"),
      HasSubstr("s.yaml:4:37: network.use.with.n: expected constants and decisions in an argument, found "
                "'in_channels', which differs from block to block: compute with it in the body"));
  EXPECT_THAT(ErrorOf("blocks: {b: {parameters: [n], defaults: {m: 1}, body: relu}}\nnetwork: {use: b}\n"),
              HasSubstr("expected the default of a parameter, found 'm'"));
  EXPECT_THAT(ErrorOf("blocks: {b: {parameters: [if], body: relu}}\nnetwork: {use: b}\n"),
              HasSubstr("none a word of expressions, found 'if'"));
  EXPECT_THAT(ErrorOf("blocks: {b: [relu]}\nnetwork: relu\n"),
              HasSubstr("s.yaml:3:10: blocks.b: expected a block that something uses, found 'b'"));
  // What a block does not do with its argument leaves a decision without meaning.
  EXPECT_THAT(
      ErrorOf("blocks: {b: {parameters: [n], body: relu}}\nnetwork: {use: {block: b, with: {n: {choice: [1, "
              "2]}}}}\n"),
      HasSubstr("found 'n', which nothing names"));
}

// Small files that stand for enormous networks, or for endless ones.
TEST(UseTest, ExpansionIsBoundedBeforeItHappens) {
  EXPECT_EQ(ErrorOf("blocks: {a: [relu, {use: b}], b: [{use: a}]}\nnetwork: {use: a}\n"),
            "s.yaml:3:41: blocks.b[0].use: expected a block that does not use itself, found a > b > a");
  EXPECT_THAT(ErrorOf("blocks: {a: [{use: a}]}\nnetwork: {use: a}\n"),
              HasSubstr("expected a block that does not use itself, found a > a"));
  // Each uses the one before ten times.
  std::string powers = "blocks:\n  b0: [relu]\n";
  for (int i = 1; i < 12; ++i) {
    powers += "  b" + std::to_string(i) + ": [";
    for (int k = 0; k < 10; ++k) powers += "{use: b" + std::to_string(i - 1) + "}, ";
    powers += "]\n";
  }
  EXPECT_THAT(ErrorOf(powers + "network: {use: b11}\n"), HasSubstr("at most 65536 blocks"));
  // Counts that only arguments give.
  EXPECT_THAT(
      ErrorOf(
          "blocks: {a: {parameters: [n], body: {repeat: {count: n, body: relu}}}, b: {parameters: [n], "
          "body: {repeat: {count: n, body: {use: {block: a, with: {n: n}}}}}}}\nnetwork: {use: {block: b, "
          "with: {n: 60000}}}\n"),
      HasSubstr("at most 65536 blocks"));
  // One long expression, in each of many copies.
  std::string sum = "d";
  for (int i = 0; i < 900; ++i) sum += " + d";
  EXPECT_THAT(ErrorOf("decisions: {d: {choice: [1, 2]}}\nnetwork: {repeat: {count: 30000, body: {optional: "
                      "{when: " +
                      sum + " > 0, body: relu}}}}\n"),
              HasSubstr("expected fewer or shorter expressions"));
  std::string chain = "blocks:\n  b0: [relu]\n";
  for (int i = 1; i < 2000; ++i)
    chain += "  b" + std::to_string(i) + ": [{use: b" + std::to_string(i - 1) + "}]\n";
  EXPECT_THAT(ErrorOf(chain + "network: {use: b1999}\n"), HasSubstr("at most 16 deep"));
  std::string reversed = "blocks:\n";
  for (int i = 1999; i > 0; --i)
    reversed += "  b" + std::to_string(i) + ": [{use: b" + std::to_string(i - 1) + "}]\n";
  EXPECT_THAT(ErrorOf(reversed + "  b0: [relu]\nnetwork: {use: b1999}\n"), HasSubstr("at most 16 deep"));
}

TEST(CellTest, NodesPickTheirInputsAndEdgesTheirOperators) {
  const SearchSpace space = Parse(R"(
network:
  - relu
  - cell:
      name: c
      nodes: 4
      node_inputs: 1
      output: concat
      stride: 2
      edge_choices:
        conv:
          conv2d: {out_channels: {choice: [3, 5]}, kernel: 3, stride: stride}
        pool: {max_pool: {kernel: 3, stride: stride, padding: 1}}
)");
  EXPECT_THAT(NamesOf(space),
              ElementsAre("c_edge_0_1", "c_edge_0_1_conv_out_channels", "c_node_2_inputs", "c_edge_0_2",
                          "c_edge_0_2_conv_out_channels", "c_edge_1_2", "c_edge_1_2_conv_out_channels",
                          "c_node_3_inputs", "c_edge_0_3", "c_edge_0_3_conv_out_channels", "c_edge_1_3",
                          "c_edge_1_3_conv_out_channels", "c_edge_2_3", "c_edge_2_3_conv_out_channels"));
  EXPECT_EQ(space.FindDecision("c_edge_1_3")->conditions[0].text(), "c_node_3_inputs in ['1']");
  EXPECT_THAT(
      Operators(space, R"({"c_edge_0_1":"conv","c_edge_0_1_conv_out_channels":5,"c_node_2_inputs":"1",)"
                       R"("c_edge_1_2":"pool","c_node_3_inputs":"0","c_edge_0_3":"pool"})"),
      ElementsAre("input:3", "relu:3", "conv2d:5", "add:5", "max_pool:5", "add:5", "max_pool:3", "add:3",
                  "concat:13"));
}

TEST(CellTest, TheSecondInputIsThatOfTheCellBefore) {
  const SearchSpace space = Parse(R"(
network:
  repeat:
    name: copy
    count: 3
    share: true
    body:
      cell: {inputs: 2, nodes: 3, merge: concat, edge_choices: {one: identity}}
)");
  // 3 + 3, then 3 + 6, then 6 + 9 channels.
  EXPECT_THAT(Operators(space, R"({"edge_0_2":"one","edge_1_2":"one"})"),
              ElementsAre("input:3", "identity:3", "identity:3", "concat:6", "identity:3", "identity:6",
                          "concat:9", "identity:6", "identity:9", "concat:15"));
}

TEST(CellTest, SearchedEdgesLeaveOutWhatIsOnNoPath) {
  const SearchSpace space =
      Parse("network: {cell: {nodes: 4, edges: searched, max_edges: 2, node_choices: {r: relu, t: tanh}}}\n");
  const std::string ops = R"("node_1_op":"r","node_2_op":"t",)";
  EXPECT_THAT(Operators(space, "{" + ops +
                                   R"("edge_0_1":true,"edge_0_2":true,"edge_1_2":false,)"
                                   R"("edge_0_3":false,"edge_1_3":true,"edge_2_3":false})"),
              ElementsAre("input:3", "add:3", "relu:3", "add:3"));
  const auto lower = [&](const std::string& edges) {
    const auto candidate = space.ParseCandidate("{" + ops + edges + "}");
    EXPECT_TRUE(candidate.ok()) << candidate.status();
    return Message(space.Lower(*candidate, {{3, 8, 8}, 10}).status());
  };
  EXPECT_EQ(lower(R"("edge_0_1":true,"edge_0_2":true,"edge_1_2":true,"edge_0_3":false,"edge_1_3":false,)"
                  R"("edge_2_3":false)"),
            "space.yaml:3:10: network: cell: expected a path from its input to its output, found none");
  EXPECT_THAT(lower(R"("edge_0_1":true,"edge_0_2":true,"edge_1_2":true,"edge_0_3":false,"edge_1_3":false,)"
                    R"("edge_2_3":true)"),
              HasSubstr("cell: expected at most 2 edges, found 4"));
}

TEST(CellTest, FieldsThatDoNotFitTogetherAreRefused) {
  const auto error = [](const std::string& fields) { return ErrorOf("network: {cell: {" + fields + "}}\n"); };
  EXPECT_THAT(error("nodes: 3"),
              HasSubstr("s.yaml:3:10: network: expected edge_choices or node_choices, found none"));
  EXPECT_THAT(error("nodes: 3, inputs: 3, edge_choices: [relu]"),
              HasSubstr("expected 1 or 2 inputs, found 3"));
  EXPECT_THAT(error("nodes: 2, inputs: 2, edge_choices: [relu]"),
              HasSubstr("expected from 3 to 32 nodes, found 2"));
  EXPECT_THAT(error("nodes: 3, edges: some, edge_choices: [relu]"), HasSubstr("found 'some'"));
  EXPECT_THAT(error("nodes: 3, edges: searched, edge_choices: [relu]"),
              HasSubstr("expected neither edge_choices"));
  EXPECT_THAT(error("nodes: 3, max_edges: 2, edge_choices: [relu]"), HasSubstr("expected max_edges from 1"));
  EXPECT_THAT(error("nodes: 3, output: split, edges: searched, node_choices: [relu]"),
              HasSubstr("expected channels and output: split together"));
  EXPECT_THAT(error("nodes: 3, output: split, channels: 8, node_choices: [relu]"),
              HasSubstr("expected one input and edges: searched beside output: split"));
  EXPECT_THAT(error("nodes: 3, stride: 2, node_choices: [relu]"),
              HasSubstr("expected stride beside edge_choices"));
  EXPECT_THAT(error("nodes: 3, stride: {choice: [1, 2]}, edge_choices: [relu]"),
              HasSubstr("expected an integer from 1 that no decision changes"));
  EXPECT_THAT(error("nodes: 3, preprocess: [relu, relu], edge_choices: [relu]"),
              HasSubstr("expected a block for each of 1 inputs as preprocess, found 2"));
  EXPECT_THAT(error("nodes: 32, node_inputs: 8, edge_choices: [relu]"),
              HasSubstr("a node has too many sets of inputs"));
}

TEST(SizeNamesTest, HeightAndWidthOfTheInputAreKnown) {
  const SearchSpace space = Parse(
      "network:\n- max_pool:\n    kernel: if(in_height > 4, 2, 1)\n- conv2d: {out_channels: in_width, "
      "kernel: 1}\n"
      "- global_avg_pool\n- linear:\n    features: divisible(in_channels * 2.1, 4)\n");
  EXPECT_THAT(Operators(space, "{}"),
              ElementsAre("input:3", "max_pool:3", "conv2d:4", "global_avg_pool:4", "linear:8"));
  const SearchSpace vector = Parse("network: [global_avg_pool, {linear: {features: in_height}}]\n");
  EXPECT_THAT(Message(vector.Lower(Candidate(), {{3, 8, 8}, 10}).status()),
              HasSubstr("expected an input of shape {channels, height, width} for 'in_height'"));
}

TEST(SizeNamesTest, TokensOfTheInputAreKnown) {
  const SearchSpace space = Parse("network:\n- last_tokens:\n    tokens: min(in_tokens, 5)\n");
  EXPECT_EQ(space.Lower(Candidate(), {{9, 4}, 4})->nodes[1].shape, (Shape{5, 4}));
  EXPECT_EQ(space.Lower(Candidate(), {{3, 4}, 4})->nodes[1].shape, (Shape{3, 4}));
  EXPECT_THAT(Message(space.Lower(Candidate(), {{3, 8, 8}, 10}).status()),
              HasSubstr("expected an input of shape {tokens, features} for 'min(in_tokens, 5)'"));
}

}  // namespace
}  // namespace canopy::search_space
