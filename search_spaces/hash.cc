#include "search_spaces/hash.h"

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <utility>
#include <vector>

#include "base/sha256.h"
#include "search_spaces/ops/operator.h"

namespace canopy::search_space {
namespace {

using Color = uint64_t;

// The mixing step of splitmix64: colours are persisted through the order that they give.
Color Mix(Color state, uint64_t value) {
  uint64_t z = state * 0x9e3779b97f4a7c15u + value + 0x632be59bd9b4e019u;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

Color MixText(const std::string& text) {
  Color color = text.size();
  for (const char c : text) color = Mix(color, static_cast<unsigned char>(c));
  return color;
}

// A node as its surroundings see it: equal for nodes that may stand for each other.
struct Vertex {
  std::string label;
  bool ordered = false;  // its inputs may not be exchanged
  std::vector<int> inputs;
  Color color = 0;
};

// Zeros whose input is needed anyway take only a shape from it.
std::vector<bool> FreeZeros(const NetworkGraph& graph) {
  std::vector<bool> live(graph.nodes.size()), free(graph.nodes.size());
  live[graph.output] = live[0] = true;
  for (int i = graph.output; i > 0; --i) {
    if (!live[i] || graph.nodes[i].op == "zero") continue;
    for (const int input : graph.nodes[i].inputs) live[input] = true;
  }
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    free[i] = graph.nodes[i].op == "zero" && live[graph.nodes[i].inputs[0]];
  }
  return free;
}

std::vector<Vertex> Vertices(const NetworkGraph& graph) {
  const std::vector<bool> free_zero = FreeZeros(graph);
  std::vector<Vertex> vertices(graph.nodes.size());
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    const Node& node = graph.nodes[i];
    Vertex& vertex = vertices[i];
    vertex.label = node.op;
    if (!free_zero[i]) {
      for (const auto& [name, value] : node.attributes)
        vertex.label += ' ' + name + '=' + CanonicalText(value);
      vertex.inputs = node.inputs;
    }
    if (node.inputs.empty() || free_zero[i]) vertex.label += ' ' + ShapeText(node.shape);
    vertex.ordered = !FindOperator(node.op)->commutative();
    vertex.color = MixText(vertex.label);
  }
  return vertices;
}

// From what a node computes.
void RefineUpward(std::vector<Vertex>& vertices) {
  std::vector<Color> inputs;
  for (Vertex& vertex : vertices) {
    inputs.clear();
    for (const int input : vertex.inputs) inputs.push_back(vertices[input].color);
    if (!vertex.ordered) std::sort(inputs.begin(), inputs.end());
    for (const Color color : inputs) vertex.color = Mix(vertex.color, color);
  }
}

// From what uses a node, and at which place.
void RefineDownward(std::vector<Vertex>& vertices, int output) {
  std::vector<std::vector<Color>> uses(vertices.size());
  for (int i = static_cast<int>(vertices.size()) - 1; i >= 0; --i) {
    Vertex& vertex = vertices[i];
    std::sort(uses[i].begin(), uses[i].end());
    for (const Color color : uses[i]) vertex.color = Mix(vertex.color, color);
    if (i == output) vertex.color = Mix(vertex.color, 1);
    for (size_t k = 0; k < vertex.inputs.size(); ++k) {
      uses[vertex.inputs[k]].push_back(Mix(vertex.color, vertex.ordered ? k + 1 : 0));
    }
  }
}

std::vector<Color> SortedColors(const std::vector<Vertex>& vertices) {
  std::vector<Color> colors;
  colors.reserve(vertices.size());
  for (const Vertex& vertex : vertices) colors.push_back(vertex.color);
  std::sort(colors.begin(), colors.end());
  return colors;
}

size_t CountColors(const std::vector<Vertex>& vertices) {
  std::vector<Color> colors = SortedColors(vertices);
  return std::unique(colors.begin(), colors.end()) - colors.begin();
}

// Colour refinement (Weisfeiler and Leman), up and down the graph until it separates no more.
void Refine(std::vector<Vertex>& vertices, int output) {
  RefineUpward(vertices);
  size_t before, colors = CountColors(vertices);
  do {
    before = colors;
    RefineDownward(vertices, output);
    RefineUpward(vertices);
    colors = CountColors(vertices);
  } while (colors > before);
}

// A refined colouring in ranks, and the parts that nodes of repeated colours form among themselves: part 0
// is all nodes of a colour of their own.
struct Partition {
  std::vector<int> rank;                  // of each node's colour
  std::vector<std::vector<int>> members;  // of each rank
  std::vector<int> part;                  // of each node
  int parts = 1;
};

Partition Divide(const std::vector<Vertex>& vertices) {
  const int count = static_cast<int>(vertices.size());
  std::vector<Color> colors = SortedColors(vertices);
  colors.erase(std::unique(colors.begin(), colors.end()), colors.end());
  Partition p;
  p.members.resize(colors.size());
  for (int i = 0; i < count; ++i) {
    p.rank.push_back(
        static_cast<int>(std::lower_bound(colors.begin(), colors.end(), vertices[i].color) - colors.begin()));
    p.members[p.rank[i]].push_back(i);
  }
  std::vector<int> leader(count);
  std::iota(leader.begin(), leader.end(), 0);
  const auto find = [&](int i) {
    while (leader[i] != i) i = leader[i] = leader[leader[i]];
    return i;
  };
  const auto repeated = [&](int i) { return p.members[p.rank[i]].size() > 1; };
  for (int i = 0; i < count; ++i) {
    for (const int input : vertices[i].inputs) {
      if (repeated(i) && repeated(input)) leader[find(i)] = find(input);
    }
  }
  std::vector<int> number(count);
  for (int i = 0; i < count; ++i) {
    if (repeated(i) && find(i) == i) number[i] = p.parts++;
  }
  for (int i = 0; i < count; ++i) p.part.push_back(repeated(i) ? number[find(i)] : 0);
  return p;
}

// The lowest rank that a part has twice; -1 where there is none.
int RankTwiceInAPart(const Partition& p) {
  std::vector<int> seen(p.parts, -1);
  for (size_t rank = 0; rank < p.members.size(); ++rank) {
    if (p.members[rank].size() == 1) continue;
    for (const int i : p.members[rank]) {
      if (seen[p.part[i]] == static_cast<int>(rank)) return static_cast<int>(rank);
      seen[p.part[i]] = static_cast<int>(rank);
    }
  }
  return -1;
}

constexpr size_t kMaxVisits = 1000000;

// Refines until no part has a colour twice, by setting one node of such a colour apart: the one that
// leaves the least colouring. Graphs so symmetric that this takes too long keep their order of nodes.
Partition Canonical(std::vector<Vertex>& vertices, int output) {
  Refine(vertices, output);
  Partition p = Divide(vertices);
  size_t visits = 0;
  for (int rank = RankTwiceInAPart(p); rank >= 0; rank = RankTwiceInAPart(p)) {
    visits += p.members[rank].size() * vertices.size();
    if (visits > kMaxVisits) {
      for (size_t i = 0; i < vertices.size(); ++i) vertices[i].color = Mix(vertices[i].color, i);
      return Divide(vertices);
    }
    std::vector<Vertex> best;
    for (const int chosen : p.members[rank]) {
      std::vector<Vertex> trial = vertices;
      trial[chosen].color = Mix(trial[chosen].color, 1);
      Refine(trial, output);
      if (best.empty() || SortedColors(trial) < SortedColors(best)) best = std::move(trial);
    }
    vertices = std::move(best);
    p = Divide(vertices);
  }
  return p;
}

// One line a node, inputs by the rank of their colour, the parts in the order of their texts. Within a part
// a rank means one node, and the nodes of a rank are connected alike to those of part 0, so that the text
// is the graph, whole.
std::string Certificate(const std::vector<Vertex>& vertices, const Partition& p, int output) {
  std::vector<std::string> texts(p.parts);
  for (const auto& members : p.members) {
    for (const int i : members) {
      std::vector<int> inputs;
      for (const int input : vertices[i].inputs) inputs.push_back(p.rank[input]);
      if (!vertices[i].ordered) std::sort(inputs.begin(), inputs.end());
      std::string& text = texts[p.part[i]];
      text += std::to_string(p.rank[i]) + ' ' + vertices[i].label;
      for (const int input : inputs) text += ' ' + std::to_string(input);
      text += '\n';
    }
  }
  std::sort(texts.begin() + 1, texts.end());
  std::string certificate = "output " + std::to_string(p.rank[output]) + '\n';
  for (const std::string& text : texts) certificate += text + '\n';
  return certificate;
}

}  // namespace

std::string GraphHash(const NetworkGraph& simplified) {
  std::vector<Vertex> vertices = Vertices(simplified);
  const Partition partition = Canonical(vertices, simplified.output);
  return Sha256Hex(Certificate(vertices, partition, simplified.output));
}

std::string CandidateHash(const std::string& graph_hash, const Candidate& recipe) {
  return Sha256Hex(graph_hash + '\n' + recipe.ToJson());
}

}  // namespace canopy::search_space
