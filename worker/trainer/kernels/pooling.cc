#include "worker/trainer/kernels/pooling.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "worker/trainer/kernels/vector16.h"

namespace canopy::trainer {
namespace {

// Positions [begin, end) of one dimension.
struct Span {
  int64_t begin = 0, end = 0;
};

// The input positions of output position `at`, without padding.
CANOPY_INLINE Span InputsOf(int64_t at, const PoolShape& shape, int64_t size) {
  const int64_t from = at * shape.stride - shape.padding;
  return {std::max<int64_t>(0, from), std::min(size, from + shape.kernel)};
}

// The output positions whose window holds input position `at`.
CANOPY_INLINE Span OutputsOf(int64_t at, const PoolShape& shape, int64_t out_size) {
  const int64_t past = at + shape.padding - shape.kernel;
  return {past < 0 ? 0 : past / shape.stride + 1,
          std::min(out_size, (at + shape.padding) / shape.stride + 1)};
}

// Plain loops over channels, for the loop vectoriser: comparisons of vector types are taken apart before the
// compiler knows which processor a clone is for.
CANOPY_INLINE float ToFloat(float value) { return value; }
CANOPY_INLINE float ToFloat(uint16_t value) {
  const uint32_t bits = static_cast<uint32_t>(value) << 16;
  float wide;
  std::memcpy(&wide, &bits, sizeof wide);
  return wide;
}
CANOPY_INLINE void Round(float value, float& to) { to = value; }
CANOPY_INLINE void Round(float value, uint16_t& to) {  // to the nearest, ties to even
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  to = static_cast<uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

template <typename T>
CANOPY_INLINE void MaxPoolForwardImpl(const PoolShape& s, const T* x, T* y, uint16_t* where) {
  std::vector<float> best_of(static_cast<size_t>(s.channels));
  std::vector<int32_t> position_of(best_of.size());
  float* __restrict best = best_of.data();
  int32_t* __restrict position = position_of.data();
  for (int64_t n = 0; n < s.count; ++n, x += s.height * s.width * s.channels) {
    for (int64_t oy = 0; oy < s.out_height; ++oy) {
      const Span rows = InputsOf(oy, s, s.height);
      const int64_t top = oy * s.stride - s.padding;
      for (int64_t ox = 0; ox < s.out_width; ++ox, y += s.channels) {
        const Span columns = InputsOf(ox, s, s.width);
        const int64_t left = ox * s.stride - s.padding;
        const auto first = static_cast<int32_t>((rows.begin - top) * s.kernel + columns.begin - left);
        for (int64_t c = 0; c < s.channels; ++c) {
          best[c] = ToFloat(x[(rows.begin * s.width + columns.begin) * s.channels + c]);
          position[c] = first;
        }
        for (int64_t iy = rows.begin; iy < rows.end; ++iy) {
          for (int64_t ix = columns.begin; ix < columns.end; ++ix) {
            const T* __restrict input = x + (iy * s.width + ix) * s.channels;
            const auto here = static_cast<int32_t>((iy - top) * s.kernel + ix - left);
            for (int64_t c = 0; c < s.channels; ++c) {
              const float value = ToFloat(input[c]);
              const bool larger = (value > best[c]) | (value != value);
              best[c] = larger ? value : best[c];
              position[c] = larger ? here : position[c];
            }
          }
        }
        for (int64_t c = 0; c < s.channels; ++c) Round(best[c], y[c]);
        if (where == nullptr) continue;
        for (int64_t c = 0; c < s.channels; ++c) where[c] = static_cast<uint16_t>(position[c]);
        where += s.channels;
      }
    }
  }
}

// Gathers: each input position takes what the windows that hold it send there. Add(sum, at, oy, ox, iy, ix)
// adds for each channel what the output position at dy[at...] sends.
template <typename T, typename Add>
CANOPY_INLINE void BackwardImpl(const PoolShape& s, T* dx, const Add& add) {
  std::vector<float> sum_of(static_cast<size_t>(s.channels));
  float* __restrict sum = sum_of.data();
  for (int64_t n = 0; n < s.count; ++n) {
    const int64_t image = n * s.out_height * s.out_width;
    for (int64_t iy = 0; iy < s.height; ++iy) {
      const Span rows = OutputsOf(iy, s, s.out_height);
      for (int64_t ix = 0; ix < s.width; ++ix, dx += s.channels) {
        const Span columns = OutputsOf(ix, s, s.out_width);
        std::fill(sum, sum + s.channels, 0.0F);
        for (int64_t oy = rows.begin; oy < rows.end; ++oy)
          for (int64_t ox = columns.begin; ox < columns.end; ++ox)
            add(sum, (image + oy * s.out_width + ox) * s.channels, oy, ox, iy, ix);
        for (int64_t c = 0; c < s.channels; ++c) Round(sum[c], dx[c]);
      }
    }
  }
}

template <typename T>
CANOPY_INLINE void MaxPoolBackwardImpl(const PoolShape& s, const T* dy, const uint16_t* where, T* dx) {
  BackwardImpl(s, dx,
               [&](float* __restrict sum, int64_t at, int64_t oy, int64_t ox, int64_t iy, int64_t ix)
                   CANOPY_INLINE_CALL {
                     const auto here = static_cast<uint16_t>((iy - oy * s.stride + s.padding) * s.kernel +
                                                             ix - ox * s.stride + s.padding);
                     const T* __restrict gradient = dy + at;
                     const uint16_t* __restrict taken = where + at;
                     for (int64_t c = 0; c < s.channels; ++c) {
                       const float value = ToFloat(gradient[c]);
                       sum[c] += taken[c] == here ? value : 0.0F;
                     }
                   });
}

// 1 / the number of positions that the mean at an output position counts.
CANOPY_INLINE float MeanFactor(const PoolShape& s, bool count_include_pad, int64_t oy, int64_t ox) {
  const auto counted = [&](int64_t at, int64_t size) CANOPY_INLINE_CALL {
    if (!count_include_pad) {
      const Span span = InputsOf(at, s, size);
      return span.end - span.begin;
    }
    const int64_t from = at * s.stride - s.padding;
    return std::min(size + s.padding, from + s.kernel) - from;
  };
  return 1 / static_cast<float>(counted(oy, s.height) * counted(ox, s.width));
}

template <typename T>
CANOPY_INLINE void AvgPoolForwardImpl(const PoolShape& s, bool count_include_pad, const T* x, T* y) {
  std::vector<float> sum_of(static_cast<size_t>(s.channels));
  float* __restrict sum = sum_of.data();
  for (int64_t n = 0; n < s.count; ++n, x += s.height * s.width * s.channels) {
    for (int64_t oy = 0; oy < s.out_height; ++oy) {
      const Span rows = InputsOf(oy, s, s.height);
      for (int64_t ox = 0; ox < s.out_width; ++ox, y += s.channels) {
        const Span columns = InputsOf(ox, s, s.width);
        const float factor = MeanFactor(s, count_include_pad, oy, ox);
        std::fill(sum, sum + s.channels, 0.0F);
        for (int64_t iy = rows.begin; iy < rows.end; ++iy) {
          for (int64_t ix = columns.begin; ix < columns.end; ++ix) {
            const T* __restrict input = x + (iy * s.width + ix) * s.channels;
            for (int64_t c = 0; c < s.channels; ++c) sum[c] += ToFloat(input[c]);
          }
        }
        for (int64_t c = 0; c < s.channels; ++c) Round(sum[c] * factor, y[c]);
      }
    }
  }
}

template <typename T>
CANOPY_INLINE void AvgPoolBackwardImpl(const PoolShape& s, bool count_include_pad, const T* dy, T* dx) {
  BackwardImpl(s, dx,
               [&](float* __restrict sum, int64_t at, int64_t oy, int64_t ox, int64_t, int64_t)
                   CANOPY_INLINE_CALL {
                     const float factor = MeanFactor(s, count_include_pad, oy, ox);
                     const T* __restrict gradient = dy + at;
                     for (int64_t c = 0; c < s.channels; ++c) sum[c] += ToFloat(gradient[c]) * factor;
                   });
}

}  // namespace

CANOPY_VECTORIZED void MaxPoolForward(const PoolShape& shape, const float* x, float* y, uint16_t* where) {
  MaxPoolForwardImpl(shape, x, y, where);
}

CANOPY_VECTORIZED void MaxPoolForward(const PoolShape& shape, const uint16_t* x, uint16_t* y,
                                      uint16_t* where) {
  MaxPoolForwardImpl(shape, x, y, where);
}

CANOPY_VECTORIZED void MaxPoolBackward(const PoolShape& shape, const float* dy, const uint16_t* where,
                                       float* dx) {
  MaxPoolBackwardImpl(shape, dy, where, dx);
}

CANOPY_VECTORIZED void MaxPoolBackward(const PoolShape& shape, const uint16_t* dy, const uint16_t* where,
                                       uint16_t* dx) {
  MaxPoolBackwardImpl(shape, dy, where, dx);
}

CANOPY_VECTORIZED void AvgPoolForward(const PoolShape& shape, bool count_include_pad, const float* x,
                                      float* y) {
  AvgPoolForwardImpl(shape, count_include_pad, x, y);
}

CANOPY_VECTORIZED void AvgPoolForward(const PoolShape& shape, bool count_include_pad, const uint16_t* x,
                                      uint16_t* y) {
  AvgPoolForwardImpl(shape, count_include_pad, x, y);
}

CANOPY_VECTORIZED void AvgPoolBackward(const PoolShape& shape, bool count_include_pad, const float* dy,
                                       float* dx) {
  AvgPoolBackwardImpl(shape, count_include_pad, dy, dx);
}

CANOPY_VECTORIZED void AvgPoolBackward(const PoolShape& shape, bool count_include_pad, const uint16_t* dy,
                                       uint16_t* dx) {
  AvgPoolBackwardImpl(shape, count_include_pad, dy, dx);
}

}  // namespace canopy::trainer
