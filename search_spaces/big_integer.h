#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/numeric/int128.h"

namespace canopy::search_space {

// A natural number of any size.
class BigInteger {
 public:
  explicit BigInteger(uint64_t value);

  BigInteger& operator+=(const BigInteger& other);
  BigInteger operator*(const BigInteger& other) const;

  // nullopt where it is 2^128 or more.
  std::optional<absl::uint128> ToUint128() const;
  // Decimal.
  std::string ToString() const;
  // The memory that its digits take.
  size_t bytes() const { return digits_.size() * sizeof(uint32_t); }

 private:
  void Trim();
  std::vector<uint32_t> digits_;  // of base 10^9, lowest first
};

}  // namespace canopy::search_space
