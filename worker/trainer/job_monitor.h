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

  // What the training does at its rung; blocks until somebody says so. Where nobody decides, it goes on.
  // Cancelled and Unavailable as below.
  virtual StatusOr<trainer_protocol::RungAction> ReportRung(const trainer_protocol::RungReport& report) {
    CANOPY_RETURN_IF_ERROR(Send(report));
    return trainer_protocol::RungAction::kContinue;
  }

  // Called between steps; never blocks. Cancelled: the job was told to stop (the message says why);
  // Unavailable: nobody waits for the job any more.
  virtual Status CheckStop() = 0;
};

}  // namespace canopy::trainer
