#pragma once

#include "search_spaces/ops/operator.h"

namespace canopy::search_space {

// The feed-forward part of a transformer, on {features} or {tokens, features}: linear to `ratio` times as
// many features, `activation`, linear back.
const Operator* Mlp();

// How many features it has in between: `ratio` times `features`, rounded.
int64_t HiddenFeatures(const Attributes& mlp, int64_t features);

}  // namespace canopy::search_space
