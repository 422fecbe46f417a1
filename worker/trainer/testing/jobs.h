#pragma once

#include <string>
#include <utility>
#include <vector>

#include "worker/protocol/messages.h"
#include "worker/trainer/job_monitor.h"
#include "worker/trainer/testing/datasets.h"
#include "worker/trainer/testing/graphs.h"

namespace canopy::trainer {

// A job that trains SmallNetwork on a StripedDataset.
inline trainer_protocol::Job StripedJob(const std::string& folder) {
  trainer_protocol::Job job;
  job.attempt_id = "attempt-1";
  job.fence = 7;
  job.graph = SmallNetwork(1, StripedDataset::kSize, StripedDataset::kClasses).ToJson();
  job.class_count = StripedDataset::kClasses;
  job.recipe.learning_rate = 0.1;
  job.recipe.batch_size = 32;
  job.recipe.weight_decay = 1e-4;
  job.recipe.warmup_fraction = 0.1;
  job.recipe.random_flip = true;
  job.epochs = 3;
  job.seeds = {.initialization = 1, .data_order = 2, .augmentation = 3};
  job.dataset = {.name = "striped", .path = folder};
  job.split = {.seed = 5, .validation_count = 128};
  return job;
}

// Keeps what a job sends; asks it for a checkpoint and tells it to stop after so many steps where asked to.
class RecordingMonitor final : public JobMonitor {
 public:
  Status Send(const trainer_protocol::TrainerMessage& message) override {
    messages.push_back(message);
    return absl::OkStatus();
  }
  Status CheckStop() override {
    if (checkpoint_after-- == 0) CANOPY_RETURN_IF_ERROR(WriteCheckpoint());
    return stop_after-- == 0 ? absl::CancelledError("enough") : absl::OkStatus();
  }

  StatusOr<trainer_protocol::RungAction> ReportRung(const trainer_protocol::RungReport& report) override {
    messages.emplace_back(report);
    if (report.rung == checkpoint_at) CANOPY_RETURN_IF_ERROR(WriteCheckpoint());
    return report.rung == ends_at ? ends_with : trainer_protocol::RungAction::kContinue;
  }

  std::vector<trainer_protocol::TrainerMessage> messages;
  // What is said at one of the rungs.
  int64_t ends_at = 0;
  trainer_protocol::RungAction ends_with = trainer_protocol::RungAction::kPause;
  int stop_after = -1;
  // Between which steps, or while it waits at which rung, it is asked for a checkpoint.
  int checkpoint_after = -1;
  int64_t checkpoint_at = 0;
};

}  // namespace canopy::trainer
