#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "worker/trainer/torch_compat.h"

namespace canopy::trainer {

// Softmax cross-entropy over [N, classes] logits.
struct LossValue {
  double sum = 0;       // over the examples, in nats
  int64_t correct = 0;  // examples whose label has the largest logit; the first of equal ones
};

// Without label smoothing: what is reported.
LossValue Evaluate(const at::Tensor& logits, std::span<const uint8_t> labels);

// The same with the target mixed with `smoothing` of the uniform distribution (Szegedy et al. 2016);
// `gradient` becomes that of the batch's mean, in the logits' type.
LossValue EvaluateWithGradient(const at::Tensor& logits, std::span<const uint8_t> labels, double smoothing,
                               at::Tensor& gradient);

}  // namespace canopy::trainer
