#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace canopy::simulation {

struct SimulationOptions {
  uint64_t seed = 1;
  int64_t events = 1'000;                              // at the least, of the core, before faults end
  int64_t crashes = 3;                                 // at the least
  std::function<void(const std::string& line)> trace;  // empty: none
};

struct SimulationReport {
  std::vector<std::string> violations;  // empty: the controller kept its promises
  int64_t events = 0, crashes = 0, restores = 0, promises = 0, trials = 0, syncs = 0, virtual_ms = 0;
};

// One cluster's life in virtual time, a function of the seed alone: agents, users, network, disk and the
// controller's process, first with faults, then without any until every campaign has ended. One at a time in
// a process.
SimulationReport Simulate(const SimulationOptions& options);

}  // namespace canopy::simulation
