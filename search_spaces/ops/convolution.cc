#include "search_spaces/ops/convolution.h"

#include <algorithm>
#include <string>

#include "search_spaces/checked.h"

namespace canopy::search_space {
namespace {

constexpr int64_t kBlock = 16;

int64_t WholeBlocks(int64_t channels) { return (channels + kBlock - 1) / kBlock * kBlock; }

// Of a layout that goes by channels instead of by groups and channels.
bool SmallDepthwise(const Application& at) {
  const int64_t groups = IntegerOf(at.attributes, "groups");
  const Extent kernel = ExtentOf(at.attributes, "kernel");
  return groups > 1 && (*at.inputs[0])[0] == groups && at.output[0] == groups &&
         std::max(kernel.height, kernel.width) <= 3;
}

Count BlockedWeights(const Application& at) {
  const int64_t groups = IntegerOf(at.attributes, "groups");
  const int64_t in = (*at.inputs[0])[0] / groups, out = at.output[0] / groups;
  const Extent kernel = ExtentOf(at.attributes, "kernel");
  const Count window = Count(kernel.height) * kernel.width;
  if (SmallDepthwise(at)) return window * WholeBlocks(groups);
  // Few channels of the network's input stay as they are.
  return window * groups * WholeBlocks(out) * (groups == 1 && in < kBlock ? in : WholeBlocks(in));
}

// Of one example's image.
Count BlockedValues(const Shape& image, int64_t groups) {
  return Count(groups) * WholeBlocks(image[0] / groups) * image[1] * image[2];
}

}  // namespace

Status RequireGroups(const Attributes& attributes, const Shape& input) {
  CANOPY_RETURN_IF_ERROR(RequireImage(input));
  const int64_t out_channels = IntegerOf(attributes, "out_channels");
  const int64_t groups = IntegerOf(attributes, "groups");
  if (input[0] % groups == 0 && out_channels % groups == 0) return {};
  return InvalidArgument("expected groups that divide " + std::to_string(input[0]) + " input and " +
                         std::to_string(out_channels) + " output channels, found " + std::to_string(groups));
}

std::optional<OperatorCost> ConvolutionCost(const Attributes& attributes, const Shape& input,
                                            const Shape& output, const Shape& swept) {
  const Extent kernel = ExtentOf(attributes, "kernel");
  const auto weights = CheckedProduct(
      Shape{output[0], input[0] / IntegerOf(attributes, "groups"), kernel.height, kernel.width});
  if (!weights) return std::nullopt;
  const auto params = CheckedAdd(*weights, SwitchOf(attributes, "bias") ? output[0] : 0);
  const auto macs = CheckedProduct(Shape{*weights, swept[1], swept[2]});
  if (!params || !macs) return std::nullopt;
  return OperatorCost{*params, *macs};
}

Count ConvolutionScratchForward(const Application& at) { return BlockedWeights(at) * BytesOf(at.type); }

Count ConvolutionScratchBackward(const Application& at) {
  const Count blocked = BlockedWeights(at);
  if (at.type == NumberType::kFp32) return Count(at.params) * 8 + blocked * 4;
  const Count weights = Count(at.params) * 2;
  if (SmallDepthwise(at)) return weights + blocked * 4;
  const int64_t groups = IntegerOf(at.attributes, "groups");
  const Count values = BlockedValues(*at.inputs[0], groups) + BlockedValues(at.output, groups);
  return weights + blocked * (groups > 1 ? 6 : 4) + values * 2;
}

}  // namespace canopy::search_space
