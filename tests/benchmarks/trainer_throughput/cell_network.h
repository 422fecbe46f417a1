#pragma once

#include <cstdint>

#include "base/status.h"
#include "search_spaces/graph.h"

namespace canopy::benchmarks {

// A network like NAS-Bench-201's (Dong and Yang 2020) with one cell a stage: a stem, cells of 16, 32 and 64
// channels with residual reductions between them, and a linear classifier. The cell has three 3x3 and one
// 1x1 convolution and two skip connections; plain_pytorch_loop.py writes down the same network.
StatusOr<search_space::NetworkGraph> CellNetwork(int64_t channels, int64_t image_size, int64_t classes);

}  // namespace canopy::benchmarks
