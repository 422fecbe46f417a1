#include "cli/space_options.h"

#include "CLI/CLI.hpp"
#include "cli/space_source.h"

namespace canopy::cli {

using search_space::SearchSpace;
using search_space::TaskShape;

StatusOr<SearchSpace> ReadSpace(const SpaceOptions& options) {
  CANOPY_ASSIGN_OR_RETURN(const SpaceSource source, FindSpace(options.space));
  return SearchSpace::Parse(source.text, source.file);
}

StatusOr<TaskShape> TaskOf(const SearchSpace& space, const SpaceOptions& options) {
  TaskShape task = space.default_task().value_or(TaskShape());
  if (!options.input.empty()) task.input = options.input;
  if (options.classes > 0) task.classes = options.classes;
  if (!task.input.empty() && task.classes > 0) return task;
  return InvalidArgument("space " + space.name() +
                         " has no `input:`: give the task with --input 1,28,28 --classes 10");
}

void AddTask(CLI::App* verb, SpaceOptions& options) {
  verb->add_option("--input", options.input,
                   "shape of one example, such as 1,28,28 (default: the space's own)")
      ->delimiter(',')
      ->check(CLI::PositiveNumber);
  verb->add_option("--classes", options.classes, "number of classes (default: the space's own)")
      ->check(CLI::PositiveNumber);
}

}  // namespace canopy::cli
