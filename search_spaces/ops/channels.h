#pragma once

#include "search_spaces/ops/operator.h"

namespace canopy::search_space {

// What takes channels (or features) apart and mixes them, without computing.

// The first `channels` channels.
const Operator* FirstChannels();
// The last `channels` channels.
const Operator* LastChannels();
// One channel of each of `groups` groups in turn (Zhang et al. 2018): channel k of group g becomes channel
// k groups + g.
const Operator* ChannelShuffle();

}  // namespace canopy::search_space
