#pragma once

#include <vector>

#include "search_spaces/graph.h"

namespace canopy::search_space {

// The smallest graph that these rules reach; each keeps the function, in training and in inference, for
// every value of the parameters:
//   - what no output reaches is removed
//   - what changes nothing is removed: identity, dropout of rate 0, pooling with a 1x1 window and stride 1,
//     flatten of a vector, add, multiply or concat of one input, two transpositions, two shuffles of channels
//     of which the second undoes the first, the first and the last channels of a value joined again
//   - what maps zero to zero turns a zero into a zero (relu, pooling, a convolution or linear layer without
//     bias, ...); add drops zeros, multiply and concat of nothing but zeros are zero, one zero makes a
//     product zero. Batch norm and biases do not: of zero they are a learned constant.
//   - equal operators without parameters and randomness on equal inputs are one
// `params`, `macs`, ... in results are those of this graph, and it is what trainers build.
NetworkGraph Simplify(NetworkGraph graph);

// A simplified graph and where it comes from, so that weights of one network can be given to the other.
struct Simplification {
  NetworkGraph graph;
  // sources[i]: the node as written whose value node i has, with the same parameters and statistics; the
  // first one where several computed the same. Rising. A zero has as its source whatever was found to be
  // zero; what it takes as its input gives a shape and no value. Parameters of a written node that is no
  // node's source do not change the output.
  std::vector<int> sources;
};
Simplification SimplifyWithSources(NetworkGraph graph);

// False where the output is the same whatever the input is: such a candidate learns nothing from data.
// REQUIRES a graph as Simplify returns it.
bool DependsOnInput(const NetworkGraph& simplified);

}  // namespace canopy::search_space
