#pragma once

#include "search_spaces/ops/operator.h"

namespace canopy::search_space {

// A square 2-d convolution of {C, H, W}, grouped and dilated at will. Where `padding` is not given it keeps
// height and width at stride 1 (odd kernels).
const Operator* Conv2d();

}  // namespace canopy::search_space
