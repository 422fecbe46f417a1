// Candidates of a search space, drawn with a seed that the file's text gives: each is one of the space, and
// its network is lowered or refused, counted, simplified and hashed.

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "base/random.h"
#include "base/status.h"
#include "search_spaces/evaluation.h"
#include "search_spaces/exploration.h"
#include "search_spaces/space.h"
#include "tests/fuzz/graph_invariants.h"

namespace canopy::fuzz {
namespace {

using search_space::Candidate;
using search_space::SearchSpace;
using search_space::TaskShape;

constexpr int kDraws = 4;
// Larger networks take so long that nothing else would be tried.
constexpr int64_t kMaxBlocks = 2000;

void CheckCandidate(const SearchSpace& space, const Candidate& candidate, const TaskShape& task) {
  const Status status = space.CheckCandidate(candidate);
  CANOPY_CHECK(status.ok(), Message(status));
  const auto read = space.ParseCandidate(candidate.ToJson());
  CANOPY_CHECK(read.ok(), Message(read.status()));
  CANOPY_CHECK(*read == candidate, candidate.ToJson());

  const auto graph = space.Lower(candidate, task);
  if (!graph.ok()) return;
  CheckGraph(*graph);
  const auto evaluation = search_space::Evaluate(space, candidate, task);
  const auto again = search_space::Evaluate(space, *read, task);
  CANOPY_CHECK(evaluation.ok() == again.ok(), candidate.ToJson());
  if (evaluation.ok()) CANOPY_CHECK(evaluation->candidate_hash == again->candidate_hash, candidate.ToJson());
}

void DrawCandidates(std::string_view text) {
  const auto space = SearchSpace::Parse(text, "fuzz.yaml");
  if (!space.ok() || space->block_count() > kMaxBlocks) return;
  const TaskShape task = space->default_task().value_or(TaskShape{{3, 8, 8}, 10});
  if (space->reference()) CheckCandidate(*space, *space->reference(), task);
  Rng rng = Rng::Derive(1, text);
  for (int i = 0; i < kDraws; ++i) {
    const Candidate candidate = space->Sample(rng);
    CheckCandidate(*space, candidate, task);
    CheckCandidate(*space, search_space::Mutate(*space, candidate, rng), task);
  }
}

}  // namespace
}  // namespace canopy::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  canopy::fuzz::DrawCandidates({reinterpret_cast<const char*>(data), size});
  return 0;
}
