#pragma once

#include <string>

#include "search_spaces/candidate.h"
#include "search_spaces/graph.h"

namespace canopy::search_space {

// 64 hexadecimal digits: SHA-256 of the simplified graph in canonical form. Equal for isomorphic graphs,
// for the inputs of add and multiply in any order, and for graphs that simplify to the same; parameters
// shared by two uses and parameters of their own differ. REQUIRES a graph as Simplify returns it.
std::string GraphHash(const NetworkGraph& simplified);

// 64 hexadecimal digits: SHA-256 of the graph hash and the active recipe decisions (SearchSpace::Recipe)
// in canonical form. Duplicates are found by it, so two learning rates are two candidates.
std::string CandidateHash(const std::string& graph_hash, const Candidate& recipe);

}  // namespace canopy::search_space
