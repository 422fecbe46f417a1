#pragma once

#include "search_spaces/ops/operator.h"

namespace canopy::search_space {

// Elementwise functions without parameters. gelu is the exact one, with erf; hard_swish is
// x relu6(x + 3) / 6.
const Operator* Gelu();
const Operator* HardSwish();
const Operator* Relu();
const Operator* Relu6();
const Operator* Sigmoid();
const Operator* Silu();
const Operator* Tanh();

}  // namespace canopy::search_space
