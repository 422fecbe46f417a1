#pragma once

#include <cstdint>

#include "base/status.h"
#include "search_spaces/ops/operator.h"

namespace canopy::search_space {

// A window that slides over height and width, as convolutions and pooling do.
struct Window {
  Extent kernel;
  int64_t stride = 1;
  Extent padding{0, 0};  // on each side
  int64_t dilation = 1;
};

// InvalidArgument where a window could lie in the padding alone. Its output would say nothing, and oneDNN 3.6
// crashes over it.
Status RequirePaddingWithinWindow(const Window& window);

// {channels, height, width} after the window went over `input` (an image); InvalidArgument where it is
// larger than the padded input.
StatusOr<Shape> SlideWindow(const Window& window, const Shape& input, int64_t channels);

}  // namespace canopy::search_space
