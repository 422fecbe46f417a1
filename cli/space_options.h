#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/status.h"
#include "cli/command.h"
#include "cli/table.h"
#include "search_spaces/space.h"

namespace canopy::cli {

// What the verbs of `canopy space` are given.
struct SpaceOptions {
  std::string space;
  std::vector<int64_t> input;
  int64_t classes = 0;
  int64_t count = 10;
  uint64_t seed = 0;
  std::string from = "-";
  bool distinct = false;
  Format format = Format::kTable;
};

// The space that `space` names: a file or a built-in one.
StatusOr<search_space::SearchSpace> ReadSpace(const SpaceOptions& options);
// What the command line says of the task, else the space's own.
StatusOr<search_space::TaskShape> TaskOf(const search_space::SearchSpace& space, const SpaceOptions& options);
// --input and --classes.
void AddTask(CLI::App* verb, SpaceOptions& options);

// The verbs `show` and `diff`.
void AddSpaceShow(CLI::App& noun, Context& context);
void AddSpaceDiff(CLI::App& noun, Context& context);

}  // namespace canopy::cli
