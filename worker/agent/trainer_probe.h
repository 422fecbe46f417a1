#pragma once

#include <string>
#include <vector>

#include "base/status.h"
#include "worker/agent/trainer_launcher.h"

namespace canopy::agent {

// What a trainer program says of itself with --version (docs/trainer_protocol.md).
struct TrainerVersion {
  std::string build;
  std::string libtorch_version;             // empty: it uses none
  bool fast_bf16 = false;                   // on this host
  bool zygote = false;                      // it takes --zygote
  bool rungs = false;                       // it stops, pauses and goes on at rungs
  bool checkpoints = false;                 // it writes one where it is asked to, and goes on from it
  std::vector<std::string> operators = {};  // that it has beside the built-in ones
};

// `path`, or where it is empty the program canopy-trainer beside this one.
StatusOr<std::string> TrainerProgram(const std::string& path);

// Runs the command. FailedPrecondition where it prints something else, or speaks another protocol version.
StatusOr<TrainerVersion> ProbeTrainer(const TrainerCommand& command);

}  // namespace canopy::agent
