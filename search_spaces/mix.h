#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace canopy::search_space {

// The mixing step of splitmix64. Values are persisted through the order that they give to graphs' nodes.
inline uint64_t Mix(uint64_t state, uint64_t value) {
  uint64_t z = state * 0x9e3779b97f4a7c15u + value + 0x632be59bd9b4e019u;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

// Eight bytes at a time, lowest first on every machine.
inline uint64_t MixText(std::string_view text) {
  uint64_t state = text.size();
  for (size_t at = 0; at < text.size(); at += 8) {
    uint64_t word = 0;
    for (size_t i = at; i < text.size() && i < at + 8; ++i) {
      word |= uint64_t{static_cast<unsigned char>(text[i])} << (8 * (i - at));
    }
    state = Mix(state, word);
  }
  return state;
}

}  // namespace canopy::search_space
