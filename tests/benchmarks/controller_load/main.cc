// Simulated workers for a running controller: prints how many durable results a second it took, as one JSON
// object. tests/benchmarks/controller_load/controller_benchmark.py runs it beside a controller of its own.
#include <sys/resource.h>

#include <algorithm>
#include <iostream>
#include <vector>

#include "CLI/CLI.hpp"
#include "nlohmann/json.hpp"
#include "tests/benchmarks/controller_load/simulated_workers.h"

namespace canopy {
namespace {

double Quantile(std::vector<double>& values, double share) {
  if (values.empty()) return 0;
  const auto at = static_cast<std::ptrdiff_t>(share * static_cast<double>(values.size() - 1));
  std::nth_element(values.begin(), values.begin() + at, values.end());
  return values[static_cast<size_t>(at)];
}

int Main(int argc, char** argv) {
  LoadOptions options;
  CLI::App app("Simulated workers for a running controller");
  app.add_option("--target", options.target, "unix:/path or host:port")->required();
  app.add_option("--credentials", options.credentials_dir, "Folder of `canopy cluster init`; for host:port");
  app.add_option("--connections", options.connections)->check(CLI::PositiveNumber);
  app.add_option("--workers", options.workers, "As many as connections by default");
  app.add_option("--rate", options.rate, "Results a second over all; as fast as answers come by default");
  app.add_option("--warmup", options.warmup_s, "Seconds before what is measured");
  app.add_option("--seconds", options.seconds, "Seconds that are measured");
  app.add_flag("--only-wait", options.only_wait, "Take what is given and report nothing");
  CLI11_PARSE(app, argc, argv);
  // A descriptor for each connection and a few more.
  rlimit files{};
  if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
  }
  StatusOr<LoadFigures> run = RunSimulatedWorkers(options);
  if (!run.ok()) {
    std::cerr << "controller_load: " << run.status().message() << "\n";
    return 1;
  }
  LoadFigures& figures = *run;
  const double seconds = std::max(figures.seconds, 1e-9);
  nlohmann::ordered_json json = {
      {"connections", options.connections},
      {"connected_s", figures.connected_s},
      {"first_result_s", figures.first_result_s},
      {"seconds", figures.seconds},
      {"results", figures.results},
      {"results_per_s", static_cast<double>(figures.results) / seconds},
      {"with_lease", figures.with_lease},
      {"archived", figures.archived},
      {"p50_ms", Quantile(figures.result_ms, 0.5)},
      {"p99_ms", Quantile(figures.result_ms, 0.99)},
      {"longest_ms", Quantile(figures.result_ms, 1)},
      {"heartbeats_per_s", static_cast<double>(figures.heartbeat_ms.size()) / seconds},
      {"heartbeat_p50_ms", Quantile(figures.heartbeat_ms, 0.5)},
      {"heartbeat_p99_ms", Quantile(figures.heartbeat_ms, 0.99)},
      {"heartbeat_longest_ms", Quantile(figures.heartbeat_ms, 1)},
      {"refused", figures.refused},
      {"errors", figures.errors},
      {"first_error", figures.first_error}};
  std::cout << json.dump() << std::endl;
  return 0;
}

}  // namespace
}  // namespace canopy

int main(int argc, char** argv) { return canopy::Main(argc, argv); }
