#pragma once

#include <charconv>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace canopy::model {

// The first 16 bytes of a candidate_hash: what tells candidates apart in memory, where there are millions.
struct CandidateKey {
  uint64_t high = 0, low = 0;

  // REQUIRES a hexadecimal SHA-256.
  static CandidateKey Of(std::string_view candidate_hash) {
    CandidateKey key;
    const char* const text = candidate_hash.data();
    if (candidate_hash.size() < 32) return key;
    std::from_chars(text, text + 16, key.high, 16);
    std::from_chars(text + 16, text + 32, key.low, 16);
    return key;
  }
  friend bool operator==(const CandidateKey&, const CandidateKey&) = default;
};

// The bits are a hash's already.
struct CandidateKeyHash {
  size_t operator()(const CandidateKey& key) const { return static_cast<size_t>(key.low); }
};

}  // namespace canopy::model
