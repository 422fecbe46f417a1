#pragma once

#include "search_spaces/graph.h"

namespace canopy::fuzz {

// What holds for every graph that was built or read, whatever it computes: its JSON is read back as the same
// graph, simplifying twice is simplifying once, and so is hashing. CANOPY_CHECKs it.
void CheckGraph(const search_space::NetworkGraph& graph);

}  // namespace canopy::fuzz
