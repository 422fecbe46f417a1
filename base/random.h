#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/status.h"

namespace canopy {

// xoshiro256** 1.0 (Blackman and Vigna, 2021) seeded through splitmix64. Its streams and distributions
// are pinned by golden values, so that a search replays on every release. Not thread-safe.
class Rng {
 public:
  explicit Rng(uint64_t seed);
  // A stream of its own for (seed, label): the first 8 bytes of SHA-256 over both.
  static Rng Derive(uint64_t seed, std::string_view label);
  static uint64_t DeriveSeed(uint64_t seed, std::string_view label);

  uint64_t Next();
  // Uniform in [0, bound); REQUIRES bound > 0. Unbiased (Lemire 2019).
  uint64_t Below(uint64_t bound);
  // Uniform in [low, high], both included; REQUIRES low <= high.
  int64_t Int(int64_t low, int64_t high);
  // Uniform in [0, 1) with 53 bits.
  double Double();
  // Uniform in [low, high); log-uniform where `log` (REQUIRES 0 < low then).
  double Float(double low, double high, bool log = false);
  // Standard normal (Box-Muller; two draws a call).
  double Normal();
  template <typename T>
  void Shuffle(std::span<T> items) {
    for (size_t i = items.size(); i > 1; --i) std::swap(items[i - 1], items[Below(i)]);
  }
  // `count` distinct indices below `size`, in random order; REQUIRES count <= size.
  std::vector<size_t> SampleWithoutReplacement(size_t size, size_t count);

  // 64 hexadecimal digits; Restore refuses anything else.
  std::string Save() const;
  static StatusOr<Rng> Restore(std::string_view state);

 private:
  std::array<uint64_t, 4> state_;
};

// 16 bytes from the operating system, as a lower-case UUID (version 4). For main functions: what must
// replay takes an Rng.
std::string NewUuid();
// True for the form that NewUuid gives.
bool IsUuid(std::string_view text);
uint64_t EntropySeed();

}  // namespace canopy
