#pragma once

#include "search_spaces/ops/operator.h"

namespace canopy::search_space {

// Times a learned number for each channel or feature, which begins as `init`: at the end of a residual branch
// (Touvron et al. 2021).
const Operator* LayerScale();

}  // namespace canopy::search_space
