#pragma once

#include <string>
#include <vector>

namespace canopy::testing {

// A search-space file that was made to cost as much as it can: every bound of the language at its edge, or
// far beyond. Each has to be read or refused in a moment (tests/benchmarks/hostile_spaces measures it).
struct HostileSpace {
  std::string name;
  std::string text;
  std::string refusal;  // part of the message; empty: it is a space like any other
};

std::vector<HostileSpace> HostileSpaces();

}  // namespace canopy::testing
