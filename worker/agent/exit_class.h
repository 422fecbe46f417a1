#pragma once

#include <string>

#include "canopy/v1/worker_service.pb.h"
#include "storage/model/states.h"
#include "worker/agent/trainer_launcher.h"

namespace canopy::agent {

// A failure as an outcome carries it.
v1::AttemptFailure MakeFailure(model::FailureClass failure_class, const std::string& message);

// Why a trainer that ended without a result or failure line did so. `oom_killed`: the kernel has killed a
// process of the agent's cgroup for memory during the attempt.
//   SIGKILL, SIGTERM, SIGINT           WORKER_LOST; SIGKILL with oom_killed OUT_OF_MEMORY,
//                                      but not the zygote's: which of its trainers took the memory?
//   any other signal, any exit status  TRAINER_CRASH
//   never started                      WORKER_LOST
v1::AttemptFailure ClassifyExit(const TrainerExit& exit, bool oom_killed);

// How many processes the kernel has killed for memory in this process's cgroup, 0 where that is not told.
int64_t OomKills();

}  // namespace canopy::agent
