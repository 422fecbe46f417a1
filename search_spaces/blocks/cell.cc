#include "search_spaces/blocks/cell.h"

#include <algorithm>
#include <map>
#include <utility>

#include "search_spaces/ops/activations.h"
#include "search_spaces/ops/channels.h"
#include "search_spaces/ops/conv2d.h"
#include "search_spaces/ops/merges.h"
#include "search_spaces/ops/normalization.h"

namespace canopy::search_space {

std::string PickName(const std::vector<int>& nodes) {
  std::string name;
  for (const int node : nodes) name += (name.empty() ? "" : "_") + std::to_string(node);
  return name;
}

StatusOr<int> Cell::Append(Lowering& lowering, const Operator& op, const Attributes& attributes,
                           NodeInputs inputs) const {
  auto node = AppendNode(lowering.graph, op, attributes, std::move(inputs));
  if (!node.ok()) return ErrorAt(lowering.file, position_, "cell: " + Message(node.status()));
  return node;
}

StatusOr<std::vector<int>> Cell::Inputs(Lowering& lowering, int input) const {
  std::vector<int> inputs = {input};
  if (shape_.inputs == 2) {
    const int before = lowering.previous_cell_input;
    inputs.insert(inputs.begin(), before < 0 ? input : before);
    lowering.previous_cell_input = input;
  }
  for (size_t i = 0; i < preprocess_.size(); ++i) {
    CANOPY_ASSIGN_OR_RETURN(inputs[i], preprocess_[i]->Lower(lowering, inputs[i]));
  }
  return inputs;
}

StatusOr<Cell::Adjacency> Cell::Edges(const Lowering& lowering) const {
  Adjacency present(nodes_.size());
  const auto value_of = [&](int decision) -> StatusOr<Value> {
    if (lowering.values[decision]) return *lowering.values[decision];
    return ErrorAt(lowering.file, position_, "cell: expected its decisions to be active wherever it is");
  };
  for (size_t to = 0; to < nodes_.size(); ++to) {
    const CellNode& node = nodes_[to];
    present[to].assign(node.edges.size(), true);
    if (node.pick >= 0) {
      CANOPY_ASSIGN_OR_RETURN(const Value picked, value_of(node.pick));
      const std::string names = "_" + std::get<std::string>(picked) + "_";
      for (size_t from = 0; from < node.edges.size(); ++from)
        present[to][from] = names.find("_" + std::to_string(from) + "_") != std::string::npos;
    }
    for (size_t from = 0; from < node.edges.size(); ++from) {
      if (node.edges[from].present < 0) continue;
      CANOPY_ASSIGN_OR_RETURN(const Value there, value_of(node.edges[from].present));
      present[to][from] = std::get<bool>(there);
    }
  }
  return present;
}

Status Cell::Prune(Adjacency& present, const Lowering& lowering) const {
  const int count = static_cast<int>(present.size());
  std::vector<bool> reached(count), needed(count);
  for (int i = 0; i < shape_.inputs; ++i) reached[i] = true;
  for (int to = shape_.inputs; to < count; ++to) {
    for (int from = 0; from < to; ++from)
      if (present[to][from] && reached[from]) reached[to] = true;
  }
  needed[count - 1] = reached[count - 1];
  int edges = 0;
  for (int to = count - 1; to >= shape_.inputs; --to) {
    for (int from = 0; from < to; ++from) {
      present[to][from] = present[to][from] && needed[to] && reached[from];
      if (!present[to][from]) continue;
      needed[from] = true;
      ++edges;
    }
  }
  if (!reached[count - 1])
    return ErrorAt(lowering.file, position_,
                   "cell: expected a path from its input to its output, found none");
  if (shape_.max_edges > 0 && edges > shape_.max_edges) {
    return ErrorAt(lowering.file, position_,
                   "cell: expected at most " + std::to_string(shape_.max_edges) + " edges, found " +
                       std::to_string(edges));
  }
  return {};
}

StatusOr<int> Cell::Lower(Lowering& lowering, int input) const {
  CANOPY_ASSIGN_OR_RETURN(Adjacency present, Edges(lowering));
  if (shape_.searched) CANOPY_RETURN_IF_ERROR(Prune(present, lowering));
  if (shape_.output == Output::kSplit) return LowerSplit(lowering, input, present);
  CANOPY_ASSIGN_OR_RETURN(std::vector<int> results, Inputs(lowering, input));
  for (size_t to = results.size(); to < nodes_.size(); ++to) {
    NodeInputs incoming;
    for (size_t from = 0; from < to; ++from) {
      if (!present[to][from]) continue;
      int result = results[from];
      if (const Block* edge = nodes_[to].edges[from].block.get()) {
        CANOPY_ASSIGN_OR_RETURN(result, edge->Lower(lowering, result));
      }
      incoming.push_back(result);
    }
    // Only what searched edges leave out has none, and nothing takes it.
    if (incoming.empty()) {
      results.push_back(-1);
      continue;
    }
    CANOPY_ASSIGN_OR_RETURN(int merged, Append(lowering, *shape_.merge, {}, std::move(incoming)));
    if (nodes_[to].block) {
      CANOPY_ASSIGN_OR_RETURN(merged, nodes_[to].block->Lower(lowering, merged));
    }
    results.push_back(merged);
  }
  if (shape_.output == Output::kLast) return results.back();
  return Append(lowering, *Concat(), {}, {results.begin() + shape_.inputs, results.end()});
}

StatusOr<int> Cell::Project(Lowering& lowering, int input, int64_t channels) const {
  CANOPY_ASSIGN_OR_RETURN(
      const int projected,
      Append(lowering, *Conv2d(), {{"out_channels", channels}, {"kernel", int64_t{1}}, {"bias", false}},
             {input}));
  CANOPY_ASSIGN_OR_RETURN(const int normed, Append(lowering, *BatchNorm(), {}, {projected}));
  return Append(lowering, *Relu(), {}, {normed});
}

// Ying et al., "NAS-Bench-101", 2019, appendix: nodes with an edge to the output share its channels evenly,
// the first ones one more where a rest is left; other nodes have as many as the widest that they feed. Edges
// from the input are projections, others cut what is too wide.
StatusOr<int> Cell::LowerSplit(Lowering& lowering, int input, const Adjacency& present) const {
  const auto value = shape_.channels->Get(lowering, input);
  if (!value.ok()) return ErrorAt(lowering.file, position_, "cell: " + Message(value.status()));
  const auto* channels = std::get_if<int64_t>(&*value);
  if (!channels || *channels < 1) {
    return ErrorAt(lowering.file, position_,
                   "cell: expected an integer from 1 for 'channels', found " + CanonicalText(*value));
  }
  const int output = static_cast<int>(nodes_.size()) - 1;
  CANOPY_ASSIGN_OR_RETURN(const std::vector<int> inputs, Inputs(lowering, input));
  std::vector<int64_t> widths(nodes_.size());
  const int64_t sharing = std::count(present[output].begin() + 1, present[output].end(), true);
  int64_t rest = sharing > 0 ? *channels % sharing : 0;
  for (int node = 1; node < output; ++node) {
    if (present[output][node]) widths[node] = *channels / sharing + (rest-- > 0 ? 1 : 0);
  }
  for (int node = output - 1; node > 0; --node) {
    for (int to = node + 1; to < output && !present[output][node]; ++to)
      if (present[to][node]) widths[node] = std::max(widths[node], widths[to]);
  }
  std::vector<int> results(nodes_.size(), -1);
  NodeInputs joined;
  for (int node = 1; node < output; ++node) {
    if (widths[node] == 0) continue;
    NodeInputs incoming;
    for (int from = 0; from < node; ++from) {
      if (!present[node][from]) continue;
      auto part = from == 0
                      ? Project(lowering, inputs[0], widths[node])
                      : Append(lowering, *FirstChannels(), {{"channels", widths[node]}}, {results[from]});
      CANOPY_ASSIGN_OR_RETURN(incoming.emplace_back(), std::move(part));
    }
    if (incoming.empty()) continue;
    CANOPY_ASSIGN_OR_RETURN(results[node], Append(lowering, *shape_.merge, {}, std::move(incoming)));
    if (nodes_[node].block) {
      CANOPY_ASSIGN_OR_RETURN(results[node], nodes_[node].block->Lower(lowering, results[node]));
    }
    if (present[output][node]) joined.push_back(results[node]);
  }
  if (joined.empty()) return Project(lowering, inputs[0], *channels);
  CANOPY_ASSIGN_OR_RETURN(const int concat, Append(lowering, *Concat(), {}, std::move(joined)));
  if (!present[output][0]) return concat;
  CANOPY_ASSIGN_OR_RETURN(const int projected, Project(lowering, inputs[0], *channels));
  return Append(lowering, *Add(), {}, {concat, projected});
}

}  // namespace canopy::search_space
