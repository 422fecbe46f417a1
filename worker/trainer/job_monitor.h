#pragma once

#include "base/status.h"
#include "worker/protocol/messages.h"

namespace canopy::trainer {

// Whom a running job reports to, and who may end it.
class JobMonitor {
 public:
  virtual ~JobMonitor() = default;

  // May block until the message is taken. An error ends the job.
  virtual Status Send(const trainer_protocol::TrainerMessage& message) = 0;

  // Called between steps; never blocks. Cancelled: the job was told to stop (the message says why);
  // Unavailable: nobody waits for the job any more.
  virtual Status CheckStop() = 0;
};

}  // namespace canopy::trainer
