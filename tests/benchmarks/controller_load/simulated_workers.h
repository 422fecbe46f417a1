#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/status.h"

namespace canopy {

struct LoadOptions {
  std::string target;           // unix:/path or host:port
  std::string credentials_dir;  // of `canopy cluster init`, with a folder for each worker; TCP alone
  int64_t connections = 1;      // each is one slot of a worker and has its own socket
  int64_t workers = 0;          // 0: as many as connections
  double rate = 0;              // results a second over all connections; 0: each answer is followed at once
  double warmup_s = 0, seconds = 10;
  bool only_wait = false;  // ask for work and report nothing
};

struct LoadFigures {
  double connected_s = 0;     // until every worker's Hello was answered
  double first_result_s = 0;  // until the first result was acknowledged; 0: none was
  double seconds = 0;         // that were measured
  int64_t results = 0, with_lease = 0, archived = 0, refused = 0, errors = 0;
  std::vector<double> result_ms, heartbeat_ms;  // of results and their answers, of heartbeats
  std::string first_error;
};

// Workers that train nothing: each slot takes a lease, reports a result and takes the next one in one call.
// One thread. Ends after the options' time, or with an error where no worker can say Hello within a minute.
StatusOr<LoadFigures> RunSimulatedWorkers(const LoadOptions& options);

}  // namespace canopy
