#pragma once

#include "search_spaces/ops/operator.h"

namespace canopy::search_space {

// Normalisation with a learned scale and shift per channel or feature where `affine`. Of zero it is its
// learned shift.
//
// Over the batch and all places of a channel, with running statistics.
const Operator* BatchNorm();
// Over all channels (features) at one place of one example, as transformers and ConvNeXt do.
const Operator* LayerNorm();
// Over `groups` groups of channels and all pixels of one example.
const Operator* GroupNorm();

}  // namespace canopy::search_space
