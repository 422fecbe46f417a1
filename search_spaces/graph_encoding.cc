#include "search_spaces/graph_encoding.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <iterator>
#include <map>
#include <utility>

#include "search_spaces/graph_coloring.h"
#include "search_spaces/mix.h"
#include "search_spaces/ops/operator.h"

namespace canopy::search_space {
namespace {

constexpr size_t kMaxKinds = 256;
constexpr const char* kMeasures[] = {"kernel", "stride"};

double MeasureOf(const Node& node, std::string_view name) {
  if (const auto it = node.attributes.find(name); it != node.attributes.end()) return AsDouble(it->second);
  if (node.attributes.count(AxisNames(name).height) == 0) return 0;
  const Extent extent = ExtentOf(node.attributes, name);
  return std::sqrt(static_cast<double>(extent.height) * static_cast<double>(extent.width));
}

size_t OperatorNumber(const Node& node) {
  const auto all = AllOperators();
  return static_cast<size_t>(std::find(all.begin(), all.end(), &*node.op) - all.begin());
}

size_t FeaturesOfANode() { return AllOperators().size() + std::size(kMeasures) + 1; }

// Paths by their number of operators and a hash of these, and how many there are.
using Paths = std::map<std::pair<int, uint64_t>, double>;

// Nodes on a way from input to output.
std::vector<char> Useful(const LabeledGraph& graph) {
  std::vector<char> from_input(graph.size()), to_output(graph.size());
  from_input[0] = to_output[graph.output()] = true;
  for (int i = 0; i < graph.size(); ++i) {
    for (const int input : graph.inputs(i)) from_input[i] |= from_input[input];
  }
  for (int i = graph.size() - 1; i >= 0; --i) {
    for (const int input : graph.inputs(i)) to_output[input] |= to_output[i];
  }
  for (int i = 0; i < graph.size(); ++i) to_output[i] &= from_input[i];
  return to_output;
}

// Nodes that every path from input to output passes: no edge between useful nodes leads across them.
std::vector<char> Gates(const LabeledGraph& graph, const std::vector<char>& useful) {
  std::vector<int> last_use(graph.size());
  for (int i = 0; i < graph.size(); ++i) {
    if (!useful[i]) continue;
    for (const int input : graph.inputs(i)) last_use[input] = i;
  }
  std::vector<char> gates(graph.size());
  int farthest = 0;
  for (int i = 0; i < graph.size(); ++i) {
    if (!useful[i]) continue;
    gates[i] = farthest <= i;
    farthest = std::max(farthest, last_use[i]);
  }
  return gates;
}

}  // namespace

StatusOr<std::vector<double>> EncodeAdjacency(const NetworkGraph& simplified, int max_nodes) {
  const auto count = static_cast<size_t>(max_nodes);
  if (simplified.nodes.size() > count) {
    return InvalidArgument("adjacency encoding: expected a network of at most " + std::to_string(max_nodes) +
                           " nodes, found " + std::to_string(simplified.nodes.size()) + "; raise max_nodes");
  }
  const size_t edges = count * (count - 1) / 2, features = FeaturesOfANode();
  std::vector<double> code(edges + count * features);
  for (size_t to = 0; to < simplified.nodes.size(); ++to) {
    const Node& node = simplified.nodes[to];
    for (const int input : node.inputs) {
      const auto from = static_cast<size_t>(input);
      code[from * (2 * count - from - 1) / 2 + to - from - 1] = 1;
    }
    double* at = code.data() + edges + to * features;
    at[OperatorNumber(node)] = 1;
    at += AllOperators().size();
    for (const char* measure : kMeasures) *at++ = MeasureOf(node, measure);
    *at = std::log2(static_cast<double>(ChannelsOf(node.shape)));
  }
  return code;
}

std::vector<std::string> AdjacencyColumns(int max_nodes) {
  std::vector<std::string> columns;
  for (int from = 0; from < max_nodes; ++from) {
    for (int to = from + 1; to < max_nodes; ++to)
      columns.push_back("edge_" + std::to_string(from) + "_" + std::to_string(to));
  }
  for (int i = 0; i < max_nodes; ++i) {
    const std::string node = "node_" + std::to_string(i) + "_";
    for (const std::string& op : OperatorNames()) columns.push_back(node + op);
    for (const char* measure : kMeasures) columns.push_back(node + measure);
    columns.push_back(node + "log2_channels");
  }
  return columns;
}

std::vector<double> EncodePaths(const NetworkGraph& simplified, int buckets) {
  const LabeledGraph graph(simplified);
  const std::vector<char> useful = Useful(graph), gates = Gates(graph, useful);
  std::vector<double> code(static_cast<size_t>(buckets));
  std::vector<Paths> paths(simplified.nodes.size());
  paths[0] = {{{0, 0}, 1}};
  for (int i = 1; i < graph.size(); ++i) {
    if (!useful[i]) continue;
    const Node& node = simplified.nodes[i];
    const uint64_t label = Mix(MixText(node.op.name()), node.attributes.hash());
    for (const int input : graph.inputs(i)) {
      for (const auto& [kind, number] : paths[input])
        paths[i][{kind.first + 1, Mix(kind.second, label)}] += number;
    }
    while (paths[i].size() > kMaxKinds) paths[i].erase(std::prev(paths[i].end()));
    if (!gates[i]) continue;
    for (const auto& [kind, number] : paths[i]) code[kind.second % code.size()] += number;
    paths[i] = {{{0, 0}, 1}};
  }
  return code;
}

}  // namespace canopy::search_space
