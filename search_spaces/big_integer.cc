#include "search_spaces/big_integer.h"

#include <algorithm>

namespace canopy::search_space {
namespace {

constexpr uint64_t kBase = 1000000000;

}  // namespace

BigInteger::BigInteger(uint64_t value) {
  do {
    digits_.push_back(static_cast<uint32_t>(value % kBase));
    value /= kBase;
  } while (value > 0);
}

BigInteger& BigInteger::operator+=(const BigInteger& other) {
  digits_.resize(std::max(digits_.size(), other.digits_.size()) + 1);
  uint64_t carry = 0;
  for (size_t i = 0; i < digits_.size(); ++i) {
    carry += digits_[i] + (i < other.digits_.size() ? uint64_t{other.digits_[i]} : 0);
    digits_[i] = static_cast<uint32_t>(carry % kBase);
    carry /= kBase;
  }
  Trim();
  return *this;
}

BigInteger BigInteger::operator*(const BigInteger& other) const {
  BigInteger product(0);
  product.digits_.assign(digits_.size() + other.digits_.size(), 0);
  for (size_t i = 0; i < digits_.size(); ++i) {
    uint64_t carry = 0;
    for (size_t k = 0; k < other.digits_.size() || carry > 0; ++k) {
      const uint64_t factor = k < other.digits_.size() ? other.digits_[k] : 0;
      carry += product.digits_[i + k] + uint64_t{digits_[i]} * factor;
      product.digits_[i + k] = static_cast<uint32_t>(carry % kBase);
      carry /= kBase;
    }
  }
  product.Trim();
  return product;
}

std::optional<absl::uint128> BigInteger::ToUint128() const {
  absl::uint128 value = 0;
  for (size_t i = digits_.size(); i-- > 0;) {
    if (value > (absl::Uint128Max() - digits_[i]) / kBase) return std::nullopt;
    value = value * kBase + digits_[i];
  }
  return value;
}

std::string BigInteger::ToString() const {
  std::string text = std::to_string(digits_.back());
  for (size_t i = digits_.size() - 1; i-- > 0;) {
    const std::string digits = std::to_string(digits_[i]);
    text += std::string(9 - digits.size(), '0') + digits;
  }
  return text;
}

void BigInteger::Trim() {
  while (digits_.size() > 1 && digits_.back() == 0) digits_.pop_back();
}

}  // namespace canopy::search_space
