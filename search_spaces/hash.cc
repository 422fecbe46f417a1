#include "search_spaces/hash.h"

#include <algorithm>
#include <numeric>
#include <utility>
#include <vector>

#include "base/sha256.h"
#include "search_spaces/graph_coloring.h"

namespace canopy::search_space {
namespace {

// What a certificate begins with.
constexpr char kByWalk = 1, kByParts = 2;

// Seven bits a byte, the lowest first.
void AppendNumber(size_t number, std::string& out) {
  for (; number >= 128; number >>= 7) out += static_cast<char>(128 | (number & 127));
  out += static_cast<char>(number);
}

void AppendText(const std::string& text, std::string& out) {
  AppendNumber(text.size(), out);
  out += text;
}

// The nodes in the order in which a walk from the output leaves them, each after its inputs; the network's
// input last where nothing needs it.
std::vector<int> WalkOrder(const LabeledGraph& graph) {
  std::vector<int> order;
  order.reserve(graph.size());
  std::vector<char> seen(graph.size());
  std::vector<std::pair<int, size_t>> path = {{graph.output(), 0}};
  seen[graph.output()] = true;
  while (!path.empty()) {
    auto& [node, next] = path.back();
    const auto inputs = graph.inputs(node);
    while (next < inputs.size() && seen[inputs[next]]) ++next;
    if (next == inputs.size()) {
      order.push_back(node);
      path.pop_back();
      continue;
    }
    const int input = inputs[next];
    seen[input] = true;
    path.emplace_back(input, 0);
  }
  if (!seen[0]) order.push_back(0);
  return order;
}

// The graph, whole: each node's label and its inputs by their places in the walk. A label is written out
// where it appears first. REQUIRES that no two nodes could change places in the walk.
std::string CertificateByWalk(const LabeledGraph& graph) {
  const std::vector<int> order = WalkOrder(graph);
  const std::vector<std::string> texts = graph.LabelTexts();
  std::vector<size_t> place(graph.size()), number(texts.size(), texts.size());
  size_t labels = 0;
  std::string out(1, kByWalk);
  out.reserve(8 * order.size() + 64 * texts.size());
  for (size_t i = 0; i < order.size(); ++i) {
    place[order[i]] = i;
    const size_t label = static_cast<size_t>(graph.label(order[i]));
    const bool first = number[label] == texts.size();
    if (first) number[label] = labels++;
    AppendNumber(number[label], out);
    if (first) AppendText(texts[label], out);
    const auto inputs = graph.inputs(order[i]);
    AppendNumber(inputs.size(), out);
    for (const int input : inputs) AppendNumber(place[input], out);
  }
  return out;
}

// Each node's rank, label and inputs by the ranks of their colours, the parts in the order of their bytes.
// Within a part a rank means one node, and the nodes of a rank are connected alike to those of part 0, so
// that this is the graph, whole.
std::string CertificateByParts(const LabeledGraph& graph, const Partition& p) {
  const std::vector<std::string> texts = graph.LabelTexts();
  std::vector<int> sorted(texts.size()), number(texts.size());
  std::iota(sorted.begin(), sorted.end(), 0);
  std::sort(sorted.begin(), sorted.end(), [&](int a, int b) { return texts[a] < texts[b]; });
  std::string out(1, kByParts);
  AppendNumber(texts.size(), out);
  for (size_t i = 0; i < sorted.size(); ++i) {
    number[sorted[i]] = static_cast<int>(i);
    AppendText(texts[sorted[i]], out);
  }
  std::vector<std::string> parts(p.parts);
  std::vector<int> inputs;
  for (const auto& members : p.members) {
    for (const int i : members) {
      inputs.clear();
      for (const int input : graph.inputs(i)) inputs.push_back(p.rank[input]);
      if (!graph.ordered(i)) std::sort(inputs.begin(), inputs.end());
      std::string& part = parts[p.part[i]];
      AppendNumber(p.rank[i], part);
      AppendNumber(number[graph.label(i)], part);
      AppendNumber(inputs.size(), part);
      for (const int input : inputs) AppendNumber(input, part);
    }
  }
  std::sort(parts.begin() + 1, parts.end());
  AppendNumber(p.rank[graph.output()], out);
  for (const std::string& part : parts) AppendText(part, out);
  return out;
}

std::string Certificate(const NetworkGraph& simplified) {
  LabeledGraph graph(simplified);
  Colors colors = graph.InitialColors();
  RefineUpward(graph, colors);
  if (graph.OrderInputs(colors)) return CertificateByWalk(graph);
  Refine(graph, colors);
  if (graph.OrderInputs(colors)) return CertificateByWalk(graph);
  return CertificateByParts(graph, Separate(graph, std::move(colors)));
}

}  // namespace

std::string GraphHash(const NetworkGraph& simplified) { return Sha256Hex(Certificate(simplified)); }

std::string CandidateHash(const std::string& graph_hash, const Candidate& recipe) {
  return Sha256Hex(graph_hash + '\n' + recipe.ToJson());
}

}  // namespace canopy::search_space
