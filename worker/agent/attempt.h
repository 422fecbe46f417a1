#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "base/clock.h"
#include "canopy/v1/worker_service.pb.h"
#include "worker/agent/attempt_control.h"
#include "worker/agent/measurement_lock.h"
#include "worker/agent/state_directory.h"
#include "worker/agent/trainer_launcher.h"

namespace canopy::agent {

struct DatasetPlace {
  std::string folder;
  std::string digest;
};

// What the attempts of one agent have in common. References outlive them.
struct AttemptEnvironment {
  const StateDirectory& state;
  TrainerLauncher& launcher;
  RunningTrainers& running;
  const Clock& clock;  // of hang timer and cost; suspended hosts need an AwakeClock
  std::string lock_folder;
  std::map<std::string, DatasetPlace> datasets;  // by name
  // Of every result, where the trainer does not say them.
  std::string trainer_build, libtorch_version, device_model;
  std::function<std::string()> new_result_id;  // 32 hexadecimal digits
  std::function<int64_t()> oom_kills;
  bool checkpoints = false;              // the trainer writes them where it is asked to
  int64_t checkpoint_ms = 10'000;        // that it may take then, before the stop message
  int64_t stop_grace_ms = 5'000;         // from that to SIGTERM
  int64_t hang_minimum_ms = 5 * 60'000;  // hang_timer.h
  // A training whose report is not answered by then goes on.
  int64_t rung_answer_ms = 5'000;
};

// Takes a report on its way to the controller, whose answer reaches the attempt's control.
using ReportRung = std::function<void(v1::ReportRungRequest request)>;

// Runs one attempt from its lease to its end and says how it ended. Blocks; ends within checkpoint_ms,
// stop_grace_ms and about 2 s of a stop that `control` asks for.
v1::Outcome RunAttempt(const AttemptEnvironment& environment, const v1::Lease& lease,
                       std::shared_ptr<AttemptControl> control, const ReportRung& report_rung);

}  // namespace canopy::agent
