#pragma once

#include "search_spaces/ops/operator.h"

namespace canopy::search_space {

// Multi-head self-attention of an image's pixels within squares of `window` x `window` that tile it, with a
// learned bias for each head and distance of two pixels (Liu et al. 2021, Swin). The tiling is moved down and
// right by `shift` pixels; what it then cuts off at the borders are smaller tiles of their own. `bias` is of
// both projections.
const Operator* WindowAttention();

}  // namespace canopy::search_space
