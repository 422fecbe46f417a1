#pragma once

#include <cstdint>
#include <cstring>

// Compiles a function for AVX-512, AVX2 with FMA, and the baseline; the loader picks one.
#if defined(__x86_64__)
#define CANOPY_VECTORIZED __attribute__((target_clones("avx512f", "arch=haswell", "default")))
#else
#define CANOPY_VECTORIZED
#endif
#define CANOPY_INLINE inline __attribute__((always_inline))
#define CANOPY_INLINE_CALL __attribute__((always_inline))  // behind the parameters of a lambda

namespace canopy::trainer {

// Sixteen floats in the compiler's vector extension: one AVX-512 register, or several smaller ones.
inline constexpr int64_t kLanes = 16;
typedef float Float16Lanes __attribute__((vector_size(64)));
typedef int32_t Int16Lanes __attribute__((vector_size(64)));
typedef uint32_t Uint16Lanes __attribute__((vector_size(64)));
typedef uint16_t Half16Lanes __attribute__((vector_size(32)));

CANOPY_INLINE Float16Lanes Broadcast(float value) { return value - Float16Lanes{}; }

// `count` <= 16 elements, the rest zero. bf16 is the upper half of a float.
CANOPY_INLINE Float16Lanes Load(const float* from, int64_t count) {
  Float16Lanes lanes{};
  std::memcpy(&lanes, from, static_cast<size_t>(count) * sizeof(float));
  return lanes;
}
CANOPY_INLINE Float16Lanes Load(const uint16_t* from, int64_t count) {
  Half16Lanes half{};
  std::memcpy(&half, from, static_cast<size_t>(count) * sizeof(uint16_t));
  const Uint16Lanes bits = __builtin_convertvector(half, Uint16Lanes) << 16;
  Float16Lanes lanes;
  std::memcpy(&lanes, &bits, sizeof lanes);
  return lanes;
}

CANOPY_INLINE void Store(Float16Lanes lanes, float* to, int64_t count) {
  std::memcpy(to, &lanes, static_cast<size_t>(count) * sizeof(float));
}
// Rounds to the nearest, ties to even. NaN stays NaN: the quiet bit lies in the upper half.
CANOPY_INLINE void Store(Float16Lanes lanes, uint16_t* to, int64_t count) {
  Uint16Lanes bits;
  std::memcpy(&bits, &lanes, sizeof bits);
  bits = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
  const Half16Lanes half = __builtin_convertvector(bits, Half16Lanes);
  std::memcpy(to, &half, static_cast<size_t>(count) * sizeof(uint16_t));
}

// The lanes of `value`, but zero where `condition` <= 0: the ReLU's derivative, and with itself as the
// condition the ReLU. A NaN condition keeps the value, so that a NaN stays visible.
CANOPY_INLINE Float16Lanes ZeroUnlessPositive(Float16Lanes condition, Float16Lanes value) {
  const Int16Lanes zeroed = condition <= 0;
  Int16Lanes bits;
  std::memcpy(&bits, &value, sizeof bits);
  bits &= ~zeroed;
  std::memcpy(&value, &bits, sizeof bits);
  return value;
}

}  // namespace canopy::trainer
