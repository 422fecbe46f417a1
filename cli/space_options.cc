#include "cli/space_options.h"

#include <filesystem>
#include <fstream>
#include <iostream>

#include "CLI/CLI.hpp"
#include "base/file.h"
#include "base/strings.h"
#include "cli/space_source.h"

namespace canopy::cli {

using search_space::Candidate;
using search_space::SearchSpace;
using search_space::TaskShape;

namespace {

constexpr int64_t kMaxCandidateBytes = 1 << 20;

}  // namespace

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
  verb->add_option("--batch-size", options.setup.batch_size,
                   "of training, for its memory, where candidates do not decide it (default: 128)")
      ->check(CLI::PositiveNumber);
}

void AddFrom(CLI::App* verb, SpaceOptions& options) {
  verb->add_option("--from", options.from, "file with the candidates; - is standard input (default)");
}

Status ReadCandidates(const SearchSpace& space, const std::string& from,
                      const std::function<Status(const Candidate&)>& take) {
  std::ifstream file;
  if (from != "-") {
    if (std::filesystem::is_directory(from))
      return InvalidArgument("--from " + from + ": expected a file of candidates, found a folder");
    file.open(from);
    if (!file) return NotFound("--from " + from + ": no such file, or it can't be read");
  }
  std::istream& in = from == "-" ? std::cin : file;
  const std::string name = from == "-" ? "standard input" : from;
  int64_t number = 0;
  for (std::string line; std::getline(in, line);) {
    ++number;
    if (Trim(line).empty()) continue;
    const auto candidate = space.ParseCandidate(line);
    const Status status = candidate.ok() ? take(*candidate) : candidate.status();
    if (!status.ok()) return WithContext(status, name + ":" + std::to_string(number));
  }
  if (in.bad()) return Unavailable(name + ": can't be read to its end");
  return {};
}

StatusOr<Candidate> ReadCandidate(const SearchSpace& space, const std::string& given) {
  if (given == "reference") {
    if (space.reference()) return *space.reference();
    return NotFound("space " + space.name() + " has no `reference:`: give a candidate as JSON");
  }
  if (Trim(given).substr(0, 1) == "{") return space.ParseCandidate(given);
  if (!FileExists(given)) {
    return NotFound("candidate '" + given + "': expected a JSON object, a file with one, or `reference`");
  }
  CANOPY_ASSIGN_OR_RETURN(const std::string text, ReadFile(given, kMaxCandidateBytes));
  auto candidate = space.ParseCandidate(text);
  if (!candidate.ok()) return WithContext(candidate.status(), given);
  return candidate;
}

}  // namespace canopy::cli
