#pragma once

#include <optional>

#include "base/status.h"
#include "search_spaces/ops/operator.h"

namespace canopy::search_space {

// What conv2d and conv_transpose2d have in common. Attributes: out_channels, kernel, groups and bias.

// OK for an image whose channels, and the operator's, divide into the groups.
Status RequireGroups(const Attributes& attributes, const Shape& input);
// `swept` is the shape whose every pixel meets the whole kernel: the output, or, transposed, the input.
std::optional<OperatorCost> ConvolutionCost(const Attributes& attributes, const Shape& input,
                                            const Shape& output, const Shape& swept);
// The bytes that oneDNN takes for conv2d, whatever the batch: the weights as it lays them out, with the
// channels of each group in blocks of sixteen. A depthwise window of more than 3x3 has no layout of its own,
// so that each channel takes a whole block of 16 x 16.
Count ConvolutionScratchForward(const Application& at);
// The gradient of the weights comes in that layout, in fp32, before it has the network's; in bf16 by way of
// one example's values in blocks.
Count ConvolutionScratchBackward(const Application& at);

}  // namespace canopy::search_space
