#include <algorithm>
#include <functional>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "CLI/CLI.hpp"
#include "base/strings.h"
#include "cli/space_options.h"
#include "cli/table.h"
#include "search_spaces/exploration.h"

namespace canopy::cli {
namespace {

using search_space::Candidate;
using search_space::Decision;
using search_space::Enumeration;
using search_space::Permutation;
using search_space::SearchSpace;
using search_space::Value;

constexpr uint64_t kMaxNetworks = 100'000;
constexpr int64_t kDefaultCount = 10;

struct SampleOptions : SpaceOptions {
  int64_t count = 0;  // as given
  uint64_t seed = 0;
  std::string distinct, neighbours_of;
};

Cell ToCell(const Value& value) {
  if (const auto* integer = std::get_if<int64_t>(&value)) return *integer;
  if (const auto* number = std::get_if<double>(&value)) return *number;
  return search_space::DisplayText(value);
}

// Candidates as they are written everywhere, with active decisions alone; CSV has a column for each decision.
class CandidateList {
 public:
  CandidateList(const SearchSpace& space, Format format)
      : space_(space), format_(format), table_(Columns(space)) {}

  void Add(const Candidate& candidate) {
    if (format_ == Format::kCsv) {
      std::vector<Cell> row;
      for (const Decision& decision : space_.decisions()) {
        const Value* value = candidate.Find(decision.name);
        row.push_back(value ? ToCell(*value) : Cell());
      }
      return table_.AddRow(std::move(row));
    }
    if (format_ == Format::kJson) std::cout << (empty_ ? "[\n " : ",\n ") << candidate.ToJson();
    if (format_ != Format::kJson) std::cout << candidate.ToJson() << '\n';
    empty_ = false;
  }

  void Finish() const {
    if (format_ == Format::kJson) std::cout << (empty_ ? "[]\n" : "\n]\n");
    if (format_ == Format::kCsv) table_.Print(std::cout, format_);
  }

 private:
  static std::vector<Column> Columns(const SearchSpace& space) {
    std::vector<Column> columns;
    for (const Decision& decision : space.decisions()) columns.push_back({decision.name, Display::kNumber});
    return columns;
  }

  const SearchSpace& space_;
  const Format format_;
  Table table_;
  bool empty_ = true;
};

// The first `count` of `size` in a random order.
void AddInRandomOrder(absl::uint128 size, int64_t count, uint64_t seed, CandidateList& list,
                      const std::function<Candidate(absl::uint128)>& at) {
  const Permutation order(size, seed);
  for (int64_t i = 0; i < count && static_cast<uint64_t>(i) < size; ++i)
    list.Add(at(order.At(static_cast<uint64_t>(i))));
}

// No network twice; the recipes are drawn.
Status AddNetworks(const SearchSpace& space, const SampleOptions& options, int64_t count, Rng rng,
                   CandidateList& list) {
  CANOPY_ASSIGN_OR_RETURN(const search_space::TaskShape task, TaskOf(space, options));
  CANOPY_ASSIGN_OR_RETURN(const Enumeration all,
                          Enumeration::Make(space, Enumeration::Scope::kArchitectures));
  if (all.size() > kMaxNetworks) {
    return InvalidArgument("--distinct networks: expected at most " + FormatCount(kMaxNetworks) +
                           " architectures to compare, found " + space.Size(true) +
                           "; take --distinct candidates");
  }
  const std::vector<absl::uint128> networks = DistinctNetworks(all, task);
  AddInRandomOrder(networks.size(), count, rng.Next(), list, [&](absl::uint128 i) {
    return SampleRecipe(space, all.At(networks[absl::Uint128Low64(i)]), rng);
  });
  return {};
}

Status AddSamples(const SearchSpace& space, const SampleOptions& options, CandidateList& list) {
  const int64_t count = options.count > 0 ? options.count : kDefaultCount;
  Rng rng = Rng::Derive(options.seed, "space sample");
  if (options.distinct == "networks") return AddNetworks(space, options, count, rng, list);
  if (options.distinct == "candidates") {
    auto all = Enumeration::Make(space);
    if (!all.ok()) return WithContext(all.status(), "--distinct candidates");
    AddInRandomOrder(all->size(), count, rng.Next(), list, [&](absl::uint128 i) { return all->At(i); });
    return {};
  }
  for (int64_t i = 0; i < count; ++i) list.Add(space.Sample(rng));
  return {};
}

Status Sample(const SampleOptions& options) {
  CANOPY_ASSIGN_OR_RETURN(const SearchSpace space, ReadSpace(options));
  CandidateList list(space, options.format);
  if (!options.neighbours_of.empty()) {
    CANOPY_ASSIGN_OR_RETURN(const Candidate candidate, ReadCandidate(space, options.neighbours_of));
    std::vector<search_space::Move> moves = MovesFrom(space, candidate);
    if (options.count > 0 && moves.size() > static_cast<size_t>(options.count))
      moves.resize(static_cast<size_t>(options.count));
    for (const search_space::Move& move : moves) list.Add(Apply(space, candidate, move));
  } else {
    CANOPY_RETURN_IF_ERROR(AddSamples(space, options, list));
  }
  list.Finish();
  return {};
}

}  // namespace

void AddSpaceSample(CLI::App& noun, Context& context) {
  auto options = std::make_shared<SampleOptions>();
  CLI::App* verb =
      AddVerb(noun, context, "sample", "Draw candidates at random, or list the neighbours of one",
              "canopy space sample nas_bench_201 --n 3 --seed 7 --format jsonl\n"
              "  canopy space sample nas_bench_201 --neighbours-of reference",
              [options] { return Sample(*options); });
  verb->add_option("SPACE", options->space, "a space file, or the name of a built-in space")->required();
  AddFormat(verb, options->format);
  verb->add_option("--n", options->count, "how many at most (default: 10; of neighbours all)")
      ->check(CLI::PositiveNumber);
  auto* seed =
      verb->add_option("--seed", options->seed, "the same seed gives the same candidates (default: 0)");
  auto* distinct = verb->add_option("--distinct", options->distinct,
                                    "candidates: none twice, each as likely as any other; networks: no "
                                    "network twice, of up to 100,000 architectures (default: each decision "
                                    "is drawn by itself)")
                       ->check(CLI::IsMember({"candidates", "networks"}));
  verb->add_option("--neighbours-of", options->neighbours_of,
                   "list what lies one decision away from this candidate (a JSON object, a file with one, or "
                   "`reference`)")
      ->excludes(seed)
      ->excludes(distinct);
  AddTask(verb, *options);
}

}  // namespace canopy::cli
