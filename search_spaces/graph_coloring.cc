#include "search_spaces/graph_coloring.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "absl/container/inlined_vector.h"
#include "search_spaces/mix.h"
#include "search_spaces/ops/operator.h"
#include "search_spaces/ops/shape_ops.h"

namespace canopy::search_space {
namespace {

// Zeros whose input is needed anyway.
std::vector<char> FreeZeros(const NetworkGraph& graph) {
  const auto is_zero = [zero = OperatorRef(*Zero())](const Node& node) { return node.op == zero; };
  std::vector<char> live(graph.nodes.size()), free(graph.nodes.size());
  if (std::none_of(graph.nodes.begin(), graph.nodes.end(), is_zero)) return free;
  live[graph.output] = live[0] = true;
  for (int i = graph.output; i > 0; --i) {
    if (!live[i] || is_zero(graph.nodes[i])) continue;
    for (const int input : graph.nodes[i].inputs) live[input] = true;
  }
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    free[i] = is_zero(graph.nodes[i]) && live[graph.nodes[i].inputs[0]];
  }
  return free;
}

// From what uses a node, and at which place.
void RefineDownward(const LabeledGraph& graph, Colors& colors) {
  Colors uses(colors.size());
  for (int i = graph.size() - 1; i >= 0; --i) {
    colors[i] = Mix(colors[i], uses[i] + (i == graph.output() ? 1 : 0));
    const auto inputs = graph.inputs(i);
    for (size_t k = 0; k < inputs.size(); ++k) {
      uses[inputs[k]] += Mix(colors[i], graph.ordered(i) ? k + 1 : 0);
    }
  }
}

Colors Sorted(Colors colors) {
  std::sort(colors.begin(), colors.end());
  return colors;
}

size_t CountColors(const Colors& colors) {
  Colors sorted = Sorted(colors);
  return std::unique(sorted.begin(), sorted.end()) - sorted.begin();
}

Partition Divide(const LabeledGraph& graph, const Colors& colors) {
  const int count = graph.size();
  Colors distinct = Sorted(colors);
  distinct.erase(std::unique(distinct.begin(), distinct.end()), distinct.end());
  Partition p;
  p.members.resize(distinct.size());
  for (int i = 0; i < count; ++i) {
    p.rank.push_back(
        static_cast<int>(std::lower_bound(distinct.begin(), distinct.end(), colors[i]) - distinct.begin()));
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
    for (const int input : graph.inputs(i)) {
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

}  // namespace

LabeledGraph::LabeledGraph(const NetworkGraph& graph) : graph_(graph) {
  const size_t count = graph.nodes.size();
  const std::vector<char> free_zero = FreeZeros(graph);
  inputs_.reserve(2 * count);
  begin_.reserve(count + 1);
  ordered_.reserve(count);
  initial_.reserve(count);
  begin_.push_back(0);
  for (size_t i = 0; i < count; ++i) {
    const Node& node = graph.nodes[i];
    if (!free_zero[i]) inputs_.insert(inputs_.end(), node.inputs.begin(), node.inputs.end());
    begin_.push_back(inputs_.size());
    ordered_.push_back(!node.op->commutative());
    Color color = MixText(node.op.name());
    if (!node.op->definition().empty()) color = Mix(color, MixText(node.op->definition()));
    if (HasInputs(static_cast<int>(i))) {
      color = Mix(color, node.attributes.hash());
    } else {
      for (const int64_t size : node.shape) color = Mix(color, static_cast<uint64_t>(size));
    }
    initial_.push_back(color);
  }
  NumberLabels();
}

void LabeledGraph::NumberLabels() {
  size_t size = 16;
  while (size < initial_.size() * 2) size *= 2;
  std::vector<int> table(size, -1);  // labels, by open addressing
  label_.reserve(initial_.size());
  for (int i = 0; i < this->size(); ++i) {
    size_t at = initial_[i] % size;
    while (table[at] >= 0 && !SameLabel(first_with_label_[table[at]], i)) at = (at + 1) % size;
    if (table[at] < 0) {
      table[at] = static_cast<int>(first_with_label_.size());
      first_with_label_.push_back(i);
    }
    label_.push_back(table[at]);
  }
}

bool LabeledGraph::SameLabel(int a, int b) const {
  const Node& x = graph_.nodes[a];
  const Node& y = graph_.nodes[b];
  if (x.op != y.op || HasInputs(a) != HasInputs(b)) return false;
  return HasInputs(a) ? x.attributes == y.attributes : x.shape == y.shape;
}

std::vector<std::string> LabeledGraph::LabelTexts() const {
  std::vector<std::string> texts;
  for (const int i : first_with_label_) {
    const Node& node = graph_.nodes[i];
    std::string& text = texts.emplace_back(node.op.name());
    const std::string details = HasInputs(i) ? node.attributes.text() : ShapeText(node.shape);
    if (!details.empty()) text += ' ' + details;
    if (!node.op->definition().empty()) text += ' ' + std::string(node.op->definition());
  }
  return texts;
}

bool LabeledGraph::OrderInputs(const Colors& colors) {
  bool told_apart = true;
  for (int i = 0; i < size(); ++i) {
    const auto inputs = std::span(inputs_).subspan(begin_[i], begin_[i + 1] - begin_[i]);
    if (ordered(i) || inputs.size() < 2) continue;
    std::sort(inputs.begin(), inputs.end(),
              [&](int a, int b) { return colors[a] != colors[b] ? colors[a] < colors[b] : a < b; });
    const auto tie = std::adjacent_find(inputs.begin(), inputs.end(),
                                        [&](int a, int b) { return a != b && colors[a] == colors[b]; });
    told_apart = told_apart && tie == inputs.end();
  }
  return told_apart;
}

void RefineUpward(const LabeledGraph& graph, Colors& colors) {
  for (int i = 0; i < graph.size(); ++i) {
    Color color = colors[i];
    if (graph.ordered(i)) {
      for (const int input : graph.inputs(i)) color = Mix(color, colors[input]);
    } else {
      Color sum = 0;
      for (const int input : graph.inputs(i)) sum += Mix(1, colors[input]);
      color = Mix(color, sum);
    }
    colors[i] = color;
  }
}

void Refine(const LabeledGraph& graph, Colors& colors) {
  size_t before, count = CountColors(colors);
  do {
    before = count;
    RefineDownward(graph, colors);
    RefineUpward(graph, colors);
    count = CountColors(colors);
  } while (count > before && count < colors.size());
}

Partition Separate(const LabeledGraph& graph, Colors colors) {
  Partition p = Divide(graph, colors);
  size_t visits = 0;
  for (int rank = RankTwiceInAPart(p); rank >= 0; rank = RankTwiceInAPart(p)) {
    visits += p.members[rank].size() * colors.size();
    if (visits > kMaxVisits) {
      for (size_t i = 0; i < colors.size(); ++i) colors[i] = Mix(colors[i], i);
      return Divide(graph, colors);
    }
    Colors best, best_sorted;
    for (const int chosen : p.members[rank]) {
      Colors trial = colors;
      trial[chosen] = Mix(trial[chosen], 1);
      RefineUpward(graph, trial);
      Refine(graph, trial);
      Colors sorted = Sorted(trial);
      if (best.empty() || sorted < best_sorted) {
        best = std::move(trial);
        best_sorted = std::move(sorted);
      }
    }
    colors = std::move(best);
    p = Divide(graph, colors);
  }
  return p;
}

}  // namespace canopy::search_space
