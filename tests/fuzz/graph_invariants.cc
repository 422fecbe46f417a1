#include "tests/fuzz/graph_invariants.h"

#include <string>

#include "base/check.h"
#include "base/status.h"
#include "search_spaces/cost.h"
#include "search_spaces/hash.h"
#include "search_spaces/simplify.h"

namespace canopy::fuzz {

using search_space::NetworkGraph;

void CheckGraph(const NetworkGraph& graph) {
  const std::string json = graph.ToJson();
  const auto read = NetworkGraph::FromJson(json);
  CANOPY_CHECK(read.ok(), Message(read.status()));
  CANOPY_CHECK(*read == graph, json);

  const auto [simplified, sources] = search_space::SimplifyWithSources(graph);
  CANOPY_CHECK(simplified.nodes.size() <= graph.nodes.size(), json);
  CANOPY_CHECK(sources.size() == simplified.nodes.size(), json);
  CANOPY_CHECK(simplified.nodes[simplified.output].shape == graph.nodes[graph.output].shape, json);
  CANOPY_CHECK(search_space::Simplify(simplified) == simplified, json);
  CANOPY_CHECK(NetworkGraph::FromJson(simplified.ToJson()).ok(), json);
  CANOPY_CHECK(search_space::GraphHash(simplified) == search_space::GraphHash(search_space::Simplify(*read)),
               json);

  const auto written = search_space::ComputeCosts(graph);
  const auto costs = search_space::ComputeCosts(simplified);
  // What is left out may have been what could not be counted.
  if (!written.ok()) return;
  CANOPY_CHECK(costs.ok(), Message(costs.status()));
  CANOPY_CHECK(costs->params >= 0 && costs->params <= written->params, json);
  CANOPY_CHECK(costs->macs >= 0 && costs->macs <= written->macs, json);
  CANOPY_CHECK(costs->depth >= 0 && costs->depth <= written->depth, json);
}

}  // namespace canopy::fuzz
