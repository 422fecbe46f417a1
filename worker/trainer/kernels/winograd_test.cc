#include "worker/trainer/kernels/winograd.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "base/random.h"

namespace canopy::trainer {
namespace {

// The sums that define a convolution and its gradients, in fp64.
struct Direct {
  std::vector<double> out, input_gradient, weight_gradient;
};

struct Case {
  WinogradShape shape;
  std::vector<float> input, weight, bias, gradient;

  explicit Case(const WinogradShape& of) : shape(of) {
    Rng rng(7);
    const auto fill = [&rng](std::vector<float>& values, int64_t count) {
      for (int64_t i = 0; i < count; ++i) values.push_back(static_cast<float>(rng.Double() - 0.5));
    };
    fill(input, of.count * of.height * of.width * of.in_channels);
    fill(weight, 9 * of.in_channels * of.out_channels);
    fill(bias, of.out_channels);
    fill(gradient, of.count * of.out_height() * of.out_width() * of.out_channels);
  }

  // Calls body(output pixel, input pixel, weights of the pair) for all pairs; a pixel is its first channel.
  template <typename Body>
  void ForEachProduct(const Body& body) const {
    const int64_t out_height = shape.out_height(), out_width = shape.out_width();
    for (int64_t n = 0; n < shape.count; ++n)
      for (int64_t y = 0; y < out_height; ++y)
        for (int64_t x = 0; x < out_width; ++x)
          for (int64_t k = 0; k < 9; ++k) {
            const int64_t iy = y + k / 3 - shape.padding, ix = x + k % 3 - shape.padding;
            if (iy < 0 || iy >= shape.height || ix < 0 || ix >= shape.width) continue;
            body(((n * out_height + y) * out_width + x) * shape.out_channels,
                 ((n * shape.height + iy) * shape.width + ix) * shape.in_channels,
                 k * shape.in_channels * shape.out_channels);
          }
  }

  Direct Sums() const {
    Direct sums{std::vector<double>(gradient.size()), std::vector<double>(input.size()),
                std::vector<double>(weight.size())};
    const int64_t ins = shape.in_channels, outs = shape.out_channels;
    for (size_t i = 0; i < sums.out.size(); ++i) sums.out[i] = bias[i % bias.size()];
    ForEachProduct([&](int64_t to, int64_t from, int64_t weights) {
      for (int64_t c = 0; c < ins; ++c)
        for (int64_t k = 0; k < outs; ++k) {
          const double w = weight[weights + c * outs + k], x = input[from + c], g = gradient[to + k];
          sums.out[to + k] += w * x;
          sums.input_gradient[from + c] += w * g;
          sums.weight_gradient[weights + c * outs + k] += x * g;
        }
    });
    return sums;
  }
};

struct Results {
  std::vector<float> out, input_gradient, weight_gradient;
};
Results ResultsOf(const Case& c) {
  Results results{std::vector<float>(c.gradient.size()), std::vector<float>(c.input.size()),
                  std::vector<float>(c.weight.size())};
  WinogradForward(c.shape, c.input.data(), c.weight.data(), c.bias.data(), results.out.data());
  WinogradInputGradient(c.shape, c.gradient.data(), c.weight.data(), results.input_gradient.data());
  WinogradWeightGradient(c.shape, c.input.data(), c.gradient.data(), results.weight_gradient.data());
  return results;
}

// The largest difference, relative to the largest value.
double Error(const std::vector<float>& values, const std::vector<double>& expected) {
  double error = 0, largest = 0;
  for (size_t i = 0; i < expected.size(); ++i) {
    const double difference = std::abs(values[i] - expected[i]);
    error = std::isnan(difference) ? INFINITY : std::max(error, difference);
    largest = std::max(largest, std::abs(expected[i]));
  }
  return error / largest;
}

class WinogradTest : public testing::TestWithParam<WinogradShape> {
 protected:
  void SetUp() override {
    if (!WinogradPays({.count = 64, .height = 8, .width = 8, .in_channels = 16, .out_channels = 16}))
      GTEST_SKIP() << "this processor has no AVX-512, so convolutions go by LibTorch";
  }
};

TEST_P(WinogradTest, EqualsTheSumsThatDefineAConvolution) {
  const Case c(GetParam());
  ASSERT_TRUE(WinogradPays(c.shape));
  const Direct direct = c.Sums();
  const Results results = ResultsOf(c);
  EXPECT_LT(Error(results.out, direct.out), 2e-5);
  EXPECT_LT(Error(results.input_gradient, direct.input_gradient), 2e-5);
  EXPECT_LT(Error(results.weight_gradient, direct.weight_gradient), 1e-4);
}

TEST_P(WinogradTest, GivesTheSameBitsTwice) {
  const Case c(GetParam());
  const Results first = ResultsOf(c), second = ResultsOf(c);
  EXPECT_EQ(first.out, second.out);
  EXPECT_EQ(first.input_gradient, second.input_gradient);
  EXPECT_EQ(first.weight_gradient, second.weight_gradient);
}

// {count, height, width, in_channels, out_channels, padding}: whole tiles and cut ones, channels that fill
// the registers and some that don't, blocks of tiles that end early.
INSTANTIATE_TEST_SUITE_P(
    Shapes, WinogradTest,
    testing::Values(WinogradShape{4, 16, 16, 16, 16, 1}, WinogradShape{6, 14, 11, 24, 40, 1},
                    WinogradShape{33, 7, 7, 48, 12, 1}, WinogradShape{11, 10, 13, 16, 32, 0},
                    WinogradShape{8, 9, 9, 32, 30, 2}, WinogradShape{70, 1, 1, 16, 16, 1},
                    WinogradShape{3, 20, 18, 13, 64, 1}),
    [](const testing::TestParamInfo<WinogradShape>& info) {
      const WinogradShape& s = info.param;
      return std::to_string(s.height) + "x" + std::to_string(s.width) + "_" + std::to_string(s.in_channels) +
             "_to_" + std::to_string(s.out_channels) + "_padding_" + std::to_string(s.padding);
    });

TEST(WinogradShapesTest, FewTilesAndEmptyRegistersDoNotPay) {
  EXPECT_FALSE(WinogradPays({.count = 1, .height = 8, .width = 8, .in_channels = 16, .out_channels = 16}));
  EXPECT_FALSE(WinogradPays({.count = 64, .height = 8, .width = 8, .in_channels = 3, .out_channels = 16}));
  EXPECT_FALSE(WinogradPays({.count = 64, .height = 8, .width = 8, .in_channels = 16, .out_channels = 18}));
  EXPECT_FALSE(WinogradPays(
      {.count = 64, .height = 2, .width = 2, .in_channels = 16, .out_channels = 16, .padding = 0}));
}

}  // namespace
}  // namespace canopy::trainer
