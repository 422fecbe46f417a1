#include "worker/trainer/kernels/pooling.h"

#include <algorithm>
#include <limits>

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

// Calls body(channel, lane count): 16 at a time, then 8, then what is left; the count is a constant in the
// first two.
template <typename Body>
CANOPY_INLINE void ForEachLanes(int64_t channels, const Body& body) {
  int64_t c = 0;
  for (; c + kLanes <= channels; c += kLanes) body(c, kLanes);
  if (c + kLanes / 2 <= channels) {
    body(c, kLanes / 2);
    c += kLanes / 2;
  }
  if (c < channels) body(c, channels - c);
}

// The lanes of `chosen` where `mask` is set, else those of `other`.
CANOPY_INLINE Float16Lanes Select(Int16Lanes mask, Float16Lanes chosen, Float16Lanes other) {
  Int16Lanes a;
  Int16Lanes b;
  std::memcpy(&a, &chosen, sizeof a);
  std::memcpy(&b, &other, sizeof b);
  a = (a & mask) | (b & ~mask);
  std::memcpy(&other, &a, sizeof a);
  return other;
}

CANOPY_INLINE Int16Lanes LoadBytes(const uint8_t* from, int64_t count) {
  Byte16Lanes bytes{};
  std::memcpy(&bytes, from, static_cast<size_t>(count));
  return __builtin_convertvector(bytes, Int16Lanes);
}

CANOPY_INLINE void StoreBytes(Int16Lanes lanes, uint8_t* to, int64_t count) {
  const Byte16Lanes bytes = __builtin_convertvector(lanes, Byte16Lanes);
  std::memcpy(to, &bytes, static_cast<size_t>(count));
}

template <typename T>
CANOPY_INLINE void MaxPoolForwardImpl(const PoolShape& s, const T* x, T* y, uint8_t* where) {
  for (int64_t n = 0; n < s.count; ++n, x += s.height * s.width * s.channels) {
    for (int64_t oy = 0; oy < s.out_height; ++oy) {
      const Span rows = InputsOf(oy, s, s.height);
      for (int64_t ox = 0; ox < s.out_width; ++ox) {
        const Span columns = InputsOf(ox, s, s.width);
        const int64_t top = oy * s.stride - s.padding;
        const int64_t left = ox * s.stride - s.padding;
        ForEachLanes(s.channels, [&](int64_t c, int64_t count) CANOPY_INLINE_CALL {
          Float16Lanes best = Broadcast(-std::numeric_limits<float>::infinity());
          Int16Lanes at =
              Int16Lanes{} + static_cast<int32_t>((rows.begin - top) * s.kernel + columns.begin - left);
          for (int64_t iy = rows.begin; iy < rows.end; ++iy) {
            for (int64_t ix = columns.begin; ix < columns.end; ++ix) {
              const Float16Lanes value = Load(x + (iy * s.width + ix) * s.channels + c, count);
              const Int16Lanes larger = (value > best) | (value != value);
              const auto position = static_cast<int32_t>((iy - top) * s.kernel + ix - left);
              best = Select(larger, value, best);
              at = (larger & position) | (~larger & at);
            }
          }
          Store(best, y + c, count);
          if (where != nullptr) StoreBytes(at, where + c, count);
        });
        y += s.channels;
        if (where != nullptr) where += s.channels;
      }
    }
  }
}

// Gathers: each input position takes what the windows that hold it send there.
template <typename T, typename Take>
CANOPY_INLINE void BackwardImpl(const PoolShape& s, const T* dy, T* dx, const Take& take) {
  for (int64_t n = 0; n < s.count; ++n) {
    const int64_t image = n * s.out_height * s.out_width;
    for (int64_t iy = 0; iy < s.height; ++iy) {
      const Span rows = OutputsOf(iy, s, s.out_height);
      for (int64_t ix = 0; ix < s.width; ++ix, dx += s.channels) {
        const Span columns = OutputsOf(ix, s, s.out_width);
        ForEachLanes(s.channels, [&](int64_t c, int64_t count) CANOPY_INLINE_CALL {
          Float16Lanes sum{};
          for (int64_t oy = rows.begin; oy < rows.end; ++oy) {
            for (int64_t ox = columns.begin; ox < columns.end; ++ox) {
              const int64_t at = (image + oy * s.out_width + ox) * s.channels + c;
              sum += take(Load(dy + at, count), at, count, oy, ox, iy, ix);
            }
          }
          Store(sum, dx + c, count);
        });
      }
    }
  }
}

template <typename T>
CANOPY_INLINE void MaxPoolBackwardImpl(const PoolShape& s, const T* dy, const uint8_t* where, T* dx) {
  BackwardImpl(s, dy, dx,
               [&](Float16Lanes gradient, int64_t at, int64_t count, int64_t oy, int64_t ox, int64_t iy,
                   int64_t ix) CANOPY_INLINE_CALL {
                 const auto position = static_cast<int32_t>((iy - oy * s.stride + s.padding) * s.kernel + ix -
                                                            ox * s.stride + s.padding);
                 return Select(LoadBytes(where + at, count) == position, gradient, Float16Lanes{});
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
  for (int64_t n = 0; n < s.count; ++n, x += s.height * s.width * s.channels) {
    for (int64_t oy = 0; oy < s.out_height; ++oy) {
      const Span rows = InputsOf(oy, s, s.height);
      for (int64_t ox = 0; ox < s.out_width; ++ox, y += s.channels) {
        const Span columns = InputsOf(ox, s, s.width);
        const float factor = MeanFactor(s, count_include_pad, oy, ox);
        ForEachLanes(s.channels, [&](int64_t c, int64_t count) CANOPY_INLINE_CALL {
          Float16Lanes sum{};
          for (int64_t iy = rows.begin; iy < rows.end; ++iy)
            for (int64_t ix = columns.begin; ix < columns.end; ++ix)
              sum += Load(x + (iy * s.width + ix) * s.channels + c, count);
          Store(sum * factor, y + c, count);
        });
      }
    }
  }
}

template <typename T>
CANOPY_INLINE void AvgPoolBackwardImpl(const PoolShape& s, bool count_include_pad, const T* dy, T* dx) {
  BackwardImpl(s, dy, dx,
               [&](Float16Lanes gradient, int64_t, int64_t, int64_t oy, int64_t ox, int64_t, int64_t)
                   CANOPY_INLINE_CALL { return gradient * MeanFactor(s, count_include_pad, oy, ox); });
}

}  // namespace

CANOPY_VECTORIZED void MaxPoolForward(const PoolShape& shape, const float* x, float* y, uint8_t* where) {
  MaxPoolForwardImpl(shape, x, y, where);
}

CANOPY_VECTORIZED void MaxPoolForward(const PoolShape& shape, const uint16_t* x, uint16_t* y,
                                      uint8_t* where) {
  MaxPoolForwardImpl(shape, x, y, where);
}

CANOPY_VECTORIZED void MaxPoolBackward(const PoolShape& shape, const float* dy, const uint8_t* where,
                                       float* dx) {
  MaxPoolBackwardImpl(shape, dy, where, dx);
}

CANOPY_VECTORIZED void MaxPoolBackward(const PoolShape& shape, const uint16_t* dy, const uint8_t* where,
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
