#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/status.h"
#include "cli/command.h"
#include "cli/table.h"
#include "search_spaces/candidate.h"
#include "search_spaces/space.h"
#include "search_spaces/training_memory.h"

namespace canopy::cli {

// What the verbs of `canopy space` are given.
struct SpaceOptions {
  std::string space;
  std::vector<int64_t> input;
  int64_t classes = 0;
  std::string from = "-";
  bool distinct = false;
  search_space::TrainingSetup setup;
  Format format = Format::kTable;
};

// The space that `space` names: a file or a built-in one.
StatusOr<search_space::SearchSpace> ReadSpace(const SpaceOptions& options);
// What the command line says of the task, else the space's own.
StatusOr<search_space::TaskShape> TaskOf(const search_space::SearchSpace& space, const SpaceOptions& options);
// --input, --classes and --batch-size.
void AddTask(CLI::App* verb, SpaceOptions& options);

// --from, a file with a candidate a line.
void AddFrom(CLI::App* verb, SpaceOptions& options);
// Calls `take` with each candidate of --from. Its errors, and those of candidates, name file and line.
Status ReadCandidates(const search_space::SearchSpace& space, const std::string& from,
                      const std::function<Status(const search_space::Candidate&)>& take);
// A candidate as people give it: JSON, a file with it, or `reference`.
StatusOr<search_space::Candidate> ReadCandidate(const search_space::SearchSpace& space,
                                                const std::string& given);

// The verbs `sample`, `encode`, `show` and `diff`.
void AddSpaceSample(CLI::App& noun, Context& context);
void AddSpaceEncode(CLI::App& noun, Context& context);
void AddSpaceShow(CLI::App& noun, Context& context);
void AddSpaceDiff(CLI::App& noun, Context& context);

}  // namespace canopy::cli
