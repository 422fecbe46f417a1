#pragma once

#include <cstdint>

#include "base/check.h"
#include "search_spaces/ops/operator.h"
#include "search_spaces/space.h"

namespace canopy::trainer {

// A task like the space's own that is cheap to compute with: images of `size` x `size`, or of 32 x 32 where
// the reference cannot be built for those; texts of eight tokens from a vocabulary of a hundred.
// REQUIRES that the space has an input and a reference.
inline search_space::TaskShape SmallTask(const search_space::SearchSpace& space, int64_t size) {
  search_space::TaskShape task = *space.default_task();
  const auto reference = space.Lower(*space.reference(), task);
  CANOPY_CHECK(reference.ok(), space.name());
  for (const search_space::Node& node : reference->nodes)
    if (node.op->reads_tokens()) return {{8}, 100};
  if (task.input.size() != 3) return task;
  task.input[1] = task.input[2] = size;
  if (!space.Lower(*space.reference(), task).ok()) task.input[1] = task.input[2] = 32;
  return task;
}

}  // namespace canopy::trainer
