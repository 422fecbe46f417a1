#include "search_spaces/hash.h"

#include <algorithm>
#include <cstdint>
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
      for (const auto& [name, value] : node.attributes) vertex.label += ' ' + name + '=' + CanonicalText(value);
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

size_t CountColors(const std::vector<Vertex>& vertices) {
  std::vector<Color> colors;
  for (const Vertex& vertex : vertices) colors.push_back(vertex.color);
  std::sort(colors.begin(), colors.end());
  return std::unique(colors.begin(), colors.end()) - colors.begin();
}

// One line a node in the order of colours, inputs by the rank of their colour.
std::string Certificate(const std::vector<Vertex>& vertices, int output) {
  std::vector<Color> ranks;
  for (const Vertex& vertex : vertices) ranks.push_back(vertex.color);
  std::sort(ranks.begin(), ranks.end());
  ranks.erase(std::unique(ranks.begin(), ranks.end()), ranks.end());
  const auto rank = [&](int i) {
    return std::lower_bound(ranks.begin(), ranks.end(), vertices[i].color) - ranks.begin();
  };
  std::vector<std::vector<std::string>> lines(ranks.size());
  for (size_t i = 0; i < vertices.size(); ++i) {
    std::vector<int64_t> inputs;
    for (const int input : vertices[i].inputs) inputs.push_back(rank(input));
    if (!vertices[i].ordered) std::sort(inputs.begin(), inputs.end());
    std::string line = vertices[i].label;
    for (const int64_t input : inputs) line += ' ' + std::to_string(input);
    lines[rank(static_cast<int>(i))].push_back(line + '\n');
  }
  std::string text = "output " + std::to_string(rank(output)) + '\n';
  for (auto& group : lines) {
    for (const std::string& line : group) text += line;
  }
  return text;
}

}  // namespace

// Colour refinement (Weisfeiler and Leman) up and down the graph until it separates no more; nodes that
// still share a colour are interchangeable but for graphs far more regular than networks are.
std::string GraphHash(const NetworkGraph& simplified) {
  std::vector<Vertex> vertices = Vertices(simplified);
  RefineUpward(vertices);
  size_t before, colors = CountColors(vertices);
  do {
    before = colors;
    RefineDownward(vertices, simplified.output);
    RefineUpward(vertices);
    colors = CountColors(vertices);
  } while (colors > before);
  return Sha256Hex(Certificate(vertices, simplified.output));
}

std::string CandidateHash(const std::string& graph_hash, const Candidate& recipe) {
  return Sha256Hex(graph_hash + '\n' + recipe.ToJson());
}

}  // namespace canopy::search_space
