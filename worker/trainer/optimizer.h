#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "worker/protocol/messages.h"
#include "worker/trainer/parameters.h"

namespace canopy::trainer {

// Updates a store's parameters in place from their gradients.
class Optimizer {
 public:
  virtual ~Optimizer() = default;
  virtual void Step(double learning_rate) = 0;
  // All that later steps depend on beside the parameters: flat fp32 tensors like the store's values, by name,
  // and the number of steps so far.
  virtual std::vector<std::pair<std::string, at::Tensor*>> State() = 0;
  virtual int64_t steps() const = 0;
  virtual void SetSteps(int64_t steps) = 0;
};

// The recipe's optimizer. The store must outlive it.
std::unique_ptr<Optimizer> MakeOptimizer(const trainer_protocol::Recipe& recipe, ParameterStore& store);

// The learning rate of step `step` (from 0) of `total_steps`: linear warm-up over the recipe's fraction, then
// its schedule: a cosine to 0 (Loshchilov and Hutter 2017), a line to 0, a tenth after half and a hundredth
// after three quarters of the remaining steps (He et al. 2016, section 4.2), or no change.
double LearningRateAt(const trainer_protocol::Recipe& recipe, int64_t step, int64_t total_steps);

}  // namespace canopy::trainer
