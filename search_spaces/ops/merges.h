#pragma once

#include "search_spaces/ops/operator.h"

namespace canopy::search_space {

// One value of several. add and multiply are elementwise, in any order; concat joins channels (of images of
// one size) or features (of as many tokens). A factor of multiply may also be one number per channel, {C} or
// {C, 1, 1}, which holds for every place.
const Operator* Add();
const Operator* Concat();
const Operator* Multiply();

}  // namespace canopy::search_space
