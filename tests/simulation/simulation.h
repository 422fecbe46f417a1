#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace canopy::simulation {

struct SimulationOptions {
  uint64_t seed = 1;
  int64_t events = 1'000;                              // at the least, of the core, before faults end
  int64_t crashes = 3;                                 // at the least
  std::function<void(const std::string& line)> trace;  // empty: none
  // Instead of all that: the short life of a small cluster, from an empty database over leases and results to
  // an orderly end, in which this I/O call fails, alone or with all that follow until the controller has
  // ended and a while longer. 0: none does.
  struct DiskFailure {
    int64_t nth = 0;
    bool from_then_on = false;
  };
  std::optional<DiskFailure> disk_failure;
  // Instead of faults by chance: a thousand workers, a disk that is full for a while, and a controller that
  // is down for an hour while all their trainings end.
  bool outage = false;
};

struct SimulationReport {
  std::vector<std::string> violations;  // empty: the controller kept its promises
  int64_t events = 0, crashes = 0, power_losses = 0, restores = 0, adopted = 0, trials = 0, zombie_trials = 0,
          promises = 0, rung_reports = 0, syncs = 0, calls = 0, virtual_ms = 0;
};

// One cluster's life in virtual time, a function of the seed alone: agents, users, network, disk and the
// controller's process, first with faults, then without any until every campaign has ended. One at a time in
// a process.
SimulationReport Simulate(const SimulationOptions& options);

}  // namespace canopy::simulation
