#pragma once

#include <cstdint>
#include <memory>

#include "worker/protocol/messages.h"
#include "worker/trainer/parameters.h"

namespace canopy::trainer {

// Updates a store's parameters in place from their gradients.
class Optimizer {
 public:
  virtual ~Optimizer() = default;
  virtual void Step(double learning_rate) = 0;
};

// The recipe's optimizer. The store must outlive it.
std::unique_ptr<Optimizer> MakeOptimizer(const trainer_protocol::Recipe& recipe, ParameterStore& store);

// The learning rate of step `step` (from 0) of `total_steps`: linear warm-up over the recipe's fraction, then
// its schedule: a cosine to 0 (Loshchilov and Hutter 2017), a line to 0, a tenth after half and a hundredth
// after three quarters of the remaining steps (He et al. 2016, section 4.2), or no change.
double LearningRateAt(const trainer_protocol::Recipe& recipe, int64_t step, int64_t total_steps);

}  // namespace canopy::trainer
