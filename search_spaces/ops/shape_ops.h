#pragma once

#include "search_spaces/ops/operator.h"

namespace canopy::search_space {

// The network's input: node 0 of every graph, and no other.
const Operator* Input();
const Operator* Identity();
// {C, H, W} to {C * H * W} and {T, F} to {T * F}, in that order.
const Operator* Flatten();
// Zeros of the input's shape; of an image every stride-th row and column (rounded up).
const Operator* Zero();
// Sets each number to 0 with probability `rate` in training and scales the others by 1 / (1 - rate).
const Operator* Dropout();
// The same for whole examples: each is 0 with probability `rate` (stochastic depth, at the end of a residual
// branch).
const Operator* DropPath();

}  // namespace canopy::search_space
