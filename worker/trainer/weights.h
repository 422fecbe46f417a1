#pragma once

#include <string>

#include "base/status.h"
#include "worker/checkpoint/safetensors.h"
#include "worker/data/batch.h"
#include "worker/trainer/graph_module.h"

namespace canopy::trainer {

// A trained network as a file says it: parameters and running statistics in fp32, row-major, under the
// names of the store; how its inputs are normalised; the graph and the split's hash as metadata. It is
// all that evaluating the network needs.
struct NetworkWeights {
  data::Normalization normalization;
  std::string split_hash;
};

checkpoint::Checkpoint SaveWeights(GraphModule& network, const NetworkWeights& weights);

// Replaces the network's parameters and statistics. DataLoss names the tensor that is missing, left over or
// of another shape, or says that the file is of another graph.
StatusOr<NetworkWeights> LoadWeights(const checkpoint::Checkpoint& checkpoint, GraphModule& network);

}  // namespace canopy::trainer
