#include "search_spaces/ops/window.h"

namespace canopy::search_space {

StatusOr<Shape> SlideWindow(const Window& window, const Shape& input, int64_t channels) {
  Shape output{channels, 0, 0};
  // Attributes and sizes are below 2^31, so that nothing here leaves 64 bits.
  const int64_t reach = window.dilation * (window.kernel - 1) + 1;
  for (int axis = 1; axis <= 2; ++axis) {
    const int64_t padded = input[axis] + 2 * window.padding;
    if (reach > padded) {
      return InvalidArgument("expected a window of at most " + std::to_string(padded) +
                             ", the padded input " + ShapeText(input) + ", found " + std::to_string(reach));
    }
    output[axis] = (padded - reach) / window.stride + 1;
  }
  return output;
}

}  // namespace canopy::search_space
