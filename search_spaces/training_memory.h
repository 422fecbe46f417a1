#pragma once

#include <cstdint>

#include "base/status.h"
#include "search_spaces/candidate.h"
#include "search_spaces/graph.h"
#include "search_spaces/ops/operator.h"

namespace canopy::search_space {

// What of a recipe decides how much memory training takes; the defaults are those of campaigns.
struct TrainingSetup {
  int64_t batch_size = 128;
  bool adamw = false;  // two numbers of state for each parameter; one, SGD's velocity, otherwise
  NumberType type = NumberType::kFp32;

  // The same with the candidate's own `batch_size` and `optimizer`, where its recipe decides them.
  TrainingSetup With(const Candidate& recipe) const;
};

// The bytes of tensors alive at the worst moment of a training step of the built-in trainer: parameters,
// gradients, optimizer state and the batch; what backward needs of each node, by its rule (Operator::Memory);
// and gradients on their way. docs/network_graph.md has the formula. REQUIRES a simplified graph whose costs
// ComputeCosts could count. InvalidArgument where a count leaves 64 bits.
StatusOr<int64_t> TrainingMemory(const NetworkGraph& graph, const TrainingSetup& setup);

}  // namespace canopy::search_space
