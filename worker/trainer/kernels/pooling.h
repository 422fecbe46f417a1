#pragma once

#include <cstdint>

namespace canopy::trainer {

// Pooling of dense channels-last images [count][height][width][channels] over a square window, for fp32 and
// bf16 elements (16 bits each, given as uint16_t). Sums are in fp32 and rounded once. Vectorised over
// channels, single-threaded, deterministic.
struct PoolShape {
  int64_t count = 0, height = 0, width = 0, channels = 0;  // of the input
  int64_t out_height = 0, out_width = 0;
  int64_t kernel = 1, stride = 1, padding = 0;
};

// Of operators max_pool and avg_pool too: positions in a window fit 16 bits.
inline constexpr int64_t kMaxPoolKernel = 255;

// The largest of each window, NaN before all; padding is never the largest. `where` (unless null) gets its
// position in the window, row by row, the first of equal ones. REQUIRES kernel <= kMaxPoolKernel.
void MaxPoolForward(const PoolShape& shape, const float* x, float* y, uint16_t* where);
void MaxPoolForward(const PoolShape& shape, const uint16_t* x, uint16_t* y, uint16_t* where);
void MaxPoolBackward(const PoolShape& shape, const float* dy, const uint16_t* where, float* dx);
void MaxPoolBackward(const PoolShape& shape, const uint16_t* dy, const uint16_t* where, uint16_t* dx);

// The mean of each window: padding counts as zeros where `count_include_pad`, and not at all otherwise.
void AvgPoolForward(const PoolShape& shape, bool count_include_pad, const float* x, float* y);
void AvgPoolForward(const PoolShape& shape, bool count_include_pad, const uint16_t* x, uint16_t* y);
void AvgPoolBackward(const PoolShape& shape, bool count_include_pad, const float* dy, float* dx);
void AvgPoolBackward(const PoolShape& shape, bool count_include_pad, const uint16_t* dy, uint16_t* dx);

}  // namespace canopy::trainer
