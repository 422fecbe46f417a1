#pragma once

#include <string_view>

#include "worker/trainer/torch_compat.h"

namespace canopy::trainer {

using ActivationFunction = at::Tensor (*)(const at::Tensor&);

// One of ActivationWords() (search_spaces/ops/activations.h) within an operation that autograd
// differentiates, in fp32 and bf16. REQUIRES that it is one.
ActivationFunction ActivationNamed(std::string_view word);

}  // namespace canopy::trainer
