#pragma once

#include <string>

#include "base/status.h"

namespace canopy::agent {

// What a trainer program says of itself with --version (docs/trainer_protocol.md).
struct TrainerVersion {
  std::string build;
  std::string libtorch_version;  // empty: it uses none
  bool fast_bf16 = false;        // on this host
  bool zygote = false;           // it takes --zygote
};

// `path`, or where it is empty the program canopy-trainer beside this one.
StatusOr<std::string> TrainerProgram(const std::string& path);

// Runs the program. FailedPrecondition where it prints something else, or speaks another protocol version.
StatusOr<TrainerVersion> ProbeTrainer(const std::string& program);

}  // namespace canopy::agent
