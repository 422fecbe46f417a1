// Candidates of every catalog space, as modules of LibTorch: they have the parameters that the graph counts
// and give what its output's shape says.
//
// Of each space up to 500 networks that differ, fewer where they are large (kWorkPerSpace): 2,585 in all when
// this was written, and at least 2,000 are asked for. They are lowered for images of at most 16 x 16 and
// texts of at most 16 tokens, as the catalog's networks do not care. Each space's reference is built for the
// space's own task.

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "search_spaces/catalog/catalog.h"
#include "search_spaces/evaluation.h"
#include "search_spaces/simplify.h"
#include "worker/trainer/graph_module.h"

namespace canopy::trainer {
namespace {

using search_space::Candidate;
using search_space::Costs;
using search_space::NetworkGraph;
using search_space::SearchSpace;
using search_space::TaskShape;

constexpr int kCandidatesPerSpace = 500;
constexpr int kCandidatesInAll = 2000;
constexpr int64_t kMostPlaces = 16;
constexpr int64_t kMostClasses = 100;
// In MACs; a parameter takes as long as some of them, since its memory is cleared and read.
constexpr int64_t kWorkPerSpace = 12'000'000'000;
constexpr int64_t kMacsPerParameter = 20;
// Beyond it parameters alone are compared: GPT-2 small for its 1,024 tokens.
constexpr int64_t kMostMacs = 5'000'000'000;

int64_t WorkOf(const Costs& costs) { return costs.macs + kMacsPerParameter * costs.params; }

// The space's task, with what may be smaller made smaller.
TaskShape SmallTask(const SearchSpace& space) {
  TaskShape task = *space.default_task();
  const bool image = task.input.size() == 3;
  for (size_t axis = image ? 1 : 0; axis < (image ? 3 : 1); ++axis)
    task.input[axis] = std::min(task.input[axis], kMostPlaces);
  task.classes = std::min(task.classes, kMostClasses);
  const bool fits = search_space::Evaluate(space, *space.reference(), task).ok();
  return fits ? task : *space.default_task();
}

void ExpectTheModuleIsWhatTheGraphSays(const NetworkGraph& graph, const Costs& costs) {
  const c10::InferenceMode no_autograd;
  auto network = GraphModule::Build(graph, at::kFloat, std::nullopt);
  ASSERT_TRUE(network.ok()) << network.status();
  EXPECT_EQ((*network)->store().count(), costs.params);
  if (costs.macs > kMostMacs) return;
  std::vector<int64_t> expected = {1};
  const auto& shape = graph.nodes[static_cast<size_t>(graph.output)].shape;
  expected.insert(expected.end(), shape.begin(), shape.end());
  (*network)->PrepareInference();
  EXPECT_EQ((*network)->ForwardInference(SomeInput(graph, 1, at::kFloat)).sizes().vec(), expected);
}

SearchSpace Parse(const std::string& name) {
  auto space = SearchSpace::Parse(*search_space::CatalogSpace(name), name);
  EXPECT_TRUE(space.ok()) << space.status();
  return *std::move(space);
}

// How many candidates of the space were compared; every other one as written, the rest simplified.
int CompareDrawn(const SearchSpace& space) {
  const TaskShape task = SmallTask(space);
  Rng rng(7);
  std::set<std::string> seen;
  int compared = 0;
  int64_t work = 0;
  for (int draws = 0;
       compared < kCandidatesPerSpace && work < kWorkPerSpace && draws < 10 * kCandidatesPerSpace; ++draws) {
    const Candidate candidate = space.Sample(rng);
    const auto evaluation = search_space::Evaluate(space, candidate, task);
    // No network, as other tests say, or one that was compared.
    if (!evaluation.ok() || !seen.insert(evaluation->graph_hash).second) continue;
    SCOPED_TRACE(candidate.ToJson());
    const bool as_written = compared % 2 == 0;
    const Costs& costs = as_written ? evaluation->costs_as_written : evaluation->costs;
    ExpectTheModuleIsWhatTheGraphSays(as_written ? *space.Lower(candidate, task) : evaluation->graph, costs);
    if (::testing::Test::HasFailure()) return compared;  // one is enough to read
    work += WorkOf(costs);
    ++compared;
  }
  return compared;
}

TEST(CatalogConformance, DrawnCandidatesHaveTheParametersAndShapesThatTheirGraphsSay) {
  at::set_num_threads(1);
  int compared = 0;
  for (const std::string& name : search_space::CatalogNames()) {
    SCOPED_TRACE(name);
    const int of_space = CompareDrawn(Parse(name));
    if (HasFailure()) return;
    EXPECT_GE(of_space, 1);
    RecordProperty(name, of_space);
    compared += of_space;
  }
  RecordProperty("candidates", compared);
  EXPECT_GE(compared, kCandidatesInAll);
}

TEST(CatalogConformance, ReferencesHaveThemForTheSpacesOwnTask) {
  at::set_num_threads(1);
  for (const std::string& name : search_space::CatalogNames()) {
    SCOPED_TRACE(name);
    const SearchSpace space = Parse(name);
    const auto evaluation = search_space::Evaluate(space, *space.reference(), *space.default_task());
    ASSERT_TRUE(evaluation.ok()) << evaluation.status();
    ExpectTheModuleIsWhatTheGraphSays(evaluation->graph, evaluation->costs);
  }
}

// Networks written from the documentation, at their papers' sizes.
TEST(ExampleNetworks, AreWhatTheirGraphsSay) {
  at::set_num_threads(1);
  int compared = 0;
  for (const auto& entry : std::filesystem::directory_iterator(CANOPY_EXAMPLE_NETWORKS)) {
    SCOPED_TRACE(entry.path());
    std::ifstream file(entry.path());
    const std::string text((std::istreambuf_iterator<char>(file)), {});
    const auto space = SearchSpace::Parse(text, entry.path());
    ASSERT_TRUE(space.ok()) << space.status();
    const Candidate reference = space->reference().value_or(Candidate());
    const auto evaluation = search_space::Evaluate(*space, reference, *space->default_task());
    ASSERT_TRUE(evaluation.ok()) << evaluation.status();
    ExpectTheModuleIsWhatTheGraphSays(evaluation->graph, evaluation->costs);
    ++compared;
  }
  EXPECT_GE(compared, 5);
}

}  // namespace
}  // namespace canopy::trainer
