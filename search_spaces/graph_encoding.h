#pragma once

#include <string>
#include <vector>

#include "base/status.h"
#include "search_spaces/graph.h"

namespace canopy::search_space {

// The upper triangle of the adjacency matrix, rows in order, and each node's operator as one-hot with its
// kernel, stride and the base-2 logarithm of its channels; nodes in the graph's order, zeros behind the last.
// InvalidArgument where there are more than `max_nodes`.
StatusOr<std::vector<double>> EncodeAdjacency(const NetworkGraph& simplified, int max_nodes);
std::vector<std::string> AdjacencyColumns(int max_nodes);

// How many paths of each kind there are. All paths from input to output meet at some nodes; a path here leads
// from one of these to the next, so that those of a cell count apart from other cells. Its kind is the
// operators with attributes after the first node up to the last; kinds are hashed into `buckets`. Of more
// than 256 kinds that meet at a node those with the fewest operators count. The same for isomorphic graphs.
std::vector<double> EncodePaths(const NetworkGraph& simplified, int buckets);

}  // namespace canopy::search_space
