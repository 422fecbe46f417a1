#pragma once

#include "search_spaces/ops/operator.h"

namespace canopy::search_space {

// Batch norm over channels (of images) or features (of vectors), with running statistics. Of zero it is
// its learned bias.
const Operator* BatchNorm();

}  // namespace canopy::search_space
