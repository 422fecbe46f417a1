#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/random.h"
#include "base/status.h"
#include "config/yaml.h"
#include "search_spaces/candidate.h"
#include "search_spaces/constraint.h"
#include "search_spaces/cost.h"
#include "search_spaces/decision.h"
#include "search_spaces/graph.h"

namespace canopy::search_space {

class Assignments;

// What the task gives a network: the shape of one example and the number of classes.
struct TaskShape {
  std::vector<int64_t> input;  // {channels, height, width}, {tokens, features} or {features}
  int64_t classes = 0;
  friend bool operator==(const TaskShape&, const TaskShape&) = default;
};

// A parsed search space: its decisions and the network they shape (docs/search_spaces.md). Immutable,
// cheap to copy, and safe to share between threads; its only randomness is the generator passed in.
class SearchSpace {
 public:
  // Parses a space file, with the texts of what it includes (search_spaces/includes.h); `file` is the name
  // that messages show. InvalidArgument "file:line:column: path: expected ..., found ..." for the first
  // error.
  static StatusOr<SearchSpace> Parse(std::string_view text, const std::string& file);

  const std::string& name() const;
  const std::string& description() const;
  // SHA-256 (hexadecimal) of the parsed file in canonical form: comments and layout do not change it.
  const std::string& content_hash() const;
  // In declared order: a decision's conditions name earlier ones only.
  const std::vector<Decision>& decisions() const;
  const Decision* FindDecision(std::string_view name) const;
  // The space's own constraints, as written.
  const std::vector<Constraint>& constraints() const;
  // `input:` of the file: the task's shape where no campaign gives one.
  const std::optional<TaskShape>& default_task() const;
  // `reference:` of the file: a candidate made by hand.
  const std::optional<Candidate>& reference() const;
  // Those of the file's own operators that the network has, sorted: what its trainers have to bring.
  const std::vector<std::string>& own_operators() const;

  // Where the file declares that decision, or has its "network" or "reference"; its beginning for others.
  config::Location LocationOf(std::string_view part) const;
  // How many blocks the network has after expansion: what lowering a candidate takes at most.
  int64_t block_count() const;

  // The exact number of candidates in decimal digits; "infinite" where a float is searched, and
  // "more than <n>" for a space whose conditions are too entangled to be counted. Without recipe
  // decisions where `architectures_only`.
  std::string Size(bool architectures_only = false) const;

  // The same, numbered (search_spaces/assignments.h); counted anew by each call. Architectures are
  // assignments to the decisions before those of the recipe.
  Assignments CountAssignments(bool architectures_only = false) const;

  // Every active decision drawn uniformly from its own values, independently: the baseline of all sampling.
  // search_spaces/exploration.h has the other ways to move in a space.
  Candidate Sample(Rng& rng) const;
  // Walks the decisions in declared order and takes `choose(i)`, one of its values, for each decision i that
  // is active under those before it: how candidates are made.
  Candidate Assemble(const std::function<Value(size_t)>& choose) const;
  // The candidate's value of each decision, nullptr where it is inactive; they lie in the candidate. REQUIRES
  // a candidate of this space.
  std::vector<const Value*> ValuesOf(const Candidate& candidate) const;

  // Reads a JSON object of decisions in any order. InvalidArgument for an unknown decision (with the
  // nearest name), one that is inactive or missing, or a value that is not one of its own (which are
  // listed).
  StatusOr<Candidate> ParseCandidate(std::string_view json) const;
  // The same for assignments made elsewhere, in any order.
  StatusOr<Candidate> MakeCandidate(const std::vector<Candidate::Assignment>& assignments) const;
  // OK where `candidate` is one of this space.
  Status CheckCandidate(const Candidate& candidate) const;

  // The network as written, not yet simplified. InvalidArgument with the file's position where a shape
  // does not fit or a value cannot be computed. REQUIRES a candidate of this space.
  StatusOr<NetworkGraph> Lower(const Candidate& candidate, const TaskShape& task) const;
  // The active recipe decisions alone.
  Candidate Recipe(const Candidate& candidate) const;
  // The space's own constraints that are broken.
  StatusOr<std::vector<Violation>> CheckConstraints(const Candidate& candidate, const Costs& costs) const;

  struct Parsed;

 private:
  // MakeCandidate; `fault` is the assignment that is refused, where it is one of them.
  StatusOr<Candidate> MakeCandidate(const std::vector<Candidate::Assignment>& assignments,
                                    std::string& fault) const;

  explicit SearchSpace(std::shared_ptr<const Parsed> parsed) : parsed_(std::move(parsed)) {}
  std::shared_ptr<const Parsed> parsed_;
};

}  // namespace canopy::search_space
