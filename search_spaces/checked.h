#pragma once

#include <cstdint>
#include <optional>

namespace canopy::search_space {

// 64-bit arithmetic that gives nullopt where the result leaves 64 bits.
inline std::optional<int64_t> CheckedAdd(int64_t a, int64_t b) {
  int64_t result;
  if (__builtin_add_overflow(a, b, &result)) return std::nullopt;
  return result;
}

inline std::optional<int64_t> CheckedSubtract(int64_t a, int64_t b) {
  int64_t result;
  if (__builtin_sub_overflow(a, b, &result)) return std::nullopt;
  return result;
}

inline std::optional<int64_t> CheckedMultiply(int64_t a, int64_t b) {
  int64_t result;
  if (__builtin_mul_overflow(a, b, &result)) return std::nullopt;
  return result;
}

// The product of all factors.
template <typename Range>
std::optional<int64_t> CheckedProduct(const Range& factors) {
  std::optional<int64_t> product = 1;
  for (const int64_t factor : factors) {
    if (product) product = CheckedMultiply(*product, factor);
  }
  return product;
}

}  // namespace canopy::search_space
