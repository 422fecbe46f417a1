// Candidates a second on one core, phase by phase: what a strategy, a constraint filter or `space cost` can
// look at. Each round takes every phase of every space in turn, in processor time of the thread, because
// other work on the machine changes all of them.

#include <time.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <functional>
#include <iostream>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include "base/random.h"
#include "base/status.h"
#include "search_spaces/catalog/catalog.h"
#include "search_spaces/cost.h"
#include "search_spaces/evaluation.h"
#include "search_spaces/hash.h"
#include "search_spaces/simplify.h"
#include "search_spaces/space.h"

namespace canopy::benchmarks {
namespace {

using search_space::Candidate;
using search_space::NetworkGraph;
using search_space::SearchSpace;

struct Options {
  std::vector<std::string> spaces = {"nas_bench_201", "fashion_macro", "mobilenet_v3"};
  int64_t candidates = 500;
  int64_t rounds = 7;
};

double ThreadSeconds() {
  timespec now{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

StatusOr<SearchSpace> ReadSpace(const std::string& name) {
  if (const auto text = search_space::CatalogSpace(name)) return SearchSpace::Parse(*text, name);
  std::ifstream file(name);
  if (!file) return NotFound("expected a space of the catalog or a readable file, found '" + name + "'");
  const std::string text((std::istreambuf_iterator<char>(file)), {});
  return SearchSpace::Parse(text, name);
}

// One space's phases and the seconds that each took, of every round.
class Measured {
 public:
  static constexpr const char* kPhases[] = {"sample", "lower",    "simplify",        "graph hash",
                                            "costs",  "evaluate", "sample to hash *"};

  Measured(SearchSpace space, int64_t candidates)
      : space_(std::move(space)), task_(*space_.default_task()), count_(candidates) {}

  const SearchSpace& space() const { return space_; }
  double nodes() const { return static_cast<double>(nodes_) / static_cast<double>(count_); }

  Status Round(uint64_t seed) {
    Rng rng(seed);
    std::vector<Candidate> drawn;
    std::vector<NetworkGraph> written, simplified;
    for (auto* list : {&written, &simplified}) list->reserve(static_cast<size_t>(count_));
    Time(0, [&](int64_t) {
      drawn.push_back(space_.Sample(rng));
      return absl::OkStatus();
    });
    Time(1, [&](int64_t i) -> Status {
      CANOPY_ASSIGN_OR_RETURN(written.emplace_back(), space_.Lower(drawn[static_cast<size_t>(i)], task_));
      return absl::OkStatus();
    });
    CANOPY_RETURN_IF_ERROR(status_);
    nodes_ = 0;
    for (const NetworkGraph& graph : written) nodes_ += graph.nodes.size();
    Time(2, [&](int64_t i) {
      simplified.push_back(search_space::Simplify(std::move(written[static_cast<size_t>(i)])));
      return absl::OkStatus();
    });
    Time(3, [&](int64_t i) {
      hashed_ += search_space::GraphHash(simplified[static_cast<size_t>(i)]).size();
      return absl::OkStatus();
    });
    Time(4,
         [&](int64_t i) { return search_space::ComputeCosts(simplified[static_cast<size_t>(i)]).status(); });
    Time(5, [&](int64_t i) {
      return search_space::Evaluate(space_, drawn[static_cast<size_t>(i)], task_).status();
    });
    Rng again(seed);
    Time(6, [&](int64_t) -> Status {
      CANOPY_ASSIGN_OR_RETURN(NetworkGraph graph, space_.Lower(space_.Sample(again), task_));
      hashed_ += search_space::GraphHash(search_space::Simplify(std::move(graph))).size();
      return absl::OkStatus();
    });
    return status_;
  }

  void Print() const {
    std::printf("%s: %.0f nodes a network\n", space_.name().c_str(), nodes());
    for (size_t phase = 0; phase < std::size(kPhases); ++phase) {
      std::vector<double> seconds = seconds_[phase];
      std::sort(seconds.begin(), seconds.end());
      const double median = seconds[seconds.size() / 2] / static_cast<double>(count_);
      std::printf("  %-18s %10.2f us %10.0f a second\n", kPhases[phase], median * 1e6, 1 / median);
    }
  }

 private:
  void Time(size_t phase, const std::function<Status(int64_t)>& body) {
    const double begin = ThreadSeconds();
    for (int64_t i = 0; i < count_ && status_.ok(); ++i) status_ = body(i);
    seconds_[phase].push_back(ThreadSeconds() - begin);
  }

  SearchSpace space_;
  search_space::TaskShape task_;
  int64_t count_;
  size_t nodes_ = 0, hashed_ = 0;
  Status status_;
  std::vector<double> seconds_[std::size(kPhases)];
};

Status Measure(const Options& options) {
  std::vector<Measured> spaces;
  for (const std::string& name : options.spaces) {
    CANOPY_ASSIGN_OR_RETURN(SearchSpace space, ReadSpace(name));
    if (!space.default_task()) return InvalidArgument(name + ": expected a space with `input`");
    spaces.emplace_back(std::move(space), options.candidates);
  }
  for (int64_t round = 0; round < options.rounds; ++round) {
    for (Measured& space : spaces) CANOPY_RETURN_IF_ERROR(space.Round(static_cast<uint64_t>(round) + 1));
  }
  for (const Measured& space : spaces) space.Print();
  std::printf("* sample, lower with shapes, simplify and hash\n");
  return absl::OkStatus();
}

int Main(int argc, char** argv) {
  CLI::App app("Measures how fast candidates are sampled, lowered, counted and hashed.", "space_evaluation");
  Options options;
  app.add_option("spaces", options.spaces, "Names of the catalog or files");
  app.add_option("--candidates", options.candidates, "Candidates of each round")->check(CLI::PositiveNumber);
  app.add_option("--rounds", options.rounds, "Rounds, of which the median counts")
      ->check(CLI::PositiveNumber);
  CLI11_PARSE(app, argc, argv);
  const Status status = Measure(options);
  if (!status.ok()) std::cerr << Message(status) << "\n";
  return status.ok() ? 0 : 1;
}

}  // namespace
}  // namespace canopy::benchmarks

int main(int argc, char** argv) { return canopy::benchmarks::Main(argc, argv); }
