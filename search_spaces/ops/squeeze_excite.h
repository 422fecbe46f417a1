#pragma once

#include "search_spaces/ops/operator.h"

namespace canopy::search_space {

// Channels weighed by what a small network makes of their means (Hu et al. 2018): mean over pixels, linear to
// `squeeze` features, `activation`, linear back, `gate`, times the input. Both linear layers have biases.
const Operator* SqueezeExcite();

}  // namespace canopy::search_space
