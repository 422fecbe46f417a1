#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace canopy::strategies {

// A strategy's parameters, each an integer within bounds.
struct IntegerParameter {
  std::string name;
  int64_t low = 0, high = 0;
  int64_t* value = nullptr;  // holds the default
};

// Reads a JSON object into `parameters`. InvalidArgument names the parameter at fault and what was expected.
Status ReadParameters(std::string_view kind, std::string_view json, const std::vector<IntegerParameter>& parameters);

}  // namespace canopy::strategies
