#include "worker/trainer/kernels/winograd.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <new>
#include <vector>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace canopy::trainer {

#if defined(__x86_64__)

#define CANOPY_AVX512 __attribute__((target("avx512f")))
#define CANOPY_AVX512_INLINE __attribute__((target("avx512f"), always_inline)) inline

namespace {

constexpr int64_t kTile = 4;                  // outputs of a tile, in each dimension
constexpr int64_t kPatch = 6;                 // inputs of a tile, in each dimension
constexpr int64_t kPoints = kPatch * kPatch;  // products of a tile, for a pair of channels
constexpr int64_t kVector = 16;
constexpr int64_t kRows = 12;  // tiles that one product of matrices keeps in registers

alignas(64) constexpr float kZeros[kVector] = {};  // a pixel outside of the image

int64_t RoundUp(int64_t value, int64_t to) { return (value + to - 1) / to * to; }

// Uninitialised floats on a cache line's boundary.
class Buffer {
 public:
  explicit Buffer(int64_t count)
      : data_(static_cast<float*>(::operator new[](static_cast<size_t>(count) * sizeof(float), kLine))) {}
  float* data() const { return data_.get(); }

 private:
  static constexpr std::align_val_t kLine{64};
  struct Free {
    void operator()(float* data) const { ::operator delete[](data, kLine); }
  };
  std::unique_ptr<float, Free> data_;
};

struct Tiling {
  explicit Tiling(const WinogradShape& shape)
      : across((shape.out_width() + kTile - 1) / kTile),
        down((shape.out_height() + kTile - 1) / kTile),
        count(shape.count * across * down),
        in_channels(RoundUp(shape.in_channels, kVector)),
        out_channels(RoundUp(shape.out_channels, kVector)) {
    // What a block of tiles is transformed to stays in the second-level cache.
    constexpr int64_t kBlockFloats = 192 * 1024;
    const int64_t fitting = kBlockFloats / (kPoints * (in_channels + out_channels)) / kRows * kRows;
    block = std::min(std::clamp<int64_t>(fitting, 2 * kRows, 8 * kRows), RoundUp(count, kRows));
  }
  int64_t per_image() const { return across * down; }
  // One point of all weights, [in, out]. The extra line keeps the points out of each other's way in the
  // cache.
  int64_t matrix() const { return in_channels * out_channels + kVector; }

  int64_t across, down, count;
  int64_t in_channels, out_channels;  // rounded up to whole registers
  int64_t block;                      // tiles at a time, a multiple of kRows
};

// A block of tiles is kept as [channels / 16, tiles, 36, 16]. All offsets within a tile are constants.
constexpr int64_t kTileFloats = kPoints * kVector;

// Where the kSize x kSize pixels of each tile of an image are; -1 for those outside. `padding` is the
// distance of a tile's first pixel to its first output.
template <int64_t kSize>
std::vector<int32_t> PixelOffsets(const Tiling& tiling, int64_t height, int64_t width, int64_t channels,
                                  int64_t padding) {
  std::vector<int32_t> offsets;
  offsets.reserve(static_cast<size_t>(tiling.per_image() * kSize * kSize));
  for (int64_t tile = 0; tile < tiling.per_image(); ++tile) {
    const int64_t top = tile / tiling.across * kTile - padding;
    const int64_t left = tile % tiling.across * kTile - padding;
    for (int64_t y = top; y < top + kSize; ++y)
      for (int64_t x = left; x < left + kSize; ++x) {
        const bool inside = y >= 0 && y < height && x >= 0 && x < width;
        offsets.push_back(inside ? static_cast<int32_t>((y * width + x) * channels) : -1);
      }
  }
  return offsets;
}

CANOPY_AVX512_INLINE __m512 Times(float factor, __m512 a, __m512 plus) {
  return _mm512_fmadd_ps(_mm512_set1_ps(factor), a, plus);
}

// B^T d, for one column or row of a patch.
CANOPY_AVX512_INLINE void PatchTransform(const __m512 (&d)[kPatch], __m512 (&v)[kPatch]) {
  const __m512 even = Times(-4, d[2], d[4]), odd = Times(-4, d[1], d[3]);
  const __m512 even2 = _mm512_sub_ps(d[4], d[2]), odd2 = _mm512_sub_ps(d[3], d[1]);
  v[0] = Times(4, d[0], Times(-5, d[2], d[4]));
  v[1] = _mm512_add_ps(even, odd);
  v[2] = _mm512_sub_ps(even, odd);
  v[3] = Times(2, odd2, even2);
  v[4] = Times(-2, odd2, even2);
  v[5] = Times(4, d[1], Times(-5, d[3], d[5]));
}

// A^T m.
CANOPY_AVX512_INLINE void OutputTransform(const __m512 (&m)[kPatch], __m512 (&y)[kTile]) {
  const __m512 sum = _mm512_add_ps(m[1], m[2]), difference = _mm512_sub_ps(m[1], m[2]);
  const __m512 sum2 = _mm512_add_ps(m[3], m[4]), difference2 = _mm512_sub_ps(m[3], m[4]);
  y[0] = _mm512_add_ps(m[0], _mm512_add_ps(sum, sum2));
  y[1] = Times(2, difference2, difference);
  y[2] = Times(4, sum2, sum);
  y[3] = _mm512_add_ps(Times(8, difference2, difference), m[5]);
}

// A y, the adjoint of the output transform.
CANOPY_AVX512_INLINE void GradientTransform(const __m512 (&y)[kTile], __m512 (&z)[kPatch]) {
  const __m512 even = _mm512_add_ps(y[0], y[2]), odd = _mm512_add_ps(y[1], y[3]);
  const __m512 even2 = Times(4, y[2], y[0]), odd2 = Times(4, y[3], y[1]);
  z[0] = y[0];
  z[1] = _mm512_add_ps(even, odd);
  z[2] = _mm512_sub_ps(even, odd);
  z[3] = Times(2, odd2, even2);
  z[4] = Times(-2, odd2, even2);
  z[5] = y[3];
}

// G g.
CANOPY_AVX512_INLINE void WeightTransform(const __m512 (&g)[3], __m512 (&u)[kPatch]) {
  const __m512 outer = _mm512_add_ps(g[0], g[2]);
  const __m512 outer4 = Times(4, g[2], g[0]);
  const __m512 zero = _mm512_setzero_ps();
  u[0] = Times(1.0F / 4, g[0], zero);
  u[1] = Times(-1.0F / 6, _mm512_add_ps(outer, g[1]), zero);
  u[2] = Times(-1.0F / 6, _mm512_sub_ps(outer, g[1]), zero);
  u[3] = Times(1.0F / 24, Times(2, g[1], outer4), zero);
  u[4] = Times(1.0F / 24, Times(-2, g[1], outer4), zero);
  u[5] = g[2];
}

// G^T s, the adjoint of the weights' transform.
CANOPY_AVX512_INLINE void WeightGradientTransform(const __m512 (&s)[kPatch], __m512 (&g)[3]) {
  const __m512 sum = _mm512_add_ps(s[1], s[2]), sum2 = _mm512_add_ps(s[3], s[4]);
  const __m512 difference = _mm512_sub_ps(s[2], s[1]), difference2 = _mm512_sub_ps(s[3], s[4]);
  const __m512 zero = _mm512_setzero_ps();
  g[0] = Times(1.0F / 4, s[0], Times(-1.0F / 6, sum, Times(1.0F / 24, sum2, zero)));
  g[1] = Times(1.0F / 6, difference, Times(1.0F / 12, difference2, zero));
  g[2] = Times(1.0F / 6, _mm512_sub_ps(sum2, sum), s[5]);
}

CANOPY_AVX512_INLINE __mmask16 MaskOf(int64_t channels_left) {
  return static_cast<__mmask16>(channels_left >= kVector ? 0xffff : (1 << channels_left) - 1);
}

// Applies a transform of one dimension to both: kFrom x kFrom registers to kTo x kTo. What is read and
// written goes by columns and rows, so that few registers are in use at a time.
template <int64_t kFrom, int64_t kTo, void (*kTransform)(const __m512 (&)[kFrom], __m512 (&)[kTo]),
          typename Source, typename Sink>
CANOPY_AVX512_INLINE void Both(const Source& source, const Sink& sink) {
  __m512 half[kTo * kFrom];
#pragma GCC unroll 16
  for (int64_t j = 0; j < kFrom; ++j) {
    __m512 column[kFrom], transformed[kTo];
#pragma GCC unroll 16
    for (int64_t i = 0; i < kFrom; ++i) column[i] = source.Read(i * kFrom + j);
    kTransform(column, transformed);
#pragma GCC unroll 16
    for (int64_t i = 0; i < kTo; ++i) half[i * kFrom + j] = transformed[i];
  }
#pragma GCC unroll 16
  for (int64_t i = 0; i < kTo; ++i) {
    __m512 row[kFrom], transformed[kTo];
#pragma GCC unroll 16
    for (int64_t j = 0; j < kFrom; ++j) row[j] = half[i * kFrom + j];
    kTransform(row, transformed);
#pragma GCC unroll 16
    for (int64_t j = 0; j < kTo; ++j) sink.Write(i, j, transformed[j]);
  }
}

// Sixteen channels of a tile's pixels.
struct Pixels {
  const float* image;
  const int32_t* offsets;
  __mmask16 mask;
  CANOPY_AVX512_INLINE __m512 Read(int64_t at) const {
    return _mm512_maskz_loadu_ps(mask, offsets[at] >= 0 ? image + offsets[at] : kZeros);
  }
};

// Sixteen channels of a tile's 36 points.
struct Points {
  float* tile;
  CANOPY_AVX512_INLINE __m512 Read(int64_t at) const { return _mm512_load_ps(tile + at * kVector); }
  CANOPY_AVX512_INLINE void Write(int64_t i, int64_t j, __m512 value) const {
    _mm512_store_ps(tile + (i * kPatch + j) * kVector, value);
  }
};

// Sixteen output channels of a filter's 36 points.
struct Planes {
  float* first;
  int64_t plane;
  CANOPY_AVX512_INLINE __m512 Read(int64_t at) const { return _mm512_load_ps(first + at * plane); }
  CANOPY_AVX512_INLINE void Write(int64_t i, int64_t j, __m512 value) const {
    _mm512_store_ps(first + (i * kPatch + j) * plane, value);
  }
};

// What a tile has of an image.
struct OutputPixels {
  float* to;
  int64_t down, right;  // to the next pixel
  int64_t rows, columns;
  __mmask16 mask;
  __m512 shift;
  CANOPY_AVX512_INLINE void Write(int64_t i, int64_t j, __m512 value) const {
    if (i < rows && j < columns)
      _mm512_mask_storeu_ps(to + i * down + j * right, mask, _mm512_add_ps(value, shift));
  }
};

// A filter's nine weights, for sixteen output channels.
struct Filter {
  const float* from;
  float* to;
  int64_t next;
  __mmask16 mask;
  CANOPY_AVX512_INLINE __m512 Read(int64_t at) const { return _mm512_maskz_loadu_ps(mask, from + at * next); }
  CANOPY_AVX512_INLINE void Write(int64_t i, int64_t j, __m512 value) const {
    _mm512_mask_storeu_ps(to + (i * 3 + j) * next, mask, value);
  }
};

// [3, 3, in, out] -> [36, in, out], padded channels zero.
CANOPY_AVX512 void TransformWeights(const WinogradShape& shape, const Tiling& tiling, const float* weight,
                                    float* u) {
  const int64_t next = shape.in_channels * shape.out_channels;
  for (int64_t in = 0; in < tiling.in_channels; ++in)
    for (int64_t out = 0; out < tiling.out_channels; out += kVector) {
      const auto none = static_cast<__mmask16>(0);
      const __mmask16 mask = in < shape.in_channels ? MaskOf(shape.out_channels - out) : none;
      Both<3, kPatch, WeightTransform>(Filter{weight + in * shape.out_channels + out, nullptr, next, mask},
                                       Planes{u + in * tiling.out_channels + out, tiling.matrix()});
    }
}

CANOPY_AVX512 void WriteWeightGradients(const WinogradShape& shape, const Tiling& tiling, float* sums,
                                        float* gradient) {
  const int64_t next = shape.in_channels * shape.out_channels;
  for (int64_t in = 0; in < shape.in_channels; ++in)
    for (int64_t out = 0; out < shape.out_channels; out += kVector) {
      const __mmask16 mask = MaskOf(shape.out_channels - out);
      Both<kPatch, 3, WeightGradientTransform>(
          Planes{sums + in * tiling.out_channels + out, tiling.matrix()},
          Filter{nullptr, gradient + in * shape.out_channels + out, next, mask});
    }
}

// Transforms what tiles [first, first + count) have of channels-last `images`.
template <int64_t kSize, void (*kTransform)(const __m512 (&)[kSize], __m512 (&)[kPatch])>
CANOPY_AVX512_INLINE void TransformTiles(const Tiling& tiling, const std::vector<int32_t>& offsets,
                                         const float* images, int64_t image_size, int64_t channels,
                                         int64_t first, int64_t count, float* to) {
  for (int64_t tile = first; tile < first + count; ++tile, to += kTileFloats) {
    const float* image = images + tile / tiling.per_image() * image_size;
    const int32_t* pixels = offsets.data() + tile % tiling.per_image() * kSize * kSize;
    float* slice = to;
    for (int64_t c = 0; c < channels; c += kVector, slice += tiling.block * kTileFloats)
      Both<kSize, kPatch, kTransform>(Pixels{image + c, pixels, MaskOf(channels - c)}, Points{slice});
  }
}
CANOPY_AVX512 void TransformPatches(const WinogradShape& s, const Tiling& tiling,
                                    const std::vector<int32_t>& offsets, const float* input, int64_t first,
                                    int64_t count, float* v) {
  TransformTiles<kPatch, PatchTransform>(tiling, offsets, input, s.height * s.width * s.in_channels,
                                         s.in_channels, first, count, v);
}
CANOPY_AVX512 void TransformGradients(const WinogradShape& s, const Tiling& tiling,
                                      const std::vector<int32_t>& offsets, const float* gradient,
                                      int64_t first, int64_t count, float* z) {
  TransformTiles<kTile, GradientTransform>(tiling, offsets, gradient,
                                           s.out_height() * s.out_width() * s.out_channels, s.out_channels,
                                           first, count, z);
}

CANOPY_AVX512 void WriteOutputs(const WinogradShape& shape, const Tiling& tiling, float* m, const float* bias,
                                int64_t first, int64_t count, float* out) {
  const int64_t height = shape.out_height(), width = shape.out_width(), channels = shape.out_channels;
  for (int64_t tile = first; tile < first + count; ++tile, m += kTileFloats) {
    const int64_t y = tile % tiling.per_image() / tiling.across * kTile, x = tile % tiling.across * kTile;
    float* to = out + ((tile / tiling.per_image() * height + y) * width + x) * channels;
    float* slice = m;
    for (int64_t c = 0; c < channels; c += kVector, slice += tiling.block * kTileFloats) {
      const __mmask16 mask = MaskOf(channels - c);
      const __m512 shift = bias == nullptr ? _mm512_setzero_ps() : _mm512_maskz_loadu_ps(mask, bias + c);
      Both<kPatch, kTile, OutputTransform>(Points{slice}, OutputPixels{to + c, width * channels, channels,
                                                                       height - y, width - x, mask, shift});
    }
  }
}

// At one point, for kRows tiles and 16 * kVectors output channels: to = sum over the input channels of
// from x by, where `by` is [in, out].
template <int kVectors>
CANOPY_AVX512_INLINE void MultiplyBlock(const Tiling& tiling, const float* from, const float* by, float* to) {
  const int64_t slice = tiling.block * kTileFloats;  // sixteen channels of all tiles
  __m512 sum[kRows][kVectors];
#pragma GCC unroll 16
  for (int64_t r = 0; r < kRows; ++r)
    for (int v = 0; v < kVectors; ++v) sum[r][v] = _mm512_setzero_ps();
  for (int64_t in = 0; in < tiling.in_channels; in += kVector, from += slice)
    for (int64_t i = 0; i < kVector; ++i, by += tiling.out_channels) {
      __m512 factor[kVectors];
      for (int v = 0; v < kVectors; ++v) factor[v] = _mm512_load_ps(by + v * kVector);
#pragma GCC unroll 16
      for (int64_t r = 0; r < kRows; ++r) {
        const __m512 value = _mm512_set1_ps(from[r * kTileFloats + i]);
        for (int v = 0; v < kVectors; ++v) sum[r][v] = _mm512_fmadd_ps(value, factor[v], sum[r][v]);
      }
    }
#pragma GCC unroll 16
  for (int64_t r = 0; r < kRows; ++r)
    for (int v = 0; v < kVectors; ++v) _mm512_store_ps(to + v * slice + r * kTileFloats, sum[r][v]);
}

// For one point of `rows` tiles, a multiple of kRows.
CANOPY_AVX512 void Multiply(const Tiling& tiling, const float* from, int64_t rows, const float* by,
                            float* to) {
  const int64_t slice = tiling.block * kTileFloats;
  int64_t out = 0;
  for (; out + 2 * kVector <= tiling.out_channels; out += 2 * kVector)
    for (int64_t row = 0; row < rows; row += kRows)
      MultiplyBlock<2>(tiling, from + row * kTileFloats, by + out,
                       to + out / kVector * slice + row * kTileFloats);
  if (out == tiling.out_channels) return;
  for (int64_t row = 0; row < rows; row += kRows)
    MultiplyBlock<1>(tiling, from + row * kTileFloats, by + out,
                     to + out / kVector * slice + row * kTileFloats);
}

// At one point, for kCount input and 16 * kVectors output channels: sums [in, out] += sum over the tiles of
// from x by.
template <int kCount, int kVectors>
CANOPY_AVX512_INLINE void AccumulateBlock(const Tiling& tiling, const float* from, const float* by,
                                          int64_t tiles, float* sums) {
  const int64_t slice = tiling.block * kTileFloats;
  __m512 sum[kCount][kVectors];
#pragma GCC unroll 16
  for (int i = 0; i < kCount; ++i)
    for (int v = 0; v < kVectors; ++v)
      sum[i][v] = _mm512_load_ps(sums + i * tiling.out_channels + v * kVector);
  for (int64_t tile = 0; tile < tiles; ++tile, from += kTileFloats, by += kTileFloats) {
    __m512 factor[kVectors];
    for (int v = 0; v < kVectors; ++v) factor[v] = _mm512_load_ps(by + v * slice);
#pragma GCC unroll 16
    for (int i = 0; i < kCount; ++i) {
      const __m512 value = _mm512_set1_ps(from[i]);
      for (int v = 0; v < kVectors; ++v) sum[i][v] = _mm512_fmadd_ps(value, factor[v], sum[i][v]);
    }
  }
#pragma GCC unroll 16
  for (int i = 0; i < kCount; ++i)
    for (int v = 0; v < kVectors; ++v)
      _mm512_store_ps(sums + i * tiling.out_channels + v * kVector, sum[i][v]);
}

CANOPY_AVX512 void Accumulate(const Tiling& tiling, const float* from, const float* by, int64_t tiles,
                              float* sums) {
  const int64_t slice = tiling.block * kTileFloats;
  for (int64_t in = 0; in < tiling.in_channels; in += kVector, from += slice) {
    float* row = sums + in * tiling.out_channels;
    int64_t out = 0;
    for (; out + 2 * kVector <= tiling.out_channels; out += 2 * kVector)
      for (int64_t half = 0; half < kVector; half += 8)
        AccumulateBlock<8, 2>(tiling, from + half, by + out / kVector * slice, tiles,
                              row + half * tiling.out_channels + out);
    if (out < tiling.out_channels)
      AccumulateBlock<16, 1>(tiling, from, by + out / kVector * slice, tiles, row + out);
  }
}

}  // namespace

bool WinogradPays(const WinogradShape& shape) {
  constexpr int64_t kTiles = 64;                // fewer don't repay the weights' transform
  constexpr int64_t kWeights = 512 * 512;       // 36 floats for each pair of channels
  constexpr int64_t kImage = int64_t{1} << 31;  // for offsets of 32 bits
  const auto fills = [](int64_t channels) { return 4 * channels >= 3 * RoundUp(channels, kVector); };
  if (!__builtin_cpu_supports("avx512f") || shape.out_height() < 1 || shape.out_width() < 1) return false;
  return fills(shape.in_channels) && fills(shape.out_channels) &&
         shape.in_channels * shape.out_channels <= kWeights && shape.padding <= 2 &&
         Tiling(shape).count >= kTiles &&
         std::max(shape.height * shape.width, shape.out_height() * shape.out_width()) *
                 std::max(shape.in_channels, shape.out_channels) <
             kImage;
}

void WinogradForward(const WinogradShape& shape, const float* input, const float* weight, const float* bias,
                     float* out) {
  const Tiling tiling(shape);
  const Buffer u(kPoints * tiling.matrix());
  const Buffer v(tiling.block * kPoints * tiling.in_channels);
  const Buffer m(tiling.block * kPoints * tiling.out_channels);
  const std::vector<int32_t> patches =
      PixelOffsets<kPatch>(tiling, shape.height, shape.width, shape.in_channels, shape.padding);
  // Rows behind the last tile are multiplied, too, and their products left alone.
  std::fill(v.data(), v.data() + tiling.block * kPoints * tiling.in_channels, 0.0F);
  TransformWeights(shape, tiling, weight, u.data());
  for (int64_t first = 0; first < tiling.count; first += tiling.block) {
    const int64_t count = std::min(tiling.block, tiling.count - first);
    TransformPatches(shape, tiling, patches, input, first, count, v.data());
    for (int64_t point = 0; point < kPoints; ++point)
      Multiply(tiling, v.data() + point * kVector, RoundUp(count, kRows), u.data() + point * tiling.matrix(),
               m.data() + point * kVector);
    WriteOutputs(shape, tiling, m.data(), bias, first, count, out);
  }
}

void WinogradInputGradient(const WinogradShape& shape, const float* gradient, const float* weight,
                           float* input_gradient) {
  // The convolution of the gradient with the turned weights.
  const WinogradShape turned = {.count = shape.count,
                                .height = shape.out_height(),
                                .width = shape.out_width(),
                                .in_channels = shape.out_channels,
                                .out_channels = shape.in_channels,
                                .padding = 2 - shape.padding};
  std::vector<float> turned_weight(static_cast<size_t>(9 * shape.in_channels * shape.out_channels));
  float* to = turned_weight.data();
  for (int64_t i = 8; i >= 0; --i)
    for (int64_t out = 0; out < shape.out_channels; ++out)
      for (int64_t in = 0; in < shape.in_channels; ++in)
        *to++ = weight[(i * shape.in_channels + in) * shape.out_channels + out];
  WinogradForward(turned, gradient, turned_weight.data(), nullptr, input_gradient);
}

void WinogradWeightGradient(const WinogradShape& shape, const float* input, const float* gradient,
                            float* weight_gradient) {
  const Tiling tiling(shape);
  const Buffer sums(kPoints * tiling.matrix());
  const Buffer v(tiling.block * kPoints * tiling.in_channels);
  const Buffer z(tiling.block * kPoints * tiling.out_channels);
  const std::vector<int32_t> patches =
      PixelOffsets<kPatch>(tiling, shape.height, shape.width, shape.in_channels, shape.padding);
  const std::vector<int32_t> gradients =
      PixelOffsets<kTile>(tiling, shape.out_height(), shape.out_width(), shape.out_channels, /*padding=*/0);
  std::fill(sums.data(), sums.data() + kPoints * tiling.matrix(), 0.0F);
  for (int64_t first = 0; first < tiling.count; first += tiling.block) {
    const int64_t count = std::min(tiling.block, tiling.count - first);
    TransformPatches(shape, tiling, patches, input, first, count, v.data());
    TransformGradients(shape, tiling, gradients, gradient, first, count, z.data());
    for (int64_t point = 0; point < kPoints; ++point)
      Accumulate(tiling, v.data() + point * kVector, z.data() + point * kVector, count,
                 sums.data() + point * tiling.matrix());
  }
  WriteWeightGradients(shape, tiling, sums.data(), weight_gradient);
}

#else

bool WinogradPays(const WinogradShape&) { return false; }
void WinogradForward(const WinogradShape&, const float*, const float*, const float*, float*) {}
void WinogradInputGradient(const WinogradShape&, const float*, const float*, float*) {}
void WinogradWeightGradient(const WinogradShape&, const float*, const float*, float*) {}

#endif

}  // namespace canopy::trainer
