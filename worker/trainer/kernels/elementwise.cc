#include "worker/trainer/kernels/elementwise.h"

#include <algorithm>

#include "worker/trainer/kernels/vector16.h"

namespace canopy::trainer {
namespace {

constexpr uint16_t kBf16Infinity = 0x7f80;

template <typename T>
CANOPY_INLINE void SumImpl(std::span<const T* const> inputs, int64_t count, T* out) {
  for (int64_t i = 0; i < count; i += kLanes) {
    const int64_t lanes = std::min(kLanes, count - i);
    const auto add_all = [&](int64_t width) CANOPY_INLINE_CALL {
      Float16Lanes sum = Load(inputs[0] + i, width);
      for (const T* input : inputs.subspan(1)) sum += Load(input + i, width);
      Store(sum, out + i, width);
    };
    if (lanes == kLanes) {
      add_all(kLanes);
    } else {
      add_all(lanes);
    }
  }
}

}  // namespace

CANOPY_VECTORIZED void Relu(const float* x, int64_t count, float* y) {
  for (int64_t i = 0; i < count; ++i) y[i] = x[i] <= 0 ? 0.0F : x[i];
}

// On the bits: what is below zero has the sign bit and is no NaN.
CANOPY_VECTORIZED void Relu(const uint16_t* x, int64_t count, uint16_t* y) {
  for (int64_t i = 0; i < count; ++i) {
    const bool negative = static_cast<int16_t>(x[i]) < 0 && (x[i] & 0x7fff) <= kBf16Infinity;
    y[i] = negative ? uint16_t{0} : x[i];
  }
}

CANOPY_VECTORIZED void ReluBackward(const float* y, const float* dy, int64_t count, float* dx) {
  for (int64_t i = 0; i < count; ++i) {
    const float gradient = dy[i];  // read in any case, or the loop is not vectorised
    dx[i] = y[i] <= 0 ? 0.0F : gradient;
  }
}

CANOPY_VECTORIZED void ReluBackward(const uint16_t* y, const uint16_t* dy, int64_t count, uint16_t* dx) {
  for (int64_t i = 0; i < count; ++i) {
    const uint16_t gradient = dy[i];
    dx[i] = y[i] == 0 ? uint16_t{0} : gradient;
  }
}

CANOPY_VECTORIZED void Sum(std::span<const float* const> inputs, int64_t count, float* out) {
  SumImpl(inputs, count, out);
}

CANOPY_VECTORIZED void Sum(std::span<const uint16_t* const> inputs, int64_t count, uint16_t* out) {
  SumImpl(inputs, count, out);
}

}  // namespace canopy::trainer
