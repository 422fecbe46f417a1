#include "tests/testing/hostile_spaces.h"

#include <functional>
#include <utility>

namespace canopy::testing {
namespace {

std::string Number(int64_t value) { return std::to_string(value); }

// What `part` gives for 0 to count - 1, one after another.
std::string Each(int count, const std::function<std::string(int)>& part) {
  std::string text;
  for (int i = 0; i < count; ++i) text += part(i);
  return text;
}

// `open` and `close` `depth` times around `core`.
std::string Nested(int depth, const std::string& open, const std::string& core, const std::string& close) {
  return Each(depth, [&](int) { return open; }) + core + Each(depth, [&](int) { return close; });
}

std::string Repeated(int count, const std::string& text) {
  return Each(count, [&](int) { return text; });
}

std::string Space(const std::string& network, const std::string& before = "", const std::string& after = "") {
  return "canopy: 1\nname: hostile\ninput: {shape: [3, 8, 8], classes: 4}\n" + before + "network:\n" +
         network + after;
}

// The end of a network that can be trained.
const std::string kHead = "  - global_avg_pool\n  - linear: {features: classes}\n";

void AddText(std::vector<HostileSpace>& spaces) {
  const int kilobyte = 1024;
  spaces.push_back({"256 KiB and a byte", std::string(256 * kilobyte + 1, 'a'), "at most 256 KiB"});
  spaces.push_back({"256 KiB of brackets", std::string(256 * kilobyte, '['), "levels of nesting"});
  spaces.push_back({"256 KiB of dashes", Repeated(128 * kilobyte, "- "), "levels of nesting"});
  spaces.push_back({"256 KiB of question marks", Repeated(128 * kilobyte, "? "), "levels of nesting"});
  spaces.push_back({"256 KiB of quotes", std::string(256 * kilobyte, '"'), "expected"});
  spaces.push_back({"256 KiB of colons", std::string(256 * kilobyte, ':'), "expected"});
  spaces.push_back({"256 KiB of tabs", std::string(256 * kilobyte, '\t'), "expected"});
  spaces.push_back({"256 KiB of empty lines", std::string(256 * kilobyte, '\n'), "expected"});
  spaces.push_back({"256 KiB of carriage returns", std::string(256 * kilobyte, '\r'), "expected"});
  spaces.push_back({"commas", "canopy: 1\nname: [" + std::string(250 * kilobyte, ',') + "]", "tokens"});
  spaces.push_back({"anchors", "canopy: 1\n" + Each(8000, [](int i) { return "k" + Number(i) + ": &a\n"; }),
                    "found an anchor"});
  spaces.push_back({"tags", "canopy: 1\n" + Each(8000, [](int i) { return "k" + Number(i) + ": !a b\n"; }),
                    "without a tag"});
  spaces.push_back({"a key of 250 KiB", "canopy: 1\n" + std::string(250 * kilobyte, 'k') + ": 1\n",
                    "expected valid YAML"});
  spaces.push_back({"8,000 unknown keys",
                    "canopy: 1\n" + Each(8000, [](int i) { return "k" + Number(i) + ": 1\n"; }),
                    "expected one of"});
  spaces.push_back({"a description of 250 KiB",
                    Space("  - relu\n" + kHead, "description: " + Repeated(50 * kilobyte, "word ") + "\n"),
                    ""});
  spaces.push_back({"a folded description of 120,000 lines",
                    Space("  - relu\n" + kHead, "description: >\n" + Repeated(8000, "  word\n\n")), ""});
  spaces.push_back({"a name of 250 KiB",
                    "canopy: 1\nname: " + std::string(250 * kilobyte, 'a') + "\nnetwork: [relu]\n",
                    "lower-case letters"});
  spaces.push_back({"16,000 comments",
                    Space("  - relu\n" + kHead, Repeated(16000, "# " + std::string(10, '[') + "\n")), ""});
}

void AddNesting(std::vector<HostileSpace>& spaces) {
  spaces.push_back(
      {"1,000 nested branches",
       Space("  - " + Nested(1000, "branches: {merge: add, bodies: [{", "relu: {}", "}, relu]}")),
       "levels of nesting"});
  spaces.push_back(
      {"1,000 nested sequences", Space("  - " + Nested(1000, "[", "relu", "]")), "levels of nesting"});
  spaces.push_back({"15 nested branches of two",
                    Space("  - " + Nested(15, "branches: {merge: add, bodies: [relu, {", "relu: {}", "}]}") +
                          "\n" + kHead),
                    ""});
  spaces.push_back({"29 nested residuals",
                    Space("  - " + Nested(29, "residual: {body: {", "relu: {}", "}}") + "\n" + kHead), ""});
  spaces.push_back(
      {"20 nested repeats of 1,000,000,000",
       Space("  - " + Nested(20, "repeat: {count: 1000000000, body: {", "relu: {}", "}}") + "\n"),
       "blocks after expansion"});
  spaces.push_back({"a repeat of 2^63 - 1", Space("  - repeat: {count: 9223372036854775807, body: relu}\n"),
                    "blocks after expansion"});
  spaces.push_back({"a repeat of 2^53 as a decision",
                    Space("  - repeat: {count: {int: [0, 9007199254740992]}, body: relu}\n"),
                    "blocks after expansion"});
  spaces.push_back({"a repeat of 65,000", Space("  - repeat: {count: 65000, body: relu}\n" + kHead), ""});
  spaces.push_back({"a repeat of up to 65,000",
                    Space("  - repeat: {count: {int: [0, 65000]}, body: relu}\n" + kHead), ""});
  spaces.push_back({"14 repeats of 2, nested",
                    Space("  - " + Nested(14, "repeat: {count: 2, body: {", "relu: {}", "}}") + "\n" + kHead),
                    ""});
  spaces.push_back(
      {"a shared repeat of 60,000 decisions",
       Space("  - repeat: {count: 60000, share: true, body: {zero: {stride: {choice: [1, 2]}}}}\n" + kHead),
       ""});
  spaces.push_back(
      {"a repeat of 65,000 expressions",
       Space("  - repeat:\n      count: 65000\n      body:\n        conv2d:\n          kernel: 1\n"
             "          out_channels: (block + 1) * 2 - block * 2 + in_channels\n" +
             kHead),
       "fewer or shorter expressions"});
  spaces.push_back(
      {"a repeat of 1,500 decisions under a condition each",
       Space("  - repeat: {count: {int: [0, 1499]}, body: {zero: {stride: {choice: [1, 2]}}}}\n" + kHead),
       ""});
  spaces.push_back(
      {"names of 63 characters, 20 deep",
       Space("  - " + Nested(20, "one_of: {choices: {" + std::string(63, 'a') + ": {", "relu: {}", "}}}") +
             "\n" + kHead),
       "63 characters"});
  const std::string deep = "one_of: {choices: {" + std::string(128, 'A') + ": {";
  std::string numbers;
  for (int i = 0; i < 15000; ++i) numbers += Number(i) + ", ";
  spaces.push_back(
      {"15,000 values below 19 names of 128 characters",
       Space("  - " + Nested(19, deep, "linear: {features: {choice: [" + numbers + "]}}", "}}}") + "\n" +
             kHead),
       "expected"});
  spaces.push_back(
      {"8,000 blocks below 14 names of 128 characters",
       Space("  - " + Nested(14, deep, "sequence: {blocks: [" + Repeated(8000, "relu,") + "relu]}", "}}}") +
             "\n" + kHead),
       "expected"});
}

void AddUses(std::vector<HostileSpace>& spaces) {
  const auto doubling = [](int depth, const std::string& core) {
    return "blocks:\n  b0: [" + core + "]\n" + Each(depth, [](int i) {
             return "  b" + Number(i + 1) + ": [use: b" + Number(i) + ", use: b" + Number(i) + "]\n";
           });
  };
  spaces.push_back({"uses that double 13 times", Space("  - use: b13\n" + kHead, doubling(13, "relu")), ""});
  spaces.push_back({"uses that double 15 times", Space("  - use: b15\n" + kHead, doubling(15, "relu")),
                    "blocks after expansion"});
  spaces.push_back(
      {"uses 17 deep", Space("  - use: b16\n" + kHead, doubling(16, "relu")), "at most 16 deep"});
  spaces.push_back({"uses in a circle",
                    Space("  - use: b0\n", "blocks:\n" + Each(1000,
                                                              [](int i) {
                                                                return "  b" + Number(i) + ": [use: b" +
                                                                       Number((i + 1) % 1000) + "]\n";
                                                              })),
                    "at most 16 deep"});
  spaces.push_back(
      {"an unknown block beside 2,400",
       Space("  - use: " + std::string(63, 'a') + std::string(20, 'b') + "\n",
             "blocks:\n" +
                 Each(2400,
                      [](int i) { return "  " + std::string(50, 'a') + "_" + Number(i) + ": [relu]\n"; })),
       "expected the name of one of"});
  spaces.push_back(
      {"a block that uses itself", Space("  - use: a\n", "blocks: {a: [use: a]}\n"), "use itself"});
  spaces.push_back({"1,500 blocks",
                    Space(Each(1500, [](int i) { return "  - use: b" + Number(i) + "\n"; }) + kHead,
                          "blocks:\n" + Each(1500, [](int i) { return "  b" + Number(i) + ": [relu]\n"; })),
                    ""});
  // Each use of two arguments, beside as many decisions as a space may have.
  const std::string decisions =
      "decisions:\n" + Each(500, [](int i) { return "  d" + Number(i) + ": {choice: [1, 2]}\n"; });
  const std::string uses_all = Each(500, [](int i) { return "  - zero: {stride: d" + Number(i) + "}\n"; });
  spaces.push_back(
      {"30,000 uses with arguments beside 500 decisions",
       Space(uses_all +
                 "  - repeat:\n      count: 15000\n      body:\n        - use: {block: b, with: {x: d0, y: "
                 "1}}\n" +
                 kHead,
             decisions + "blocks:\n  b:\n    parameters: [x, y]\n    body: [{zero: {stride: x}}]\n"),
       ""});
  spaces.push_back({"arguments that double 16 times",
                    Space("  - use: {block: b15, with: {w: d}}\n",
                          "decisions: {d: {choice: [1, 2]}}\nblocks:\n  b0: {parameters: [w], body: "
                          "[{linear: {features: w}}]}\n" +
                              Each(15,
                                   [](int i) {
                                     return "  b" + Number(i + 1) +
                                            ": {parameters: [w], body: [use: {block: b" + Number(i) +
                                            ", with: {w: w * w + w}}]}\n";
                                   })),
                    "at most 4096 bytes"});
}

void AddCells(std::vector<HostileSpace>& spaces) {
  const auto choices = [](int count) {
    return "{" + Each(count, [](int i) { return "c" + Number(i) + ": relu, "; }) + "}";
  };
  spaces.push_back({"a cell of 32 nodes and 60 choices",
                    Space("  - cell: {nodes: 32, edge_choices: " + choices(60) + "}\n" + kHead), ""});
  spaces.push_back({"a cell of 32 nodes and 1,000 choices",
                    Space("  - cell: {nodes: 32, edge_choices: " + choices(1000) + "}\n" + kHead),
                    "blocks after expansion"});
  spaces.push_back({"a cell of 2^31 - 1 nodes",
                    Space("  - cell: {nodes: 2147483647, edge_choices: [relu]}\n"),
                    "blocks after expansion"});
  spaces.push_back(
      {"a cell of 20 nodes with sets of inputs",
       Space("  - cell: {nodes: 20, node_inputs: 3, edge_choices: " + choices(100) + "}\n" + kHead), ""});
  spaces.push_back(
      {"a cell of 32 nodes with too many sets of inputs",
       Space("  - cell: {nodes: 32, node_inputs: 16, edge_choices: " + choices(10) + "}\n" + kHead),
       "too many sets"});
  spaces.push_back(
      {"cells of cells",
       Space("  - " + Nested(12, "cell: {nodes: 32, edge_choices: {a: {", "relu: {}", "}}}") + "\n" + kHead),
       "blocks after expansion"});
  spaces.push_back({"55 searched cells of 7 nodes",
                    Space(Each(55,
                               [](int i) {
                                 return "  - cell: {name: c" + Number(i) +
                                        ", nodes: 7, edges: searched, node_choices: [relu, identity]}\n";
                               }) +
                          kHead),
                    ""});
}

void AddValues(std::vector<HostileSpace>& spaces) {
  const auto list = [](int count, const std::function<std::string(int)>& part) {
    return "[" + Each(count, [&](int i) { return (i ? ", " : "") + part(i); }) + "]";
  };
  const auto number = [](int i) { return Number(i + 1); };
  const auto word = [](int i) { return "a_rather_long_word_that_begins_alike_" + Number(i); };
  spaces.push_back({"15 choices of 1,000 numbers",
                    Space(Each(15,
                               [&](int i) {
                                 return "  - linear: {name: l" + Number(i) +
                                        ", features: {choice: " + list(1000, number) + "}}\n";
                               }) +
                          kHead),
                    ""});
  spaces.push_back(
      {"5 choices of 1,000 words",
       Space(
           "  - relu\n" + kHead, "",
           "recipe:\n" +
               Each(5, [&](int i) { return "  r" + Number(i) + ": {choice: " + list(1000, word) + "}\n"; })),
       ""});
  spaces.push_back({"an ordinal of 16,000",
                    Space("  - linear: {features: {ordinal: " + list(16000, number) + "}}\n"),
                    "at most 1024 values"});
  spaces.push_back({"a one_of of 1,024, 60 times",
                    Space("  - repeat: {count: 60, body: {one_of: {choices: {" +
                          Each(1024, [&](int i) { return word(i) + ": relu, "; }) + "}}}}\n" + kHead),
                    ""});
  spaces.push_back({"a one_of of 1,000 long words, 60 times",
                    Space("  - repeat: {name: b, count: 60, body: {one_of: {choices: {" +
                          Each(1000, [&](int i) { return std::string(59, 'w') + Number(i) + ": relu, "; }) +
                          "}}}}\n" + kHead),
                    ""});
  spaces.push_back({"a one_of of 8,000",
                    Space("  - one_of: {choices: {" +
                          Each(8000, [&](int i) { return "c" + Number(i) + ": relu, "; }) + "}}\n"),
                    "at most 1024 choices"});
  spaces.push_back({"10^9 choices", Space("  - linear: {features: {int: [1, 1000000000]}}\n" + kHead), ""});
  spaces.push_back(
      {"1,501 decisions",
       Space("  - relu\n" + kHead, "",
             "recipe:\n" + Each(1501, [](int i) { return "  r" + Number(i) + ": {int: [0, 1]}\n"; })),
       "at most 1500 decisions"});
  spaces.push_back(
      {"sizes of 2^63 - 1",
       Space("  - conv2d: {out_channels: 9223372036854775807, kernel: 9223372036854775807}\n" + kHead),
       "expected an integer from 1"});
  spaces.push_back(
      {"an input of 2^31 cubed",
       "canopy: 1\nname: hostile\ninput: {shape: [2147483647, 2147483647, 2147483647], classes: 4}\n"
       "network: [relu]\n",
       "fewer than 2^63"});
  spaces.push_back({"a reference of 5,000 values",
                    Space("  - relu\n" + kHead, "",
                          "reference:\n" + Each(5000, [](int i) { return "  r" + Number(i) + ": 1\n"; })),
                    "expected a decision of space"});
}

void AddExpressions(std::vector<HostileSpace>& spaces) {
  const std::string decisions = "decisions:\n" + Each(1000, [](int i) {
                                  return "  d" + Number(i) + ": {choice: [1, 2]" +
                                         (i ? ", when: d" + Number(i - 1) + " == 1}\n" : "}\n");
                                });
  const auto recipe = [](int count, const std::function<std::string(int)>& when) {
    return "recipe:\n" + Each(count, [&](int i) {
             return "  r" + Number(i) + ": {choice: [1, 2]" + (i ? ", when: \"" + when(i) + "\"}\n" : "}\n");
           });
  };
  spaces.push_back(
      {"a chain of 1,500 conditions",
       Space("  - relu\n" + kHead, "", recipe(1500, [](int i) { return "r" + Number(i - 1) + " == 1"; })),
       ""});
  spaces.push_back({"1,500 conditions of 40 decisions each",
                    Space("  - relu\n" + kHead, "",
                          recipe(500,
                                 [](int i) {
                                   std::string text = "r0 == 1";
                                   for (int k = 1; k < std::min(i, 40); ++k)
                                     text += " or r" + Number(i - k) + " == 1";
                                   return text;
                                 })),
                    ""});
  spaces.push_back({"conditions of 4 KiB",
                    Space("  - relu\n" + kHead, "",
                          recipe(60, [](int) { return "r0 == 1" + Repeated(340, " or r0 == 2"); })),
                    "fewer or shorter expressions"});
  spaces.push_back({"a word of 2,000 parentheses",
                    Space("  - linear: {features: '" + std::string(2000, '(') + "'}\n" + kHead), "expected"});
  spaces.push_back({"an expression of parentheses",
                    Space("  - linear:\n      features: " + Nested(2000, "(", "1", ")") + "\n" + kHead),
                    "nested parentheses"});
  spaces.push_back({"an expression of minus signs",
                    Space("  - linear:\n      features: 1 " + std::string(4000, '-') + "1\n" + kHead),
                    "nested parentheses"});
  spaces.push_back({"an expression of 250 KiB",
                    Space("  - linear:\n      features: 1" + Repeated(60000, " + 1") + "\n" + kHead),
                    "at most 4096 bytes"});
  spaces.push_back({"a tower of powers",
                    Space("  - linear:\n      features: 9" + Repeated(500, " ** 9") + "\n" + kHead),
                    "expected"});
  spaces.push_back({"a list of 1,300 values, 11 times",
                    Space("  - relu\n" + kHead, "",
                          recipe(12,
                                 [](int) {
                                   return "r0 in [" +
                                          Each(1300, [](int k) { return (k ? "," : "") + Number(k % 10); }) +
                                          "]";
                                 })),
                    ""});
  spaces.push_back(
      {"7,000 constraints beside 1,500 decisions",
       Space("  - repeat: {count: 1500, body: {zero: {stride: {choice: [1, 2]}}}}\n" + kHead, "",
             "constraints:\n" +
                 Each(7000, [](int i) { return "  - block" + Number(i % 1500 + 1) + "_stride < 3\n"; })),
       ""});
  spaces.push_back(
      {"20 nested conditions around 60,000 shared decisions",
       Space(
           "  - " +
               Nested(20, "optional: {when: d == 1, body: {",
                      "repeat: {count: 60000, share: true, body: {zero: {stride: {choice: [1, 2]}}}}", "}}") +
               "\n" + kHead,
           "decisions: {d: {choice: [1, 2]}}\n"),
       ""});
  spaces.push_back(
      {"60 constraints of 4 KiB",
       Space("  - relu\n" + kHead, "",
             recipe(300, [](int) { return "r0 == 1"; }) + "constraints:\n" +
                 Each(60,
                      [](int) {
                        return "  - " +
                               Each(300, [](int i) { return (i ? " or r" : "r") + Number(i) + " < 3"; }) +
                               "\n";
                      })),
       ""});
  spaces.push_back({"a constraint of an unknown name beside 1,500 decisions",
                    Space("  - relu\n" + kHead, "",
                          recipe(1500, [](int) { return "r0 == 1"; }) + "constraints: ['" +
                              std::string(100, 'x') + " < 3']\n"),
                    "expected params"});
  spaces.push_back({"a name of 4 KiB among 1,000 decisions",
                    Space("  - linear:\n      features: " + std::string(4000, 'd') + "\n", decisions),
                    "expected a decision declared before"});
  spaces.push_back(
      {"20 nested conditions around 1,400 decisions",
       Space("  - " +
                 Nested(20, "optional: {when: d == 1, body: {",
                        "repeat: {count: 1400, body: {zero: {stride: {choice: [1, 2]}}}}", "}}") +
                 "\n" + kHead,
             "decisions: {d: {choice: [1, 2]}}\n"),
       ""});
}

void AddIncludes(std::vector<HostileSpace>& spaces) {
  const auto library = [](const std::string& includes, const std::string& block) {
    return "\"canopy: 1\\ninclude: [" + includes + "]\\nblocks: {" + block + ": [relu]}\\n\"";
  };
  spaces.push_back(
      {"33 included files",
       Space("  - relu\n", "include: [" + Each(33, [](int i) { return "f" + Number(i) + ", "; }) + "]\n",
             "included:\n" +
                 Each(33,
                      [&](int i) { return "  f" + Number(i) + ": " + library("", "b" + Number(i)) + "\n"; })),
       "at most 32 included files"});
  spaces.push_back({"included files 9 deep",
                    Space("  - relu\n", "include: [f0]\n",
                          "included:\n" + Each(20,
                                               [&](int i) {
                                                 return "  f" + Number(i) + ": " +
                                                        library("f" + Number(i + 1), "b" + Number(i)) + "\n";
                                               })),
                    "at most 8"});
  spaces.push_back({"a file that includes itself",
                    Space("  - relu\n", "include: [f0]\n", "included: {f0: " + library("f0", "b") + "}\n"),
                    "does not include itself"});
  spaces.push_back({"one file included 8,000 times",
                    Space("  - relu\n" + kHead, "include: [" + Repeated(8000, "f0, ") + "]\n",
                          "included: {f0: " + library("", "b") + "}\n"),
                    ""});
  spaces.push_back({"4 included files of 8,000 blocks",
                    Space("  - relu\n" + kHead,
                          "include: [" + Each(4, [](int i) { return "f" + Number(i) + ", "; }) + "]\n",
                          "included:\n" + Each(4,
                                               [&](int i) {
                                                 return "  f" + Number(i) + ": \"canopy: 1\\nblocks: {b" +
                                                        Number(i) + ": [" + Repeated(8000, "relu, ") +
                                                        "]}\"\n";
                                               })),
                    "tokens"});
}

}  // namespace

std::vector<HostileSpace> HostileSpaces() {
  std::vector<HostileSpace> spaces;
  AddText(spaces);
  AddNesting(spaces);
  AddUses(spaces);
  AddCells(spaces);
  AddValues(spaces);
  AddExpressions(spaces);
  AddIncludes(spaces);
  return spaces;
}

}  // namespace canopy::testing
