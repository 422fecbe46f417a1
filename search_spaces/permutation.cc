#include <numeric>
#include <span>

#include "base/check.h"
#include "search_spaces/exploration.h"
#include "search_spaces/mix.h"

namespace canopy::search_space {
namespace {

constexpr uint64_t kShuffled = 4096;
constexpr int kRounds = 10;

}  // namespace

Permutation::Permutation(absl::uint128 size, uint64_t seed) : size_(size) {
  Rng rng(seed);
  if (size <= kShuffled) {
    shuffled_.resize(absl::Uint128Low64(size));
    std::iota(shuffled_.begin(), shuffled_.end(), uint16_t{0});
    rng.Shuffle(std::span<uint16_t>(shuffled_));
    return;
  }
  // 4^half_bits is the smallest power of 4 that holds them all, so that few steps leave the range.
  while (half_bits_ < 64 && (absl::uint128(1) << (2 * half_bits_)) < size) ++half_bits_;
  for (int i = 0; i < kRounds; ++i) keys_.push_back(rng.Next());
}

absl::uint128 Permutation::At(absl::uint128 position) const {
  CANOPY_CHECK(position < size_, "a position beyond the last");
  if (keys_.empty()) return shuffled_[absl::Uint128Low64(position)];
  const uint64_t mask = half_bits_ == 64 ? UINT64_MAX : (uint64_t{1} << half_bits_) - 1;
  absl::uint128 at = position;
  do {
    auto left = absl::Uint128Low64(at >> half_bits_), right = absl::Uint128Low64(at) & mask;
    for (const uint64_t key : keys_) {
      const uint64_t next = left ^ (Mix(key, right) & mask);
      left = right;
      right = next;
    }
    at = absl::uint128(left) << half_bits_ | right;
  } while (at >= size_);
  return at;
}

}  // namespace canopy::search_space
