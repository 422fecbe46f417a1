#include "worker/trainer/kernels/batch_norm.h"

#include <algorithm>
#include <numeric>
#include <vector>

#include "worker/trainer/kernels/vector16.h"

namespace canopy::trainer {
namespace {

// Rows whose sums are kept in single precision before they go to double; with 64 channels of bf16 such a
// block is half of a first-level cache.
constexpr int64_t kBlockRows = 128;

// A matrix whose width is no multiple of the lanes, seen with `tile` rows as one, whose width then is: 8
// channels are 16 twice repeated, 24 are 48. Per-channel values are repeated likewise. The last rows that
// fill no tile are left to the caller.
struct Tiling {
  Tiling(int64_t rows, int64_t channels)
      : tile(kLanes / std::gcd(channels, kLanes)),
        width(channels * tile),
        rows(rows / tile),
        done(rows / tile * tile) {}

  std::vector<float> Repeat(const float* values, int64_t channels) const {
    std::vector<float> repeated(static_cast<size_t>(width));
    for (int64_t i = 0; i < width; ++i) repeated[static_cast<size_t>(i)] = values[i % channels];
    return repeated;
  }

  int64_t tile, width, rows;
  int64_t done;  // rows of the matrix that the tiled ones cover
};

// Calls body(first row, end row, channel) block by block, each block for 16 channels at a time.
template <typename Body>
CANOPY_INLINE void ForEachBlock(const Tiling& tiling, const Body& body) {
  for (int64_t row = 0; row < tiling.rows; row += kBlockRows) {
    const int64_t end = std::min(tiling.rows, row + kBlockRows);
    for (int64_t channel = 0; channel < tiling.width; channel += kLanes) body(row, end, channel);
  }
}

CANOPY_INLINE void AddTo(double* sums, Float16Lanes lanes) {
  for (int64_t i = 0; i < kLanes; ++i) sums[i] += static_cast<double>(lanes[i]);
}

void Fold(const std::vector<double>& wide, int64_t channels, double* sums) {
  std::fill(sums, sums + channels, 0.0);
  for (size_t i = 0; i < wide.size(); ++i) sums[static_cast<int64_t>(i) % channels] += wide[i];
}

template <typename T>
CANOPY_INLINE float At(const T* x, int64_t i) {
  return Load(x + i, 1)[0];
}

// Sums are of differences from the first row, so that a mean far from zero doesn't cancel the variance.
template <typename T>
CANOPY_INLINE void BatchStatisticsImpl(const T* x, int64_t rows, int64_t channels, double* mean,
                                       double* variance) {
  const Tiling tiling(rows, channels);
  std::vector<float> first(static_cast<size_t>(channels));
  for (int64_t c = 0; c < channels; ++c) first[static_cast<size_t>(c)] = At(x, c);
  const std::vector<float> origins = tiling.Repeat(first.data(), channels);
  std::vector<double> sums(static_cast<size_t>(tiling.width));
  std::vector<double> squares(sums.size());
  ForEachBlock(tiling, [&](int64_t begin, int64_t end, int64_t channel) CANOPY_INLINE_CALL {
    const Float16Lanes origin = Load(origins.data() + channel, kLanes);
    Float16Lanes sum{};
    Float16Lanes square{};
    for (int64_t row = begin; row < end; ++row) {
      const Float16Lanes value = Load(x + row * tiling.width + channel, kLanes) - origin;
      sum += value;
      square += value * value;
    }
    AddTo(sums.data() + channel, sum);
    AddTo(squares.data() + channel, square);
  });
  Fold(sums, channels, mean);
  Fold(squares, channels, variance);
  for (int64_t i = tiling.done * channels; i < rows * channels; ++i) {
    const double value = static_cast<double>(At(x, i)) - static_cast<double>(At(x, i % channels));
    mean[i % channels] += value;
    variance[i % channels] += value * value;
  }
  const double scale = 1.0 / static_cast<double>(rows);
  for (int64_t c = 0; c < channels; ++c) {
    const double offset = mean[c] * scale;
    variance[c] = std::max(0.0, variance[c] * scale - offset * offset);
    mean[c] = offset + static_cast<double>(first[static_cast<size_t>(c)]);
  }
}

template <bool kRelu, typename T>
CANOPY_INLINE void ScaleShiftImpl(const T* x, int64_t rows, int64_t channels, const float* scale,
                                  const float* shift, T* y) {
  const Tiling tiling(rows, channels);
  const std::vector<float> factors = tiling.Repeat(scale, channels);
  const std::vector<float> offsets = tiling.Repeat(shift, channels);
  ForEachBlock(tiling, [&](int64_t begin, int64_t end, int64_t channel) CANOPY_INLINE_CALL {
    const Float16Lanes factor = Load(factors.data() + channel, kLanes);
    const Float16Lanes offset = Load(offsets.data() + channel, kLanes);
    for (int64_t row = begin; row < end; ++row) {
      Float16Lanes value = Load(x + row * tiling.width + channel, kLanes) * factor + offset;
      if (kRelu) value = ZeroUnlessPositive(value, value);
      Store(value, y + row * tiling.width + channel, kLanes);
    }
  });
  for (int64_t i = tiling.done * channels; i < rows * channels; ++i) {
    Float16Lanes value = Load(x + i, 1) * scale[i % channels] + shift[i % channels];
    if (kRelu) value = ZeroUnlessPositive(value, value);
    Store(value, y + i, 1);
  }
}

template <bool kRelu, typename T>
CANOPY_INLINE void ScaledSumImpl(std::span<const ScaledInput<T>> inputs, int64_t rows, int64_t channels,
                                 T* y) {
  const Tiling tiling(rows, channels);
  std::vector<float> ones(static_cast<size_t>(channels), 1.0F);
  std::vector<float> zeros(static_cast<size_t>(channels), 0.0F);
  std::vector<std::vector<float>> factors;
  std::vector<std::vector<float>> offsets;
  for (const ScaledInput<T>& input : inputs) {
    factors.push_back(tiling.Repeat(input.scale == nullptr ? ones.data() : input.scale, channels));
    offsets.push_back(tiling.Repeat(input.shift == nullptr ? zeros.data() : input.shift, channels));
  }
  ForEachBlock(tiling, [&](int64_t begin, int64_t end, int64_t channel) CANOPY_INLINE_CALL {
    const Float16Lanes factor = Load(factors[0].data() + channel, kLanes);
    const Float16Lanes offset = Load(offsets[0].data() + channel, kLanes);
    for (int64_t row = begin; row < end; ++row) {
      const int64_t at = row * tiling.width + channel;
      Float16Lanes sum = Load(inputs[0].x + at, kLanes) * factor + offset;
      for (size_t i = 1; i < inputs.size(); ++i)
        sum += Load(inputs[i].x + at, kLanes) * Load(factors[i].data() + channel, kLanes) +
               Load(offsets[i].data() + channel, kLanes);
      if (kRelu) sum = ZeroUnlessPositive(sum, sum);
      Store(sum, y + at, kLanes);
    }
  });
  for (int64_t i = tiling.done * channels; i < rows * channels; ++i) {
    Float16Lanes sum{};
    for (size_t k = 0; k < inputs.size(); ++k)
      sum += Load(inputs[k].x + i, 1) * factors[k][static_cast<size_t>(i % channels)] +
             offsets[k][static_cast<size_t>(i % channels)];
    if (kRelu) sum = ZeroUnlessPositive(sum, sum);
    Store(sum, y + i, 1);
  }
}

template <bool kRelu, typename T>
CANOPY_INLINE void BackwardSumsImpl(const T* x, const T* dy, int64_t rows, int64_t channels,
                                    const float* center, const float* scale, const float* shift,
                                    double* sum_dy, double* sum_dy_x) {
  const Tiling tiling(rows, channels);
  const std::vector<float> centers = tiling.Repeat(center, channels);
  const std::vector<float> factors = tiling.Repeat(scale, channels);
  const std::vector<float> offsets = tiling.Repeat(shift, channels);
  std::vector<double> sums(static_cast<size_t>(tiling.width));
  std::vector<double> sums_x(sums.size());
  ForEachBlock(tiling, [&](int64_t begin, int64_t end, int64_t channel) CANOPY_INLINE_CALL {
    const Float16Lanes middle = Load(centers.data() + channel, kLanes);
    const Float16Lanes factor = Load(factors.data() + channel, kLanes);
    const Float16Lanes offset = Load(offsets.data() + channel, kLanes);
    Float16Lanes sum{};
    Float16Lanes sum_x{};
    for (int64_t row = begin; row < end; ++row) {
      const Float16Lanes value = Load(x + row * tiling.width + channel, kLanes);
      Float16Lanes gradient = Load(dy + row * tiling.width + channel, kLanes);
      if (kRelu) gradient = ZeroUnlessPositive(value * factor + offset, gradient);
      sum += gradient;
      sum_x += gradient * (value - middle);
    }
    AddTo(sums.data() + channel, sum);
    AddTo(sums_x.data() + channel, sum_x);
  });
  Fold(sums, channels, sum_dy);
  Fold(sums_x, channels, sum_dy_x);
  for (int64_t i = tiling.done * channels; i < rows * channels; ++i) {
    const int64_t c = i % channels;
    const Float16Lanes value = Load(x + i, 1);
    Float16Lanes gradient = Load(dy + i, 1);
    if (kRelu) gradient = ZeroUnlessPositive(value * scale[c] + shift[c], gradient);
    sum_dy[c] += static_cast<double>(gradient[0]);
    sum_dy_x[c] += static_cast<double>(gradient[0]) * static_cast<double>(value[0] - center[c]);
  }
}

template <bool kRelu, typename T>
CANOPY_INLINE void BackwardInputImpl(const T* x, const T* dy, int64_t rows, int64_t channels,
                                     const BackwardCoefficients& coefficients, const float* scale,
                                     const float* shift, T* dx) {
  const Tiling tiling(rows, channels);
  const std::vector<float> all_a = tiling.Repeat(coefficients.a, channels);
  const std::vector<float> all_b = tiling.Repeat(coefficients.b, channels);
  const std::vector<float> all_c = tiling.Repeat(coefficients.c, channels);
  const std::vector<float> factors = tiling.Repeat(scale, channels);
  const std::vector<float> offsets = tiling.Repeat(shift, channels);
  ForEachBlock(tiling, [&](int64_t begin, int64_t end, int64_t channel) CANOPY_INLINE_CALL {
    const Float16Lanes a = Load(all_a.data() + channel, kLanes);
    const Float16Lanes b = Load(all_b.data() + channel, kLanes);
    const Float16Lanes c = Load(all_c.data() + channel, kLanes);
    const Float16Lanes factor = Load(factors.data() + channel, kLanes);
    const Float16Lanes offset = Load(offsets.data() + channel, kLanes);
    for (int64_t row = begin; row < end; ++row) {
      const Float16Lanes value = Load(x + row * tiling.width + channel, kLanes);
      Float16Lanes gradient = Load(dy + row * tiling.width + channel, kLanes);
      if (kRelu) gradient = ZeroUnlessPositive(value * factor + offset, gradient);
      Store(a * gradient + b * value + c, dx + row * tiling.width + channel, kLanes);
    }
  });
  for (int64_t i = tiling.done * channels; i < rows * channels; ++i) {
    const int64_t c = i % channels;
    const Float16Lanes value = Load(x + i, 1);
    Float16Lanes gradient = Load(dy + i, 1);
    if (kRelu) gradient = ZeroUnlessPositive(value * scale[c] + shift[c], gradient);
    Store(coefficients.a[c] * gradient + coefficients.b[c] * value + coefficients.c[c], dx + i, 1);
  }
}

}  // namespace

CANOPY_VECTORIZED void BatchStatistics(const float* x, int64_t rows, int64_t channels, double* mean,
                                       double* variance) {
  BatchStatisticsImpl(x, rows, channels, mean, variance);
}

CANOPY_VECTORIZED void BatchStatistics(const uint16_t* x, int64_t rows, int64_t channels, double* mean,
                                       double* variance) {
  BatchStatisticsImpl(x, rows, channels, mean, variance);
}

CANOPY_VECTORIZED void ScaleShift(const float* x, int64_t rows, int64_t channels, const float* scale,
                                  const float* shift, bool relu, float* y) {
  if (relu) {
    ScaleShiftImpl<true>(x, rows, channels, scale, shift, y);
  } else {
    ScaleShiftImpl<false>(x, rows, channels, scale, shift, y);
  }
}

CANOPY_VECTORIZED void ScaleShift(const uint16_t* x, int64_t rows, int64_t channels, const float* scale,
                                  const float* shift, bool relu, uint16_t* y) {
  if (relu) {
    ScaleShiftImpl<true>(x, rows, channels, scale, shift, y);
  } else {
    ScaleShiftImpl<false>(x, rows, channels, scale, shift, y);
  }
}

CANOPY_VECTORIZED void ScaledSum(std::span<const ScaledInput<float>> inputs, int64_t rows, int64_t channels,
                                 bool relu, float* y) {
  if (relu) {
    ScaledSumImpl<true>(inputs, rows, channels, y);
  } else {
    ScaledSumImpl<false>(inputs, rows, channels, y);
  }
}

CANOPY_VECTORIZED void ScaledSum(std::span<const ScaledInput<uint16_t>> inputs, int64_t rows,
                                 int64_t channels, bool relu, uint16_t* y) {
  if (relu) {
    ScaledSumImpl<true>(inputs, rows, channels, y);
  } else {
    ScaledSumImpl<false>(inputs, rows, channels, y);
  }
}

CANOPY_VECTORIZED void BackwardSums(const float* x, const float* dy, int64_t rows, int64_t channels,
                                    const float* center, const float* scale, const float* shift, bool relu,
                                    double* sum_dy, double* sum_dy_x) {
  if (relu) {
    BackwardSumsImpl<true>(x, dy, rows, channels, center, scale, shift, sum_dy, sum_dy_x);
  } else {
    BackwardSumsImpl<false>(x, dy, rows, channels, center, scale, shift, sum_dy, sum_dy_x);
  }
}

CANOPY_VECTORIZED void BackwardSums(const uint16_t* x, const uint16_t* dy, int64_t rows, int64_t channels,
                                    const float* center, const float* scale, const float* shift, bool relu,
                                    double* sum_dy, double* sum_dy_x) {
  if (relu) {
    BackwardSumsImpl<true>(x, dy, rows, channels, center, scale, shift, sum_dy, sum_dy_x);
  } else {
    BackwardSumsImpl<false>(x, dy, rows, channels, center, scale, shift, sum_dy, sum_dy_x);
  }
}

CANOPY_VECTORIZED void BackwardInput(const float* x, const float* dy, int64_t rows, int64_t channels,
                                     const BackwardCoefficients& coefficients, const float* scale,
                                     const float* shift, bool relu, float* dx) {
  if (relu) {
    BackwardInputImpl<true>(x, dy, rows, channels, coefficients, scale, shift, dx);
  } else {
    BackwardInputImpl<false>(x, dy, rows, channels, coefficients, scale, shift, dx);
  }
}

CANOPY_VECTORIZED void BackwardInput(const uint16_t* x, const uint16_t* dy, int64_t rows, int64_t channels,
                                     const BackwardCoefficients& coefficients, const float* scale,
                                     const float* shift, bool relu, uint16_t* dx) {
  if (relu) {
    BackwardInputImpl<true>(x, dy, rows, channels, coefficients, scale, shift, dx);
  } else {
    BackwardInputImpl<false>(x, dy, rows, channels, coefficients, scale, shift, dx);
  }
}

}  // namespace canopy::trainer
