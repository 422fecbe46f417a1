#include "worker/trainer/kernels/batch_norm.h"

#include <algorithm>

#include "worker/trainer/kernels/vector16.h"

namespace canopy::trainer {
namespace {

// Rows whose sums are kept in single precision before they go to double; with 64 channels of bf16 such a
// block is half of a first-level cache.
constexpr int64_t kBlockRows = 128;

// Calls body(first row, end row, channel, lane count, first new lane) block by block, each block for 16
// channels at a time. The last 16 of, say, 24 channels overlap those before: computing some twice is
// cheaper than loading parts of a register. Below 16 channels the lane count is what there is.
template <typename Body>
CANOPY_INLINE void ForEachBlock(int64_t rows, int64_t channels, const Body& body) {
  for (int64_t row = 0; row < rows; row += kBlockRows) {
    const int64_t end = std::min(rows, row + kBlockRows);
    if (channels < kLanes) {
      body(row, end, 0, channels, 0);
      continue;
    }
    for (int64_t channel = 0; channel < channels; channel += kLanes) {
      const int64_t overlap = std::max<int64_t>(0, channel + kLanes - channels);
      body(row, end, channel - overlap, kLanes, overlap);
    }
  }
}

CANOPY_INLINE void AddTo(double* sums, Float16Lanes lanes, int64_t count, int64_t first) {
  for (int64_t i = first; i < count; ++i) sums[i] += static_cast<double>(lanes[i]);
}

// Sums are of differences from the first row, so that a mean far from zero doesn't cancel the variance.
template <typename T>
CANOPY_INLINE void BatchStatisticsImpl(const T* x, int64_t rows, int64_t channels, double* mean,
                                       double* variance) {
  std::fill(mean, mean + channels, 0.0);
  std::fill(variance, variance + channels, 0.0);
  ForEachBlock(rows, channels,
               [&](int64_t begin, int64_t end, int64_t channel, int64_t count, int64_t first)
                   CANOPY_INLINE_CALL {
                     const Float16Lanes origin = Load(x + channel, count);
                     Float16Lanes sum{};
                     Float16Lanes squares{};
                     for (int64_t row = begin; row < end; ++row) {
                       const Float16Lanes value = Load(x + row * channels + channel, count) - origin;
                       sum += value;
                       squares += value * value;
                     }
                     AddTo(mean + channel, sum, count, first);
                     AddTo(variance + channel, squares, count, first);
                   });
  const double scale = 1.0 / static_cast<double>(rows);
  for (int64_t c = 0; c < channels; ++c) {
    const double offset = mean[c] * scale;
    variance[c] = std::max(0.0, variance[c] * scale - offset * offset);
    mean[c] = offset + static_cast<double>(Load(x + c, 1)[0]);
  }
}

template <bool kRelu, typename T>
CANOPY_INLINE void ScaleShiftImpl(const T* x, int64_t rows, int64_t channels, const float* scale,
                                  const float* shift, T* y) {
  ForEachBlock(rows, channels,
               [&](int64_t begin, int64_t end, int64_t channel, int64_t count, int64_t) CANOPY_INLINE_CALL {
                 const Float16Lanes factor = Load(scale + channel, count);
                 const Float16Lanes offset = Load(shift + channel, count);
                 for (int64_t row = begin; row < end; ++row) {
                   Float16Lanes value = Load(x + row * channels + channel, count) * factor + offset;
                   if (kRelu) value = ZeroUnlessPositive(value, value);
                   Store(value, y + row * channels + channel, count);
                 }
               });
}

template <bool kRelu, typename T>
CANOPY_INLINE void BackwardSumsImpl(const T* x, const T* dy, int64_t rows, int64_t channels,
                                    const float* center, const float* scale, const float* shift,
                                    double* sum_dy, double* sum_dy_x) {
  std::fill(sum_dy, sum_dy + channels, 0.0);
  std::fill(sum_dy_x, sum_dy_x + channels, 0.0);
  ForEachBlock(rows, channels,
               [&](int64_t begin, int64_t end, int64_t channel, int64_t count, int64_t first)
                   CANOPY_INLINE_CALL {
                     const Float16Lanes middle = Load(center + channel, count);
                     const Float16Lanes factor = Load(scale + channel, count);
                     const Float16Lanes offset = Load(shift + channel, count);
                     Float16Lanes sum{};
                     Float16Lanes sum_x{};
                     for (int64_t row = begin; row < end; ++row) {
                       const Float16Lanes value = Load(x + row * channels + channel, count);
                       Float16Lanes gradient = Load(dy + row * channels + channel, count);
                       if (kRelu) gradient = ZeroUnlessPositive(value * factor + offset, gradient);
                       sum += gradient;
                       sum_x += gradient * (value - middle);
                     }
                     AddTo(sum_dy + channel, sum, count, first);
                     AddTo(sum_dy_x + channel, sum_x, count, first);
                   });
}

template <bool kRelu, typename T>
CANOPY_INLINE void BackwardInputImpl(const T* x, const T* dy, int64_t rows, int64_t channels,
                                     const BackwardCoefficients& coefficients, const float* scale,
                                     const float* shift, T* dx) {
  ForEachBlock(rows, channels,
               [&](int64_t begin, int64_t end, int64_t channel, int64_t count, int64_t) CANOPY_INLINE_CALL {
                 const Float16Lanes a = Load(coefficients.a + channel, count);
                 const Float16Lanes b = Load(coefficients.b + channel, count);
                 const Float16Lanes c = Load(coefficients.c + channel, count);
                 const Float16Lanes factor = Load(scale + channel, count);
                 const Float16Lanes offset = Load(shift + channel, count);
                 for (int64_t row = begin; row < end; ++row) {
                   const Float16Lanes value = Load(x + row * channels + channel, count);
                   Float16Lanes gradient = Load(dy + row * channels + channel, count);
                   if (kRelu) gradient = ZeroUnlessPositive(value * factor + offset, gradient);
                   Store(a * gradient + b * value + c, dx + row * channels + channel, count);
                 }
               });
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
