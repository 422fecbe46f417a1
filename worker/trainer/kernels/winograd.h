#pragma once

#include <cstdint>

namespace canopy::trainer {

// Winograd's minimal filtering F(4x4, 3x3) for convolutions of kernel 3, stride 1, dilation 1 and one group:
// 36 products make 16 outputs that take 144 otherwise (Lavin and Gray 2016, "Fast Algorithms for
// Convolutional Neural Networks", https://arxiv.org/abs/1509.09308). fp32, one thread, always the same order
// of sums. Sums differ from the direct ones by rounding: some 1e-6 of the largest output.
//
// Images are channels-last, [count, height, width, channels]; weights are [3, 3, in_channels, out_channels].
struct WinogradShape {
  int64_t count = 0, height = 0, width = 0;  // of the input
  int64_t in_channels = 0, out_channels = 0;
  int64_t padding = 1;

  int64_t out_height() const { return height + 2 * padding - 2; }
  int64_t out_width() const { return width + 2 * padding - 2; }
};

// Whether the processor has AVX-512 and the shape is one where the transforms pay: channels that fill the
// registers, and enough of the image for the weights' transform.
bool WinogradPays(const WinogradShape& shape);

// `out` has out_height() x out_width() pixels. `bias` holds out_channels values, or is null.
// REQUIRES WinogradPays(shape), as do all of these.
void WinogradForward(const WinogradShape& shape, const float* input, const float* weight, const float* bias,
                     float* out);

// The gradient with respect to the input of a convolution of this `shape`.
void WinogradInputGradient(const WinogradShape& shape, const float* gradient, const float* weight,
                           float* input_gradient);

// The gradient with respect to the weight, [3, 3, in_channels, out_channels].
void WinogradWeightGradient(const WinogradShape& shape, const float* input, const float* gradient,
                            float* weight_gradient);

}  // namespace canopy::trainer
