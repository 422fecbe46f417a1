#pragma once

#include <cstdint>

namespace canopy::trainer {

// One pass over flat parameters: `count` numbers that share their weight decay.
struct ParameterSpan {
  float* values;
  const float* gradients;
  int64_t count;
};

// SGD with Nesterov momentum as torch.optim.SGD defines it: decay is added to the gradient.
void SgdStep(const ParameterSpan& parameters, float* velocity, float learning_rate, float momentum,
             float weight_decay);

// AdamW (Loshchilov and Hutter 2019): decay is apart from the gradient. `step` counts from 1.
struct AdamwMoments {
  float* first;
  float* second;
};
void AdamwStep(const ParameterSpan& parameters, const AdamwMoments& moments, int64_t step,
               float learning_rate, float beta1, float beta2, float epsilon, float weight_decay);

}  // namespace canopy::trainer
