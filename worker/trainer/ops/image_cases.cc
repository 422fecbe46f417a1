#include <cmath>

#include "worker/trainer/ops/operation_cases.h"

namespace canopy::trainer {
namespace {

using Tensors = OperationCase::Tensors;

at::Tensor BatchNormReference(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  return std::get<0>(
      at::native_batch_norm(x, OptionalTensor(weight), OptionalTensor(bias), {}, {}, true, 0.1, 1e-5));
}

// Pixel by pixel: each sees those of its own tile, of which the shifted tiling cuts some off at the borders.
at::Tensor WindowAttentionReference(const at::Tensor& x, const Tensors& p, int64_t heads, int64_t window,
                                    int64_t shift) {
  const int64_t channels = x.size(1), height = x.size(2), width = x.size(3), size = channels / heads;
  const at::Tensor projected =
      at::einsum("nchw,dc->nhwd", {x, p[0]}) + (p.size() > 3 ? p[3] : at::zeros({1}));
  const auto tile = [&](int64_t at) { return (at + window - shift) / window; };
  const auto part = [&](int64_t which, int64_t head, int64_t row, int64_t column) {
    return projected.select(1, row).select(1, column).narrow(1, which * channels + head * size, size);
  };
  Tensors pixels;
  for (int64_t row = 0; row < height; ++row) {
    for (int64_t column = 0; column < width; ++column) {
      Tensors results;
      for (int64_t head = 0; head < heads; ++head) {
        Tensors scores, values;
        for (int64_t r = 0; r < height; ++r) {
          for (int64_t c = 0; c < width; ++c) {
            if (tile(r) != tile(row) || tile(c) != tile(column)) continue;
            const at::Tensor score = (part(0, head, row, column) * part(1, head, r, c)).sum(1);
            const int64_t distance = (row - r + window - 1) * (2 * window - 1) + column - c + window - 1;
            scores.push_back(score / std::sqrt(static_cast<double>(size)) +
                             p[2].select(0, distance).select(0, head));
            values.push_back(part(2, head, r, c));
          }
        }
        const at::Tensor weights = at::softmax(at::stack(scores, 1), 1);
        results.push_back((weights.unsqueeze(2) * at::stack(values, 1)).sum(1));
      }
      pixels.push_back(at::matmul(at::cat(results, 1), p[1].t()) + (p.size() > 4 ? p[4] : at::zeros({1})));
    }
  }
  return at::stack(pixels, 2).view(x.sizes());
}

}  // namespace

std::vector<OperationCase> ImageCases() {
  const std::vector<int64_t> image = {6, 8, 8};
  const auto conv = [](int64_t stride, int64_t padding, int64_t dilation, int64_t groups) {
    return [=](const Tensors& x, const Tensors& p) {
      return at::convolution(x[0], p[0], OptionalTensor(p.size() > 1 ? p[1] : at::Tensor()), {stride, stride},
                             {padding, padding}, {dilation, dilation}, false, {0, 0}, groups);
    };
  };
  return {
      {"Conv3x3",
       "conv2d",
       {{"out_channels", int64_t{5}}, {"kernel", int64_t{3}}, {"bias", true}},
       {image},
       conv(1, 1, 1, 1)},
      {"ConvOneChannel",
       "conv2d",
       {{"out_channels", int64_t{4}}, {"kernel", int64_t{3}}, {"bias", false}},
       {{1, 8, 8}},
       conv(1, 1, 1, 1)},
      {"ConvPointwise",
       "conv2d",
       {{"out_channels", int64_t{4}}, {"kernel", int64_t{1}}, {"bias", false}},
       {image},
       conv(1, 0, 1, 1)},
      {"ConvStrided",
       "conv2d",
       {{"out_channels", int64_t{4}}, {"kernel", int64_t{3}}, {"stride", int64_t{2}}, {"bias", false}},
       {image},
       conv(2, 1, 1, 1)},
      {"ConvDilated",
       "conv2d",
       {{"out_channels", int64_t{4}}, {"kernel", int64_t{3}}, {"dilation", int64_t{2}}, {"bias", false}},
       {image},
       conv(1, 2, 2, 1)},
      {"ConvDepthwise",
       "conv2d",
       {{"out_channels", int64_t{6}}, {"kernel", int64_t{3}}, {"groups", int64_t{6}}, {"bias", false}},
       {image},
       conv(1, 1, 1, 6)},
      {"ConvWide",
       "conv2d",
       {{"out_channels", int64_t{4}},
        {"kernel_height", int64_t{1}},
        {"kernel_width", int64_t{7}},
        {"bias", false}},
       {image},
       [](const Tensors& x, const Tensors& p) {
         return at::convolution(x[0], p[0], {}, {1, 1}, {0, 3}, {1, 1}, false, {0, 0}, 1);
       }},
      {"ConvHighPaddedByAxis",
       "conv2d",
       {{"out_channels", int64_t{6}},
        {"kernel_height", int64_t{5}},
        {"kernel_width", int64_t{3}},
        {"padding_height", int64_t{0}},
        {"padding_width", int64_t{2}},
        {"groups", int64_t{2}},
        {"stride", int64_t{2}}},
       {image},
       [](const Tensors& x, const Tensors& p) {
         return at::convolution(x[0], p[0], OptionalTensor(p[1]), {2, 2}, {0, 2}, {1, 1}, false, {0, 0}, 2);
       }},
      // Of the kernel alone it could go by Winograd.
      {"ConvPaddedByAxis",
       "conv2d",
       {{"out_channels", int64_t{16}},
        {"kernel", int64_t{3}},
        {"padding_height", int64_t{1}},
        {"padding_width", int64_t{0}},
        {"bias", false}},
       {{16, 16, 16}},
       [](const Tensors& x, const Tensors& p) {
         return at::convolution(x[0], p[0], {}, {1, 1}, {1, 0}, {1, 1}, false, {0, 0}, 1);
       }},
      {"BatchNormImage",
       "batch_norm",
       {},
       {image},
       [](const Tensors& x, const Tensors& p) { return BatchNormReference(x[0], p[0], p[1]); }},
      {"BatchNormWide",
       "batch_norm",
       {},
       {{37, 4, 4}},
       [](const Tensors& x, const Tensors& p) { return BatchNormReference(x[0], p[0], p[1]); }},
      {"BatchNormOddRows",
       "batch_norm",
       {},
       {{24, 3, 5}},
       [](const Tensors& x, const Tensors& p) { return BatchNormReference(x[0], p[0], p[1]); }},
      {"BatchNormVector",
       "batch_norm",
       {},
       {{20}},
       [](const Tensors& x, const Tensors& p) { return BatchNormReference(x[0], p[0], p[1]); }},
      {"BatchNormWithoutAffine",
       "batch_norm",
       {{"affine", false}},
       {image},
       [](const Tensors& x, const Tensors&) { return BatchNormReference(x[0], {}, {}); }},
      {"Linear",
       "linear",
       {{"features", int64_t{7}}},
       {{11}},
       [](const Tensors& x, const Tensors& p) { return at::linear(x[0], p[0], OptionalTensor(p[1])); }},
      {"Relu", "relu", {}, {image}, [](const Tensors& x, const Tensors&) { return at::relu(x[0]); }},
      {"Relu6", "relu6", {}, {image}, [](const Tensors& x, const Tensors&) { return at::clamp(x[0], 0, 6); }},
      {"HardSwish",
       "hard_swish",
       {},
       {image},
       [](const Tensors& x, const Tensors&) { return x[0] * at::clamp(x[0] + 3, 0, 6) / 6; }},
      {"Silu",
       "silu",
       {},
       {image},
       [](const Tensors& x, const Tensors&) { return x[0] * at::sigmoid(x[0]); }},
      {"Gelu",
       "gelu",
       {},
       {image},
       [](const Tensors& x, const Tensors&) { return x[0] * 0.5 * (1 + at::erf(x[0] / std::sqrt(2.0))); }},
      {"Sigmoid",
       "sigmoid",
       {},
       {image},
       [](const Tensors& x, const Tensors&) { return 1 / (1 + at::exp(-x[0])); }},
      {"Tanh", "tanh", {}, {image}, [](const Tensors& x, const Tensors&) { return at::tanh(x[0]); }},
      {"MaxPool",
       "max_pool",
       {{"kernel", int64_t{3}}, {"stride", int64_t{2}}, {"padding", int64_t{1}}},
       {image},
       [](const Tensors& x, const Tensors&) {
         return at::max_pool2d(x[0], {3, 3}, {2, 2}, {1, 1});
       }},
      {"MaxPoolUncovered",  // the last row and column belong to no window
       "max_pool",
       {{"kernel", int64_t{2}}},
       {{26, 7, 7}},
       [](const Tensors& x, const Tensors&) {
         return at::max_pool2d(x[0], {2, 2}, {2, 2});
       }},
      {"MaxPoolLarge",
       "max_pool",
       {{"kernel", int64_t{17}}, {"stride", int64_t{4}}, {"padding", int64_t{8}}},
       {{3, 20, 20}},
       [](const Tensors& x, const Tensors&) {
         return at::max_pool2d(x[0], {17, 17}, {4, 4}, {8, 8});
       }},
      {"AvgPoolWithPadding",
       "avg_pool",
       {{"kernel", int64_t{3}}, {"stride", int64_t{2}}, {"padding", int64_t{1}}, {"count_include_pad", true}},
       {{25, 8, 8}},
       [](const Tensors& x, const Tensors&) {
         return at::avg_pool2d(x[0], {3, 3}, {2, 2}, {1, 1}, false, true);
       }},
      {"AvgPool",
       "avg_pool",
       {{"kernel", int64_t{3}},
        {"stride", int64_t{1}},
        {"padding", int64_t{1}},
        {"count_include_pad", false}},
       {image},
       [](const Tensors& x, const Tensors&) {
         return at::avg_pool2d(x[0], {3, 3}, {1, 1}, {1, 1}, false, false);
       }},
      {"FirstChannels",
       "first_channels",
       {{"channels", int64_t{2}}},
       {image},
       [](const Tensors& x, const Tensors&) { return x[0].narrow(1, 0, 2); }},
      {"LastChannels",
       "last_channels",
       {{"channels", int64_t{2}}},
       {image},
       [](const Tensors& x, const Tensors&) { return x[0].narrow(1, 4, 2); }},
      {"ChannelShuffle",
       "channel_shuffle",
       {{"groups", int64_t{2}}},
       {image},
       [](const Tensors& x, const Tensors&) {
         Tensors channels;
         for (const int64_t c : {0, 3, 1, 4, 2, 5}) channels.push_back(x[0].narrow(1, c, 1));
         return at::cat(channels, 1);
       }},
      {"LayerScale",
       "layer_scale",
       {{"init", 0.5}},
       {image},
       [](const Tensors& x, const Tensors& p) {
         return at::einsum("nchw,c->nchw", {x[0], p[0]});
       }},
      {"SpaceToDepth",
       "space_to_depth",
       {{"block", int64_t{2}}},
       {{3, 4, 6}},
       [](const Tensors& x, const Tensors&) { return at::pixel_unshuffle(x[0], 2); }},
      {"WindowAttention",
       "window_attention",
       {{"heads", int64_t{3}}, {"window", int64_t{2}}},
       {{6, 4, 6}},
       [](const Tensors& x, const Tensors& p) { return WindowAttentionReference(x[0], p, 3, 2, 0); }},
      {"WindowAttentionShifted",
       "window_attention",
       {{"heads", int64_t{2}}, {"window", int64_t{4}}, {"shift", int64_t{1}}, {"bias", false}},
       {{6, 4, 8}},
       [](const Tensors& x, const Tensors& p) { return WindowAttentionReference(x[0], p, 2, 4, 1); }},
      {"GlobalAvgPool",
       "global_avg_pool",
       {},
       {image},
       [](const Tensors& x, const Tensors&) {
         return x[0].sum({2, 3}) / 64;
       }},
      {"Flatten", "flatten", {}, {image}, [](const Tensors& x, const Tensors&) { return x[0].flatten(1); }},
      {"Identity", "identity", {}, {image}, [](const Tensors& x, const Tensors&) { return x[0] * 1; }},
      {"Zero",
       "zero",
       {{"stride", int64_t{2}}},
       {{6, 7, 7}},
       [](const Tensors& x, const Tensors&) {
         return at::avg_pool2d(x[0], {1, 1}, {2, 2}) * 0;
       }},
      {"Add",
       "add",
       {},
       {image, image, image},
       [](const Tensors& x, const Tensors&) { return x[0] + x[1] + x[2]; }},
      {"Multiply",
       "multiply",
       {},
       {image, image, image},
       [](const Tensors& x, const Tensors&) { return x[0] * x[1] * x[2]; }},
      {"HardSigmoid",
       "hard_sigmoid",
       {},
       {image},
       [](const Tensors& x, const Tensors&) { return at::clamp(x[0] + 3, 0, 6) / 6; }},
      {"LeakyRelu",
       "leaky_relu",
       {{"slope", 0.1}},
       {image},
       [](const Tensors& x, const Tensors&) { return at::where(x[0] > 0, x[0], x[0] * 0.1); }},
      {"Elu",
       "elu",
       {{"alpha", 1.5}},
       {image},
       [](const Tensors& x, const Tensors&) { return at::where(x[0] > 0, x[0], 1.5 * (at::exp(x[0]) - 1)); }},
      {"Mish",
       "mish",
       {},
       {image},
       [](const Tensors& x, const Tensors&) { return x[0] * at::tanh(at::log(1 + at::exp(x[0]))); }},
      {"GroupNorm",
       "group_norm",
       {{"groups", int64_t{3}}},
       {image},
       [](const Tensors& x, const Tensors& p) {
         const at::Tensor rows = x[0].reshape({x[0].size(0), 3, -1});
         const at::Tensor centred = rows - rows.mean(2, /*keepdim=*/true);
         const at::Tensor y = centred / (centred.pow(2).mean(2, /*keepdim=*/true) + 1e-5).sqrt();
         return y.reshape(x[0].sizes()) * p[0].view({1, -1, 1, 1}) + p[1].view({1, -1, 1, 1});
       }},
      {"LayerNormImage",
       "layer_norm",
       {},
       {image},
       [](const Tensors& x, const Tensors& p) {
         const at::Tensor centred = x[0] - x[0].mean(1, /*keepdim=*/true);
         const at::Tensor y = centred / (centred.pow(2).mean(1, /*keepdim=*/true) + 1e-5).sqrt();
         return y * p[0].view({1, -1, 1, 1}) + p[1].view({1, -1, 1, 1});
       }},
      {"SqueezeExcite",
       "squeeze_excite",
       {{"squeeze", int64_t{4}}},
       {image},
       [](const Tensors& x, const Tensors& p) {
         const at::Tensor hidden = at::relu(at::matmul(x[0].mean({2, 3}), p[0].t()) + p[1]);
         return x[0] * at::sigmoid(at::matmul(hidden, p[2].t()) + p[3]).unsqueeze(2).unsqueeze(3);
       }},
      {"SqueezeExciteOfEfficientAndMobileNets",
       "squeeze_excite",
       {{"squeeze", int64_t{4}}, {"activation", "silu"}, {"gate", "hard_sigmoid"}},
       {image},
       [](const Tensors& x, const Tensors& p) {
         const at::Tensor hidden = at::silu(at::matmul(x[0].mean({2, 3}), p[0].t()) + p[1]);
         return x[0] * at::hardsigmoid(at::matmul(hidden, p[2].t()) + p[3]).unsqueeze(2).unsqueeze(3);
       }},
      {"ConvTranspose",
       "conv_transpose2d",
       {{"out_channels", int64_t{4}}, {"kernel", int64_t{3}}, {"stride", int64_t{2}}},
       {{6, 5, 4}},
       [](const Tensors& x, const Tensors& p) {
         return at::conv_transpose2d(x[0], p[0], OptionalTensor(p[1]), {2, 2}, {1, 1}, {1, 1});
       }},
      {"ConvTransposeGrouped",
       "conv_transpose2d",
       {{"out_channels", int64_t{4}},
        {"kernel", int64_t{3}},
        {"stride", int64_t{3}},
        {"padding", int64_t{1}},
        {"output_padding", int64_t{0}},
        {"dilation", int64_t{2}},
        {"groups", int64_t{2}},
        {"bias", false}},
       {{6, 5, 4}},
       [](const Tensors& x, const Tensors& p) {
         return at::conv_transpose2d(x[0], p[0], {}, {3, 3}, {1, 1}, {0, 0}, 2, {2, 2});
       }},
      {"UpsampleNearest",
       "upsample",
       {{"scale", int64_t{3}}},
       {{6, 5, 4}},
       [](const Tensors& x, const Tensors&) { return x[0].repeat_interleave(3, 2).repeat_interleave(3, 3); }},
      {"UpsampleBilinear",
       "upsample",
       {{"bilinear", true}},
       {{6, 5, 4}},
       [](const Tensors& x, const Tensors&) {
         return at::upsample_bilinear2d(x[0], {10, 8}, false, 2.0, 2.0);
       }},
      {"MultiplyByOneNumberPerChannel",
       "multiply",
       {},
       {image, {6}, {6, 1, 1}},
       [](const Tensors& x, const Tensors&) { return x[0] * x[1].unsqueeze(2).unsqueeze(3) * x[2]; }},
      {"Concat",
       "concat",
       {},
       {image, {3, 8, 8}},
       [](const Tensors& x, const Tensors&) {
         return at::cat({x[0], x[1]}, 1);
       }},
  };
}

}  // namespace canopy::trainer
