#pragma once

#include "search_spaces/ops/operator.h"

namespace canopy::search_space {

// Elementwise functions without parameters. gelu is the exact one, with erf; hard_sigmoid is
// relu6(x + 3) / 6 and hard_swish x times that; mish is x tanh(ln(1 + e^x)). Below zero leaky_relu is
// `slope` x and elu `alpha` (e^x - 1).
// Those without attributes are words, too: of an `activation` within another operator.
std::span<const std::string_view> ActivationWords();

const Operator* Elu();
const Operator* Gelu();
const Operator* HardSigmoid();
const Operator* HardSwish();
const Operator* LeakyRelu();
const Operator* Mish();
const Operator* Relu();
const Operator* Relu6();
const Operator* Sigmoid();
const Operator* Silu();
const Operator* Tanh();

}  // namespace canopy::search_space
