#include "search_spaces/space_summary.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "search_spaces/catalog/catalog.h"
#include "search_spaces/testing/parse_space.h"

namespace canopy::search_space {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr char kSpace[] = R"(
canopy: 1
name: s
input: {shape: [3, 8, 8], classes: 10}
network:
  - one_of: {name: first, choices: [relu, identity]}
  - one_of: {name: second, choices: [relu, identity]}
  - optional: {body: {conv2d: {out_channels: {choice: [4, 8]}, kernel: 1}}}
  - global_avg_pool
  - linear: {features: classes}
recipe:
  learning_rate: {float: [0.1, 1]}
constraints: [params < 100]
)";

std::string With(const std::string& what, const std::string& instead) {
  std::string text = kSpace;
  return text.replace(text.find(what), what.size(), instead);
}

TEST(SpaceSummaryTest, ArchitecturesOfOneFunctionCountOnce) {
  const SearchSpace space = ParseSpace(kSpace);
  EXPECT_EQ(space.Size(/*architectures_only=*/true), "12");
  // relu of relu stays two; relu then identity is identity then relu: 3 of 4. Three networks behind each.
  EXPECT_EQ(CountDistinct(space, *space.default_task(), 12), 9);
  EXPECT_EQ(CountDistinct(space, *space.default_task(), 11), std::nullopt);
  const SearchSpace narrow = ParseSpace(With("{choice: [4, 8]}", "4"));
  EXPECT_EQ(CountDistinct(narrow, *narrow.default_task(), 100), 6);
  const SearchSpace cells = ParseSpace(std::string(*CatalogSpace("nas_bench_201")));
  EXPECT_EQ(CountDistinct(cells, *cells.default_task(), 1000), std::nullopt);
}

TEST(SpaceSummaryTest, ASampleSaysWhatIsRejectedAndHowCostsSpread) {
  const SearchSpace space = ParseSpace(kSpace);
  const SampleSummary sample = SummarizeSample(space, *space.default_task(), 200);
  EXPECT_EQ(sample.drawn, 200);
  // 40 parameters, or 66 or 122 with a convolution; the last breaks the constraint.
  EXPECT_EQ(sample.params.front(), 40);
  EXPECT_EQ(sample.params.back(), 66);
  EXPECT_GT(sample.broken, 20);
  EXPECT_EQ(sample.rejected(), sample.broken);
  EXPECT_EQ(static_cast<int64_t>(sample.params.size()), sample.drawn - sample.rejected());
  const SearchSpace cells = ParseSpace(std::string(*CatalogSpace("nas_bench_101")));
  const SampleSummary searched = SummarizeSample(cells, *cells.default_task(), 40);
  EXPECT_GT(searched.not_built, 5);
  EXPECT_FALSE(searched.params.empty());
}

TEST(SpaceSummaryTest, SpacesAreComparedByWhatTheyDeclare) {
  const SearchSpace space = ParseSpace(kSpace);
  EXPECT_THAT(CompareSpaces(space, ParseSpace(kSpace)), IsEmpty());
  EXPECT_THAT(CompareSpaces(space, ParseSpace(With("[4, 8]", "[4, 16]"))),
              ElementsAre(Difference{"out_channels", "categorical, one of 4, 8, where present",
                                     "categorical, one of 4, 16, where present"}));
  EXPECT_THAT(CompareSpaces(space, ParseSpace(With("  learning_rate", "  momentum"))),
              ElementsAre(Difference{"learning_rate", "float, a number from 0.1 to 1", ""},
                          Difference{"momentum", "", "float, a number from 0.1 to 1"}));
  EXPECT_THAT(
      CompareSpaces(space, ParseSpace(With("params < 100", "params < 90"))),
      ElementsAre(Difference{"constraint", "params < 100", ""}, Difference{"constraint", "", "params < 90"}));
  const SearchSpace other = ParseSpace(With("kernel: 1", "kernel: 3"));
  EXPECT_THAT(CompareSpaces(space, other),
              ElementsAre(Difference{"network", space.content_hash(), other.content_hash()}));
}

TEST(SpaceSummaryTest, CandidatesAreComparedByDecisionsAndCosts) {
  const SearchSpace space = ParseSpace(kSpace);
  const Candidate one =
      *space.ParseCandidate(R"({"first":"relu","second":"identity","present":false,"learning_rate":0.1})");
  const Candidate other =
      *space.ParseCandidate(R"({"first":"identity","second":"relu","present":false,"learning_rate":0.1})");
  // The same network by other decisions.
  EXPECT_THAT(*CompareCandidates(space, *space.default_task(), one, other),
              ElementsAre(Difference{"first", "relu", "identity"}, Difference{"second", "identity", "relu"}));
  const Candidate wide = *space.ParseCandidate(
      R"({"first":"relu","second":"identity","present":true,"out_channels":8,"learning_rate":0.1})");
  const auto differences = *CompareCandidates(space, *space.default_task(), one, wide);
  ASSERT_GE(differences.size(), 3u);
  EXPECT_EQ(differences[0], (Difference{"present", "false", "true"}));
  EXPECT_EQ(differences[1], (Difference{"out_channels", "", "8"}));
  EXPECT_EQ(differences[2], (Difference{"params", "40", "122"}));
}

}  // namespace
}  // namespace canopy::search_space
