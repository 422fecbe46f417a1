#pragma once

#include "search_spaces/ops/operator.h"

namespace canopy::search_space {

// Pooling of {C, H, W} over a square window; `stride` is `kernel` where it is not given. Padding of max_pool
// is never the maximum; avg_pool counts it as zeros where `count_include_pad`.
const Operator* AvgPool();
const Operator* MaxPool();
// {C, H, W} to {C} and {T, F} to {F}: the mean over pixels or tokens.
const Operator* GlobalAvgPool();

}  // namespace canopy::search_space
