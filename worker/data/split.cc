#include "worker/data/split.h"

#include <algorithm>
#include <cstddef>

#include "base/random.h"
#include "base/sha256.h"

namespace canopy::data {

StatusOr<TrainValidationSplit> SplitBySeed(int64_t count, uint64_t seed, int64_t validation_count) {
  if (validation_count <= 0 || validation_count >= count)
    return InvalidArgument("validation count: expected between 1 and " + std::to_string(count - 1) +
                           " of the " + std::to_string(count) + " training examples, got " +
                           std::to_string(validation_count));
  Rng rng = Rng::Derive(seed, "validation split");
  std::vector<bool> validates(static_cast<size_t>(count), false);
  for (const size_t index :
       rng.SampleWithoutReplacement(static_cast<size_t>(count), static_cast<size_t>(validation_count)))
    validates[index] = true;

  TrainValidationSplit split;
  Sha256Stream hash;
  for (int64_t i = 0; i < count; ++i) {
    if (!validates[static_cast<size_t>(i)]) {
      split.train.push_back(i);
      continue;
    }
    split.validation.push_back(i);
    hash.Update(std::to_string(i) + "\n");
  }
  split.hash = hash.FinishHex();
  return split;
}

}  // namespace canopy::data
