#pragma once

#include <cstdint>
#include <string>

#include "base/random.h"
#include "base/status.h"
#include "worker/checkpoint/safetensors.h"
#include "worker/trainer/graph_module.h"
#include "worker/trainer/optimizer.h"
#include "worker/trainer/weights.h"

namespace canopy::trainer {

// What a training between two steps is beside its tensors: all other randomness derives from seeds and epoch.
struct TrainingState {
  int64_t epoch = 0;  // complete ones, their validation included
  int64_t steps = 0;
  double best_accuracy = 0;
  Rng dropout = Rng(0);
  // Of the epoch that runs, as far as it is trained; no images: the next step begins one.
  int64_t images = 0;
  double loss_sum = 0;
  Rng augmentation = Rng(0);
};

// A training as a file says it: the weights, and what the optimizer and the random streams are at.
checkpoint::Checkpoint SaveTraining(const TrainingState& state, GraphModule& network, Optimizer& optimizer,
                                    const NetworkWeights& weights);

// Sets network and optimizer to where the file's training was. DataLoss where it is another's; both are of no
// use then.
StatusOr<TrainingState> LoadTraining(checkpoint::Checkpoint file, GraphModule& network, Optimizer& optimizer);

}  // namespace canopy::trainer
