#pragma once

#include "search_spaces/ops/operator.h"

namespace canopy::search_space {

// A fully connected layer from {in} to {features}, and at each token from {tokens, in} to {tokens, features}.
const Operator* Linear();

}  // namespace canopy::search_space
