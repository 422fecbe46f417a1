#pragma once

#include "search_spaces/ops/operator.h"

namespace canopy::search_space {

// {C, H, W} to {C, `scale` H, `scale` W}: each pixel repeated, or, where `bilinear`, interpolated between
// pixel centres.
const Operator* Upsample();

}  // namespace canopy::search_space
