#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/status.h"
#include "worker/protocol/messages.h"

namespace canopy::agent {

// How a trainer process ended.
struct TrainerExit {
  int wait_status = 0;  // as waitpid gives it; of the zygote where it ended before its children
  int64_t cpu_ms = 0;
  int64_t peak_memory_bytes = 0;
  bool of_zygote = false;
  std::string start_error;  // where no process came to be
};

// One trainer's process group. Thread-safe. Destruction kills it.
class TrainerProcess {
 public:
  virtual ~TrainerProcess() = default;
  // Sends a signal to the group; nothing once it has ended.
  virtual void Signal(int signal) = 0;
  // Stops the group with SIGSTOP and waits, for about 2 s at most, until its leader computes no more. False
  // where it may still do so; it can be asked again. SIGCONT lets it go on.
  virtual bool Suspend() = 0;
};

struct LaunchRequest {
  std::string attempt_id;
  trainer_protocol::Dataset dataset;  // that the trainer will ask for first
  int socket = -1;                    // the trainer's end; stays the caller's
  int log = -1;                       // for stdout and stderr; stays the caller's
};

// Starts one trainer per attempt. Thread-safe.
class TrainerLauncher {
 public:
  // Called once from another thread.
  using ExitCallback = std::function<void(const TrainerExit&)>;

  virtual ~TrainerLauncher() = default;
  // NotFound or PermissionDenied where the program can't be run; Unavailable and ResourceExhausted where
  // the host is short of something.
  virtual StatusOr<std::unique_ptr<TrainerProcess>> Launch(const LaunchRequest& request,
                                                           ExitCallback on_exit) = 0;
};

// A program and what it is always given.
struct TrainerCommand {
  std::string program;
  std::vector<std::string> arguments = {};
};

// A process per attempt, by posix_spawn.
std::unique_ptr<TrainerLauncher> MakeProcessLauncher(TrainerCommand command);

// Forks of one single-threaded zygote, the command with `--zygote`, which is started when first needed and
// again after its end; the trainers of a zygote end with it. `log_path` takes what the zygote itself prints.
std::unique_ptr<TrainerLauncher> MakeZygoteLauncher(TrainerCommand command, std::string log_path);

}  // namespace canopy::agent
