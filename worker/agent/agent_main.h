#pragma once

#include <cstdint>
#include <map>
#include <string>

namespace canopy::agent {

// docs/workers.md explains each.
struct AgentOptions {
  std::string state_dir;
  std::string controller;       // "unix:/path/of/socket" or "host:port"
  std::string credentials_dir;  // ca.crt, worker.crt and worker.key; needed for host:port alone
  int64_t slots = 0;            // trainers at a time; 0: as many as the host has room for
  std::map<std::string, std::string> datasets;  // name to folder
  std::string trainer;                          // a program; empty: canopy-trainer beside this one
  std::string operator_libraries;               // path=sha256,... that trainers may load
  std::map<std::string, std::string> labels;
  int64_t walltime_ms = 0;  // after which others end the process; 0: not known
};

// Runs an agent until SIGTERM, SIGINT or shortly before the end of its walltime, which end it with 0 within
// 10 s; 1 after an error, which is logged. Called from main before threads start.
int RunAgent(const AgentOptions& options);

}  // namespace canopy::agent
