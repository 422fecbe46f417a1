#pragma once

#include <cstdint>
#include <span>

namespace canopy::trainer {

// Batch normalisation over a dense [rows][channels] matrix (channels-last images: rows = N * H * W), for
// fp32 and bf16 elements (16 bits each, given as uint16_t). Vectorised, single-threaded, deterministic;
// sums are kept in blocks, so that they don't lose digits over millions of rows.

// Mean and biased variance per channel.
void BatchStatistics(const float* x, int64_t rows, int64_t channels, double* mean, double* variance);
void BatchStatistics(const uint16_t* x, int64_t rows, int64_t channels, double* mean, double* variance);

// y = x * scale + shift per channel; then max(y, 0) where `relu`.
void ScaleShift(const float* x, int64_t rows, int64_t channels, const float* scale, const float* shift,
                bool relu, float* y);
void ScaleShift(const uint16_t* x, int64_t rows, int64_t channels, const float* scale, const float* shift,
                bool relu, uint16_t* y);

// y = the sum of x * scale + shift over the inputs, rounded once; then max(y, 0) where `relu`. Null scale and
// shift: the input as it is. REQUIRES at least one input.
template <typename T>
struct ScaledInput {
  const T* x;
  const float* scale = nullptr;
  const float* shift = nullptr;
};
void ScaledSum(std::span<const ScaledInput<float>> inputs, int64_t rows, int64_t channels, bool relu,
               float* y);
void ScaledSum(std::span<const ScaledInput<uint16_t>> inputs, int64_t rows, int64_t channels, bool relu,
               uint16_t* y);

// sum_dy = sum of dy, sum_dy_x = sum of dy * (x - center), per channel. Where `relu`, dy counts only where
// x * scale + shift > 0 (or is NaN): the ReLU behind the normalisation.
void BackwardSums(const float* x, const float* dy, int64_t rows, int64_t channels, const float* center,
                  const float* scale, const float* shift, bool relu, double* sum_dy, double* sum_dy_x);
void BackwardSums(const uint16_t* x, const uint16_t* dy, int64_t rows, int64_t channels, const float* center,
                  const float* scale, const float* shift, bool relu, double* sum_dy, double* sum_dy_x);

// dx = a * dy + b * x + c per channel, with dy masked as in BackwardSums.
struct BackwardCoefficients {
  const float* a;
  const float* b;
  const float* c;
};
void BackwardInput(const float* x, const float* dy, int64_t rows, int64_t channels,
                   const BackwardCoefficients& coefficients, const float* scale, const float* shift,
                   bool relu, float* dx);
void BackwardInput(const uint16_t* x, const uint16_t* dy, int64_t rows, int64_t channels,
                   const BackwardCoefficients& coefficients, const float* scale, const float* shift,
                   bool relu, uint16_t* dx);

}  // namespace canopy::trainer
