#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>

#include "base/random.h"
#include "base/status.h"
#include "worker/checkpoint/safetensors.h"
#include "worker/data/batch.h"
#include "worker/data/image_set.h"
#include "worker/data/split.h"
#include "worker/protocol/messages.h"
#include "worker/trainer/evaluation.h"
#include "worker/trainer/graph_module.h"
#include "worker/trainer/job_monitor.h"
#include "worker/trainer/loss.h"
#include "worker/trainer/optimizer.h"

namespace canopy::trainer {

// The training part of a dataset, as one campaign sees it.
struct TrainingData {
  const data::ImageSet& images;
  const data::TrainValidationSplit& split;
  const data::Normalization& normalization;
};

struct TrainingSummary {
  int64_t steps = 0;
  int64_t train_ms = 0;          // training steps alone, without validation
  double images_per_second = 0;  // likewise
  double train_loss = 0;         // mean over the last epoch, with the recipe's label smoothing
  Evaluation validation;         // of the last epoch; empty after a PROXY job
  double best_accuracy = 0;      // of any epoch
  int64_t rung = 0;              // at which it was told to end; 0: at none
  std::optional<checkpoint::Checkpoint> paused;  // where it can go on, where it was told to pause
};

// One step: forward, loss, backward and update. A loss that is not finite changes nothing but statistics.
LossValue TrainBatch(GraphModule& network, Optimizer& optimizer, at::Tensor batch,
                     std::span<const uint8_t> labels, double label_smoothing, double learning_rate,
                     Rng& noise);

// How many optimizer steps the job has: whole batches only, as a smaller last batch would change the
// batch-norm statistics and the step's shape.
int64_t TotalSteps(const trainer_protocol::Job& job, const TrainingData& data);

// Where a training comes from and where it leaves what it goes on from.
struct TrainingCheckpoints {
  std::optional<checkpoint::Checkpoint> from;
  // Stores what the monitor asked for, after so many steps and complete epochs. An error ends the training.
  std::function<Status(checkpoint::Checkpoint file, int64_t step, int64_t epoch)> store;
};

// Trains as the job says, validates after every epoch (not for PROXY) and sends measurements. With one
// thread, the same job gives the same numbers bit for bit. OutOfRange once the loss is not finite: the
// training has diverged. An error of the monitor is passed on. Goes on from the checkpoint where there is
// one: ended and resumed after any step, a training gives the numbers of one that never was. DataLoss where
// that is of another training.
StatusOr<TrainingSummary> Train(const trainer_protocol::Job& job, const TrainingData& data,
                                GraphModule& network, JobMonitor& monitor,
                                TrainingCheckpoints checkpoints = {});

}  // namespace canopy::trainer
