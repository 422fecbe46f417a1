#include "worker/trainer/kernels/optimizer.h"

#include <cmath>

#include "worker/trainer/kernels/vector16.h"

namespace canopy::trainer {

CANOPY_VECTORIZED void SgdStep(const ParameterSpan& parameters, float* velocity, float learning_rate,
                               float momentum, float weight_decay) {
  float* const values = parameters.values;
  for (int64_t i = 0; i < parameters.count; ++i) {
    const float gradient = parameters.gradients[i] + weight_decay * values[i];
    velocity[i] = momentum * velocity[i] + gradient;
    values[i] -= learning_rate * (gradient + momentum * velocity[i]);
  }
}

CANOPY_VECTORIZED void AdamwStep(const ParameterSpan& parameters, const AdamwMoments& moments, int64_t step,
                                 float learning_rate, float beta1, float beta2, float epsilon,
                                 float weight_decay) {
  const double steps = static_cast<double>(step);
  const auto first_scale = static_cast<float>(1 / (1 - std::pow(static_cast<double>(beta1), steps)));
  const auto second_scale = static_cast<float>(1 / (1 - std::pow(static_cast<double>(beta2), steps)));
  float* const values = parameters.values;
  for (int64_t i = 0; i < parameters.count; ++i) {
    const float gradient = parameters.gradients[i];
    moments.first[i] = beta1 * moments.first[i] + (1 - beta1) * gradient;
    moments.second[i] = beta2 * moments.second[i] + (1 - beta2) * gradient * gradient;
    const float update =
        moments.first[i] * first_scale / (std::sqrt(moments.second[i] * second_scale) + epsilon);
    values[i] -= learning_rate * (update + weight_decay * values[i]);
  }
}

}  // namespace canopy::trainer
