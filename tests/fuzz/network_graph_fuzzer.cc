// A network graph's JSON, as trainers read it.

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/status.h"
#include "search_spaces/graph.h"
#include "tests/fuzz/graph_invariants.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto graph = canopy::search_space::NetworkGraph::FromJson(text);
  if (graph.ok()) canopy::fuzz::CheckGraph(*graph);
  return 0;
}
