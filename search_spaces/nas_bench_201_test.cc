#include <cmath>
#include <cstdlib>
#include <fstream>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/strings.h"
#include "gtest/gtest.h"
#include "search_spaces/catalog/catalog.h"
#include "search_spaces/evaluation.h"
#include "search_spaces/hash.h"
#include "search_spaces/simplify.h"
#include "search_spaces/space.h"

namespace canopy::search_space {
namespace {

const SearchSpace& Space() {
  static const SearchSpace space = [] {
    auto parsed = SearchSpace::Parse(*CatalogSpace("nas_bench_201"), "nas_bench_201.yaml");
    EXPECT_TRUE(parsed.ok()) << parsed.status();
    return *parsed;
  }();
  return space;
}

// Six digits for the edges 0-1, 0-2, 1-2, 0-3, 1-3, 2-3, as the table writes cells.
Candidate Cell(const std::string& digits) {
  static const char* const kOperators[] = {"none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3",
                                           "avg_pool_3x3"};
  static const char* const kEdges[] = {"edge_0_1", "edge_0_2", "edge_1_2",
                                       "edge_0_3", "edge_1_3", "edge_2_3"};
  std::vector<Candidate::Assignment> assignments;
  for (int i = 0; i < 6; ++i) assignments.push_back({kEdges[i], std::string(kOperators[digits[i] - '0'])});
  auto candidate = Space().MakeCandidate(assignments);
  EXPECT_TRUE(candidate.ok()) << candidate.status();
  return *candidate;
}

Evaluation EvaluateCell(const std::string& digits) {
  auto evaluation = Evaluate(Space(), Cell(digits), *Space().default_task());
  EXPECT_TRUE(evaluation.ok()) << evaluation.status();
  return *evaluation;
}

struct Summary {
  Costs as_written;
  std::string graph_hash;
  bool depends_on_input;
  bool stays_when_simplified;
};

// All 15,625 cells by their digits, evaluated once.
const std::map<std::string, Summary>& AllCells() {
  static const std::map<std::string, Summary> cells = [] {
    std::map<std::string, Summary> all;
    for (int i = 0; i < 15625; ++i) {
      std::string digits;
      for (int rest = i, k = 0; k < 6; ++k, rest /= 5) digits += static_cast<char>('0' + rest % 5);
      const Evaluation cell = EvaluateCell(digits);
      all[digits] = {cell.costs_as_written, cell.graph_hash, cell.depends_on_input,
                     Simplify(cell.graph) == cell.graph};
    }
    return all;
  }();
  return cells;
}

TEST(NasBench201Test, HasTheSixEdgesOfFiveOperators) {
  std::vector<std::string> names;
  for (const Decision& decision : Space().decisions()) names.push_back(decision.name);
  EXPECT_EQ(names, (std::vector<std::string>{"edge_0_1", "edge_0_2", "edge_1_2", "edge_0_3", "edge_1_3",
                                             "edge_2_3"}));
  EXPECT_EQ(Space().Size(), "15625");
  EXPECT_TRUE(CheckSpace(Space(), *Space().default_task(), {}).ok());
}

TEST(NasBench201Test, FirstCellOfTheTableCountsAsPublished) {
  const Evaluation cell = EvaluateCell("421211");
  EXPECT_EQ(cell.costs_as_written.params, 129306);
  EXPECT_EQ(std::llround(cell.costs_as_written.macs / 1e4), 1565);
}

TEST(NasBench201Test, EmptyCellDoesNotDependOnItsInput) {
  EXPECT_FALSE(EvaluateCell("000000").depends_on_input);
  EXPECT_FALSE(EvaluateCell("030000").depends_on_input);
  EXPECT_TRUE(EvaluateCell("000100").depends_on_input);
  // A convolution of zero is a learned bias, not the input.
  EXPECT_FALSE(EvaluateCell("000030").depends_on_input);
}

TEST(NasBench201Test, CellsOfOneFunctionAreOneCandidate) {
  // The edge into node 1 leads nowhere.
  EXPECT_EQ(EvaluateCell("300100").graph_hash, EvaluateCell("000100").graph_hash);
  // Two paths in either order.
  EXPECT_EQ(EvaluateCell("310011").graph_hash, EvaluateCell("130011").graph_hash);
  EXPECT_NE(EvaluateCell("310011").graph_hash, EvaluateCell("320011").graph_hash);
  // A convolution of zero adds a learned bias.
  EXPECT_NE(EvaluateCell("000130").graph_hash, EvaluateCell("000100").graph_hash);
}

TEST(NasBench201Test, SimplifyingAgainChangesNothing) {
  for (const auto& [digits, cell] : AllCells()) EXPECT_TRUE(cell.stays_when_simplified) << digits;
}

TEST(NasBench201Test, GraphsAreReadAsTheyWereWritten) {
  for (const char* digits : {"421211", "000130", "300100", "123404", "030030"}) {
    const Evaluation cell = EvaluateCell(digits);
    EXPECT_EQ(*NetworkGraph::FromJson(cell.graph.ToJson()), cell.graph) << digits;
  }
}

// Every cell of the space, so that a change of any rule is seen.
TEST(NasBench201Test, NumberOfDistinctNetworks) {
  std::set<std::string> hashes;
  int independent = 0;
  for (const auto& [digits, cell] : AllCells()) {
    hashes.insert(cell.graph_hash);
    independent += !cell.depends_on_input;
  }
  EXPECT_EQ(hashes.size(), 6398u);
  EXPECT_EQ(independent, 341);
}

// The fields of each row; none where there is no table.
std::vector<std::vector<std::string>> TableRows() {
  const char* folder = std::getenv("CANOPY_TABULAR_DATA");
  if (!folder) return {};
  std::ifstream file(std::string(folder) + "/nas_bench_201.csv");
  std::string line;
  EXPECT_TRUE(std::getline(file, line)) << "no nas_bench_201.csv in " << folder;
  std::vector<std::vector<std::string>> rows;
  while (std::getline(file, line)) rows.push_back(Split(line, ','));
  return rows;
}

TEST(NasBench201Test, EveryCellAsWrittenCountsAsTheTableSays) {
  const auto table = TableRows();
  if (table.empty()) GTEST_SKIP() << "CANOPY_TABULAR_DATA names no folder with nas_bench_201.csv";
  int rows = 0;
  for (const auto& fields : table) {
    const Costs& written = AllCells().at(fields[1]).as_written;
    ASSERT_NEAR(written.params / 1e6, *ParseDouble(fields[4]), 5e-7) << fields[1];
    // The table rounds to 0.01 and counts some pooling as well.
    ASSERT_NEAR(written.macs / 1e6, *ParseDouble(fields[5]), 0.0105) << fields[1];
    ++rows;
  }
  EXPECT_EQ(rows, 15625);
}

// docs/network_graph.md explains these figures.
TEST(NasBench201Test, ClassesBesideIsoClassOfTheTable) {
  const auto table = TableRows();
  if (table.empty()) GTEST_SKIP() << "CANOPY_TABULAR_DATA names no folder with nas_bench_201.csv";
  std::map<std::string, std::set<std::string>> iso_of_ours, ours_of_iso;
  for (const auto& fields : table) {
    const std::string& hash = AllCells().at(fields[1]).graph_hash;
    iso_of_ours[hash].insert(fields[3]);
    ours_of_iso[fields[3]].insert(hash);
  }
  int joining = 0, split = 0, equal = 0;
  for (const auto& [hash, iso] : iso_of_ours) {
    joining += iso.size() > 1;
    equal += iso.size() == 1 && ours_of_iso[*iso.begin()].size() == 1;
  }
  for (const auto& [iso, ours] : ours_of_iso) split += ours.size() > 1;
  EXPECT_EQ(ours_of_iso.size(), 6466u);
  EXPECT_EQ(joining, 519);
  EXPECT_EQ(split, 693);
  EXPECT_EQ(equal, 4738);
  const auto hash = [](const char* digits) { return AllCells().at(digits).graph_hash; };
  EXPECT_EQ(hash("201021"), hash("202011"));  // joined: zeros in sums
  EXPECT_NE(hash("212201"), hash("212011"));  // split: a convolution shared or twice
  EXPECT_NE(hash("000101"), hash("000121"));  // split: a learned bias
  EXPECT_NE(hash("104121"), hash("112041"));  // split: sums within sums
}

}  // namespace
}  // namespace canopy::search_space
