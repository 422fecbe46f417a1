#include "search_spaces/ops/window.h"

#include <string>
#include <utility>

namespace canopy::search_space {

Status RequirePaddingWithinWindow(const Window& window) {
  for (const auto& [kernel, padding] : {std::pair(window.kernel.height, window.padding.height),
                                        std::pair(window.kernel.width, window.padding.width)}) {
    const int64_t reach = window.dilation * (kernel - 1) + 1;
    if (padding >= reach)
      return InvalidArgument("expected a padding below the " + std::to_string(reach) +
                             " that a window spans, found " + std::to_string(padding));
  }
  return {};
}

StatusOr<Shape> SlideWindow(const Window& window, const Shape& input, int64_t channels) {
  Shape output{channels, 0, 0};
  // Attributes and sizes are below 2^31, so that nothing here leaves 64 bits.
  for (int axis = 1; axis <= 2; ++axis) {
    const bool rows = axis == 1;
    const int64_t kernel = rows ? window.kernel.height : window.kernel.width;
    const int64_t reach = window.dilation * (kernel - 1) + 1;
    const int64_t padded = input[axis] + 2 * (rows ? window.padding.height : window.padding.width);
    if (reach > padded) {
      return InvalidArgument("expected a window of at most " + std::to_string(padded) +
                             ", the padded input " + ShapeText(input) + ", found " + std::to_string(reach));
    }
    output[axis] = (padded - reach) / window.stride + 1;
  }
  return output;
}

}  // namespace canopy::search_space
