#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "controller/fidelity/fidelity.h"

namespace canopy::controller {

struct ControllerOptions {
  std::string state_dir;
  // host:port that is served too, over mutual TLS; empty: the Unix socket alone.
  std::string listen;
  // Folder of `canopy cluster init`; needed for `listen`.
  std::string credentials_dir;
  // Loopback port of /healthz, /readyz and /metrics; 0: none.
  int64_t http_port = 0;
  // How long a lease lives without a heartbeat; positive.
  int64_t lease_ttl_ms = 30'000;
  // Slots of projects beside each other, in proportion; 1 for those that are not named.
  std::map<std::string, int64_t> project_shares;
  // Between two backups; 0: none but those that are asked for. How many of the newest stay beside one a day.
  int64_t backup_interval_ms = 0, backup_keep = 24;
  // False: answers people, grants workers nothing and lets no time pass for campaigns.
  bool grant_leases = true;
  ScheduleFactory make_schedule = fidelity::MakeSchedule;
};

// Opens the database and serves until SIGTERM or SIGINT; the socket answers once all is ready. Called from
// main while the process has one thread. Returns the exit status: 0 after a clean stop, 1 where it could not
// start, with the reason in the log; kExitStorageFailed ends the process where the database can't be
// written.
int RunController(const ControllerOptions& options);

// <state_dir>/run/controller.sock.
std::string SocketPath(const std::string& state_dir);

}  // namespace canopy::controller
