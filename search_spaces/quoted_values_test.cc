// Values in quotes: all texts of JSON, and in YAML what flow style would cut at a comma.

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "search_spaces/evaluation.h"
#include "search_spaces/space.h"

namespace canopy::search_space {
namespace {

using ::testing::HasSubstr;

TEST(QuotedValuesTest, JsonIsTheSpaceThatYamlIs) {
  const auto yaml = SearchSpace::Parse(R"(
canopy: 1
name: s
input: {shape: [3, 8, 8], classes: 2}
decisions: {width: {ordinal: [4, 8]}, deep: {choice: [true, false]}, act: {choice: [relu, silu]}}
network:
- conv2d:
    out_channels: min(6, width * 2)
    kernel: {choice: [1, 3]}
    bias: deep
- cell: {nodes: 3, node_choices: {a: relu, b: tanh}, edges: searched, output: split, channels: width}
- repeat: {count: 2, body: relu}
- global_avg_pool
- mlp:
    activation: if(deep, 'relu', act)
- mlp: {activation: silu}
- optional: {when: act == 'relu', body: {linear: {features: width}}}
- linear: {features: classes}
constraints: [depth < 9, act == 'relu' or width > 4]
)",
                                       "s.yaml");
  const auto json = SearchSpace::Parse(R"json(
{"canopy": 1, "name": "s", "input": {"shape": [3, 8, 8], "classes": 2},
 "decisions": {"width": {"ordinal": [4, 8]}, "deep": {"choice": [true, false]},
               "act": {"choice": ["relu", "silu"]}},
 "network": [
  {"conv2d": {"out_channels": "min(6, width * 2)", "kernel": {"choice": [1, 3]}, "bias": "deep"}},
  {"cell": {"nodes": 3, "node_choices": {"a": "relu", "b": "tanh"}, "edges": "searched", "output": "split",
            "channels": "width"}},
  {"repeat": {"count": 2, "body": "relu"}},
  "global_avg_pool",
  {"mlp": {"activation": "if(deep, 'relu', act)"}},
  {"mlp": {"activation": "silu"}},
  {"optional": {"when": "act == 'relu'", "body": {"linear": {"features": "width"}}}},
  {"linear": {"features": "classes"}}],
 "constraints": ["depth < 9", "act == 'relu' or width > 4"]}
)json",
                                       "s.json");
  ASSERT_TRUE(yaml.ok()) << yaml.status();
  ASSERT_TRUE(json.ok()) << json.status();
  EXPECT_EQ(json->content_hash(), yaml->content_hash());
}

TEST(QuotedValuesTest, CountsAndStridesTakeNoWords) {
  const auto error = [](const std::string& block) {
    return Message(SearchSpace::Parse("canopy: 1\nname: s\ninput: {shape: [3, 8, 8], classes: 2}\n"
                                      "decisions: {deep: {int: [1, 2]}}\nnetwork:\n- " +
                                          block + "\n- [global_avg_pool, {linear: {features: classes}}]\n",
                                      "s.yaml")
                       .status());
  };
  EXPECT_EQ(error("repeat: {count: 'deep', body: relu}"), "");
  EXPECT_THAT(error("cell: {nodes: 3, edge_choices: {a: relu}, stride: 'deeep'}"),
              HasSubstr("found 'deeep' (did you mean 'deep'?)"));
}

// What is of letters, digits, `_`, `-` and `.` is a word where one may stand.
TEST(QuotedValuesTest, ArgumentsAreWordsOrExpressions) {
  const auto params = [](const std::string& with) {
    const auto space = SearchSpace::Parse(
        "canopy: 1\nname: s\ninput: {shape: [3], classes: 2}\n"
        "decisions: {width: {ordinal: [4, 8]}, act: {choice: [relu, silu]}}\n"
        "blocks:\n  unit:\n    parameters: [features, kind]\n    defaults: {features: '2 * width'}\n"
        "    body:\n    - linear: {features: features}\n    - optional: {when: kind == 'relu-6', body: "
        "relu6}\n"
        "    - optional: {when: kind == 'relu', body: {linear: {features: 1}}}\n"
        "network:\n- use: {block: unit, with: {" +
            with +
            "}}\n- optional: {when: width > 4 and act == 'silu', body: silu}\n"
            "- linear: {features: classes}\n",
        "s.yaml");
    if (!space.ok()) return Message(space.status());
    const auto candidate = space->ParseCandidate(R"({"width": 4, "act": "relu"})");
    const auto evaluation = Evaluate(*space, *candidate, *space->default_task());
    return evaluation.ok() ? std::to_string(evaluation->costs.params) : Message(evaluation.status());
  };
  EXPECT_EQ(params("kind: 'relu-6'"), "50");
  EXPECT_EQ(params("features: 'min(8, 3 * width)', kind: 'relu-6'"), "50");
  EXPECT_EQ(params("features: '(width)', kind: 'relu-6'"), "26");
  EXPECT_EQ(params("features: 8, kind: 'relu'"), "45");
  EXPECT_EQ(params("features: 8, kind: '(act)'"), "45");
  EXPECT_THAT(params("features: 'min(8, 3 * widht)', kind: 'relu'"),
              HasSubstr("expected a decision declared before, found 'widht' (did you mean 'width'?)"));
}

}  // namespace
}  // namespace canopy::search_space
