#pragma once

#include "search_spaces/ops/operator.h"

namespace canopy::search_space {

// Multi-head self-attention of {tokens, features} (Vaswani et al. 2017): one projection to queries, keys
// and values of `heads` heads of `head_features` each (0: features / heads), softmax of the scaled products,
// and a projection back. Where `causal`, a token sees itself and earlier ones alone. `bias` is of both
// projections.
const Operator* Attention();

// The features of one head: the attribute, or an equal share of `features` where it is 0.
int64_t HeadFeatures(const Attributes& attention, int64_t features);

}  // namespace canopy::search_space
