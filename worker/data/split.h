#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/status.h"

namespace canopy::data {

// Which examples of the training part train and which validate; both ascending.
struct TrainValidationSplit {
  std::vector<int64_t> train;
  std::vector<int64_t> validation;
  // SHA-256 in hexadecimal over the validation indices, ascending, as decimal text, one a line.
  std::string hash;
};

// `validation_count` of `count` examples drawn without replacement by the project's generator: the same
// everywhere. InvalidArgument unless 0 < validation_count < count.
StatusOr<TrainValidationSplit> SplitBySeed(int64_t count, uint64_t seed, int64_t validation_count);

}  // namespace canopy::data
