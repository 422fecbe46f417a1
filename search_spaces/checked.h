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

// A number that is none any more once a sum or product of it has left 64 bits.
class Count {
 public:
  Count(int64_t value = 0) : value_(value) {}
  Count(std::optional<int64_t> value) : value_(value) {}

  // nullopt where 64 bits were left.
  const std::optional<int64_t>& value() const { return value_; }

  friend Count operator+(const Count& a, const Count& b) {
    return a.value_ && b.value_ ? CheckedAdd(*a.value_, *b.value_) : std::nullopt;
  }
  friend Count operator*(const Count& a, const Count& b) {
    return a.value_ && b.value_ ? CheckedMultiply(*a.value_, *b.value_) : std::nullopt;
  }
  Count& operator+=(const Count& other) { return *this = *this + other; }

 private:
  std::optional<int64_t> value_;
};

}  // namespace canopy::search_space
