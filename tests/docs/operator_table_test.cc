// The table of operators in docs/network_graph.md is written by hand, for the formulas. This keeps its names,
// attributes and defaults those of the program.

#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <string>
#include <vector>

#include "base/strings.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "search_spaces/ops/operator.h"

namespace canopy::search_space {
namespace {

// What stands in backticks.
std::set<std::string> Quoted(const std::string& text) {
  std::set<std::string> names;
  const std::regex pattern("`([^`]+)`");
  for (std::sregex_iterator it(text.begin(), text.end(), pattern), end; it != end; ++it)
    names.insert((*it)[1]);
  return names;
}

// The cell of attributes by operator, of the table under "## Operators".
std::map<std::string, std::string> ReadTable() {
  std::ifstream page(CANOPY_NETWORK_GRAPH_PAGE);
  std::map<std::string, std::string> attributes;
  bool within = false;
  for (std::string line; std::getline(page, line);) {
    if (line.starts_with("## ")) within = line == "## Operators";
    if (!within || !line.starts_with("| `")) continue;
    const size_t first = line.find(" | "), second = line.find(" |", first + 3);
    const std::string cell = second > first + 3 ? line.substr(first + 3, second - first - 3) : "";
    for (const std::string& name : Quoted(line.substr(0, first))) attributes[name] = cell;
  }
  return attributes;
}

TEST(OperatorTableTest, HasEveryOperatorWithItsAttributes) {
  const auto table = ReadTable();
  std::set<std::string> known;
  for (const Operator* op : AllOperators()) {
    SCOPED_TRACE(op->name());
    known.emplace(op->name());
    const auto row = table.find(std::string(op->name()));
    ASSERT_NE(row, table.end()) << "add the operator to the table in docs/network_graph.md";
    std::set<std::string> names;
    for (const AttributeSpec& spec : op->attributes()) names.emplace(spec.name);
    EXPECT_EQ(Quoted(row->second), names);
  }
  for (const auto& [name, cell] : table) EXPECT_THAT(known, testing::Contains(name));
}

TEST(OperatorTableTest, HasTheDefaults) {
  const auto table = ReadTable();
  for (const Operator* op : AllOperators()) {
    for (const AttributeSpec& spec : op->attributes()) {
      if (!spec.fallback) continue;
      const std::string& cell = table.at(std::string(op->name()));
      std::smatch found;
      ASSERT_TRUE(
          std::regex_search(cell, found, std::regex("`" + std::string(spec.name) + "` \\(([^):;,]+)")))
          << op->name() << ": expected `" << spec.name << "` (" << CanonicalText(*spec.fallback) << ")";
      const std::string text = found[1].str();
      const auto number = ParseDouble(text);
      const Value shown = number                                    ? Value(*number)
                          : spec.type == AttributeSpec::Type::kWord ? Value(text)
                                                                    : Value(text == "true");
      EXPECT_EQ(CanonicalText(*NormalizeAttribute(spec, shown)), CanonicalText(*spec.fallback))
          << op->name() << "." << spec.name;
    }
  }
}

}  // namespace
}  // namespace canopy::search_space
