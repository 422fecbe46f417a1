#pragma once

#include <cstdint>

#include "base/status.h"
#include "search_spaces/graph.h"

namespace canopy::search_space {

// What a network costs, counted without building it. REQUIRES nothing of its framework: the figures equal
// those of the LibTorch network that the trainer builds from the same graph.
struct Costs {
  // Trainable numbers.
  int64_t params = 0;
  // Multiply-accumulates of convolutions, linear layers and both products of attention for one example;
  // biases not counted.
  int64_t macs = 0;
  // Bytes of fp32 activations alive at once at inference of one example, at the worst moment, with nodes
  // run in order, each result freed after its last use and nothing done in place.
  int64_t activation_memory = 0;
  // Bytes alive at the worst moment of a training step (search_spaces/training_memory.h). ComputeCosts leaves
  // it 0: it depends on the recipe, and only what is trained has it.
  int64_t training_memory = 0;
  // Convolutions and linear layers on the longest path from input to output; what an operator is made of
  // (attention of two) counts alike.
  int64_t depth = 0;

  friend bool operator==(const Costs&, const Costs&) = default;
};

// InvalidArgument where a count leaves 64 bits, or where the network's input is token numbers (an embedding
// reads it) for some of its readers only.
StatusOr<Costs> ComputeCosts(const NetworkGraph& graph);

}  // namespace canopy::search_space
