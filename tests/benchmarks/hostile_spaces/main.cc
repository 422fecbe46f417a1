// What it costs to read or refuse the search-space files that were made to cost as much as they can:
// processor time and the peak of memory beyond that of a program that has read a small space. Each is read in
// a process of its own. Ends with status 1 where one of them takes more than it may.

#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <optional>
#include <string>
#include <vector>

#include "base/status.h"
#include "base/strings.h"
#include "search_spaces/space.h"
#include "tests/testing/hostile_spaces.h"

namespace canopy::benchmarks {
namespace {

using search_space::SearchSpace;
using testing::HostileSpace;

constexpr double kMaxMilliseconds = 100, kMaxMegabytes = 64;

double ProcessMilliseconds() {
  timespec now{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e3 + static_cast<double>(now.tv_nsec) * 1e-6;
}

// A line of /proc/self/status in kilobytes: "VmRSS", "VmHWM".
double Kilobytes(const std::string& field) {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with(field + ":")) return std::atof(line.c_str() + field.size() + 1);
  return 0;
}

struct Cost {
  double milliseconds = 0, size_milliseconds = 0, megabytes = 0;
  char outcome[80] = "";
};

// REQUIRES a process that is used for nothing else.
Cost Measure(const HostileSpace& hostile) {
  // What a first file makes once: the operators, the schema.
  const auto small = SearchSpace::Parse("canopy: 1\nname: small\nnetwork: [relu]\n", "small.yaml");
  std::ofstream("/proc/self/clear_refs") << "5";  // the peak begins anew
  const double before_kb = Kilobytes("VmRSS"), begin = ProcessMilliseconds();
  const auto space = SearchSpace::Parse(hostile.text, "hostile.yaml");
  Cost cost;
  cost.milliseconds = ProcessMilliseconds() - begin;
  cost.megabytes = std::max(0.0, Kilobytes("VmHWM") - before_kb) / 1024;
  std::string outcome = space.ok() ? "read" : "refused";
  if (space.ok() != hostile.refusal.empty()) outcome = "UNEXPECTED " + outcome;
  if (space.ok()) {
    outcome += ", " + space->Size().substr(0, 24) + " candidates";
    cost.size_milliseconds = ProcessMilliseconds() - begin - cost.milliseconds;
  }
  std::snprintf(cost.outcome, sizeof(cost.outcome), "%s", outcome.c_str());
  return cost;
}

std::optional<Cost> MeasureAlone(const HostileSpace& hostile) {
  int ends[2];
  if (::pipe(ends) != 0) return std::nullopt;
  const pid_t child = ::fork();
  if (child == 0) {
    const Cost cost = Measure(hostile);
    const bool written = ::write(ends[1], &cost, sizeof(cost)) == ssize_t{sizeof(cost)};
    ::_exit(written ? 0 : 1);
  }
  ::close(ends[1]);
  Cost cost;
  const bool read = child > 0 && ::read(ends[0], &cost, sizeof(cost)) == ssize_t{sizeof(cost)};
  ::close(ends[0]);
  int status = 0;
  if (child > 0) ::waitpid(child, &status, 0);
  return read ? std::optional(cost) : std::nullopt;
}

int Main(int argc, char** argv) {
  CLI::App app("Measures what hostile search-space files cost.", "hostile_spaces");
  std::string only;
  app.add_option("--only", only, "Files whose names have this text");
  CLI11_PARSE(app, argc, argv);
  bool all_within = true;
  std::printf("%9s %9s %9s  %s\n", "ms", "MB", "size ms", "file");
  for (const HostileSpace& hostile : testing::HostileSpaces()) {
    if (hostile.name.find(only) == std::string::npos) continue;
    const auto cost = MeasureAlone(hostile);
    const bool within = cost && cost->milliseconds <= kMaxMilliseconds && cost->megabytes <= kMaxMegabytes;
    all_within = all_within && within;
    std::printf("%9.1f %9.1f %9.1f %s%s: %s\n", cost ? cost->milliseconds : 0, cost ? cost->megabytes : 0,
                cost ? cost->size_milliseconds : 0, within ? " " : "*", hostile.name.c_str(),
                cost ? cost->outcome : "CRASHED");
    std::fflush(stdout);
  }
  std::printf("* more than %.0f ms or %.0f MB\n", kMaxMilliseconds, kMaxMegabytes);
  return all_within ? 0 : 1;
}

}  // namespace
}  // namespace canopy::benchmarks

int main(int argc, char** argv) { return canopy::benchmarks::Main(argc, argv); }
