#pragma once

#include "search_spaces/ops/operator.h"

namespace canopy::search_space {

// A square transposed 2-d convolution of {C, H, W}, which enlarges it. What is not given of `padding` and
// `output_padding` (rows and columns at the end only) makes the result `stride` times as high and wide, where
// that can be.
const Operator* ConvTranspose2d();

}  // namespace canopy::search_space
