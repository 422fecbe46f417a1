#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/status.h"
#include "search_spaces/space.h"
#include "search_spaces/training_memory.h"

namespace canopy::search_space {

// What a sample of a space's candidates looks like. Costs are those of the candidates that may be trained,
// each list in rising order.
struct SampleSummary {
  int64_t drawn = 0;
  int64_t not_built = 0;  // no network: a shape or value does not fit
  int64_t no_input = 0;   // the output does not depend on the input
  int64_t broken = 0;     // breaks a constraint of the space
  std::vector<int64_t> params, macs, activation_memory, training_memory;

  int64_t rejected() const { return not_built + no_input + broken; }
};

// Draws up to `most` candidates with a fixed seed, fewer of large networks.
SampleSummary SummarizeSample(const SearchSpace& space, const TaskShape& task, int64_t most,
                              const TrainingSetup& setup = {});

// The number of architectures that compute different functions (docs/search_spaces.md), constraints aside,
// counted by their graph hashes; nullopt where there are more than `most` architectures or infinitely many.
// What has no network is not counted.
std::optional<int64_t> CountDistinct(const SearchSpace& space, const TaskShape& task, int64_t most);

// One line of a difference.
struct Difference {
  std::string what;
  std::string first, second;  // empty: not there
  friend bool operator==(const Difference&, const Difference&) = default;
};

// Decisions and constraints that the spaces do not have alike; "network" or "task" where all of these are
// alike and the contents are not.
std::vector<Difference> CompareSpaces(const SearchSpace& first, const SearchSpace& second);

// Decisions that are not alike, then costs that are not. InvalidArgument where one has no network.
StatusOr<std::vector<Difference>> CompareCandidates(const SearchSpace& space, const TaskShape& task,
                                                    const Candidate& first, const Candidate& second,
                                                    const TrainingSetup& setup = {});

}  // namespace canopy::search_space
