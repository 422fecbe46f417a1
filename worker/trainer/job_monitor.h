#pragma once

#include <functional>
#include <utility>

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

  // Called between steps; does not wait. Cancelled: the job was told to stop (the message says why);
  // Unavailable: nobody waits for the job any more.
  virtual Status CheckStop() = 0;

  // Called by CheckStop and ReportRung where they find that a checkpoint is asked for. Without one, none is
  // written.
  using CheckpointWriter = std::function<Status()>;
  void SetCheckpointWriter(CheckpointWriter writer) { write_checkpoint_ = std::move(writer); }

 protected:
  Status WriteCheckpoint() const { return write_checkpoint_ ? write_checkpoint_() : absl::OkStatus(); }

 private:
  CheckpointWriter write_checkpoint_;
};

}  // namespace canopy::trainer
