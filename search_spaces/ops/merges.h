#pragma once

#include "search_spaces/ops/operator.h"

namespace canopy::search_space {

// One value of several. add and multiply are elementwise over equal shapes, in any order; concat joins
// channels (of images of one size) or features.
const Operator* Add();
const Operator* Concat();
const Operator* Multiply();

}  // namespace canopy::search_space
