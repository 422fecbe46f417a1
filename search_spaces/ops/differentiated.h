#pragma once

#include "search_spaces/ops/operator.h"

namespace canopy::search_space {

// The memory of an operator whose gradients the trainer leaves to LibTorch: it holds input and output, and
// backward makes the gradients of its parameters anew.
OperatorMemory DifferentiatedMemory(const Application& at);
// The same where it computes in fp32 whatever the network does: of a bf16 network's values it makes copies.
OperatorMemory ExactDifferentiatedMemory(const Application& at);

}  // namespace canopy::search_space
