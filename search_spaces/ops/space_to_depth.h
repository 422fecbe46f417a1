#pragma once

#include "search_spaces/ops/operator.h"

namespace canopy::search_space {

// {C, H, W} to {C `block`^2, H / `block`, W / `block`}: the pixels of each square become channels, those of a
// channel next to each other.
const Operator* SpaceToDepth();

}  // namespace canopy::search_space
