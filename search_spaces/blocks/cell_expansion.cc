#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "search_spaces/blocks/cell.h"
#include "search_spaces/blocks/choice.h"
#include "search_spaces/blocks/expander.h"

namespace canopy::search_space {
namespace {

// All sets of `size` of the first `count` nodes, in order; empty where they are more than `most`.
std::vector<std::vector<int>> Subsets(int count, int size, size_t most) {
  std::vector<std::vector<int>> sets;
  std::vector<int> set(size);
  for (int i = 0; i < size; ++i) set[i] = i;
  while (true) {
    if (sets.size() == most) return {};
    sets.push_back(set);
    int i = size - 1;
    while (i >= 0 && set[i] == count - size + i) --i;
    if (i < 0) return sets;
    ++set[i];
    for (int k = i + 1; k < size; ++k) set[k] = set[k - 1] + 1;
  }
}

class CellExpander {
 public:
  CellExpander(const v1::CellBlock& block, const v1::Position& position, Expander& expander, Scope& scope)
      : block_(block), position_(position), expander_(expander), scope_(scope) {}

  StatusOr<std::unique_ptr<Block>> Run() {
    CANOPY_RETURN_IF_ERROR(ReadShape());
    std::vector<std::unique_ptr<Block>> preprocess;
    for (int i = 0; i < block_.preprocess_size(); ++i) {
      Scope input(scope_, "input_" + std::to_string(i));
      CANOPY_ASSIGN_OR_RETURN(preprocess.emplace_back(), expander_.Expand(block_.preprocess(i), input));
    }
    std::vector<Cell::CellNode> nodes(shape_.inputs);
    const bool output_node = shape_.output != Cell::Output::kConcat;
    for (int to = shape_.inputs; to < block_.nodes(); ++to) {
      Cell::CellNode& node = nodes.emplace_back();
      CANOPY_RETURN_IF_ERROR(ExpandEdges(to, node));
      if (block_.node_choices().empty() || (output_node && to == block_.nodes() - 1)) continue;
      const std::string name = "node_" + std::to_string(to);
      CANOPY_ASSIGN_OR_RETURN(node.block, ExpandChoice(block_.node_choices(), name + "_op", name + "_",
                                                       position_, expander_, scope_));
    }
    return std::make_unique<Cell>(std::move(shape_), std::move(preprocess), std::move(nodes), position_);
  }

 private:
  Status Expected(const std::string& message) const {
    return expander_.Error(position_, "expected " + message);
  }

  Status TooManySets() const {
    return Expected("fewer nodes or node_inputs: a node has too many sets of inputs");
  }

  Status ReadShape() {
    shape_.inputs = block_.inputs() == 0 ? 1 : block_.inputs();
    if (shape_.inputs < 1 || shape_.inputs > 2)
      return Expected("1 or 2 inputs, found " + std::to_string(block_.inputs()));
    const int least = shape_.inputs + 1;
    if (block_.nodes() < least || block_.nodes() > kMaxCellNodes) {
      return Expected("from " + std::to_string(least) + " to " + std::to_string(kMaxCellNodes) +
                      " nodes, found " + std::to_string(block_.nodes()));
    }
    const std::string merge = block_.merge().empty() ? "add" : block_.merge();
    CANOPY_RETURN_IF_ERROR(expander_.CheckMerge(merge, position_));
    shape_.merge = FindOperator(merge);
    if (block_.edge_choices().empty() && block_.node_choices().empty())
      return Expected("edge_choices or node_choices, found none");
    if (!block_.preprocess().empty() && block_.preprocess_size() != shape_.inputs) {
      return Expected("a block for each of " + std::to_string(shape_.inputs) +
                      " inputs as preprocess, found " + std::to_string(block_.preprocess_size()));
    }
    CANOPY_RETURN_IF_ERROR(ReadEdges());
    CANOPY_RETURN_IF_ERROR(ReadOutput());
    return ReadStride();
  }

  Status ReadEdges() {
    if (!block_.edges().empty() && block_.edges() != "all" && block_.edges() != "searched")
      return Expected("all or searched as edges, found '" + block_.edges() + "'");
    shape_.searched = block_.edges() == "searched";
    if (shape_.searched && (!block_.edge_choices().empty() || block_.node_inputs() != 0))
      return Expected("neither edge_choices nor node_inputs beside edges: searched");
    if (block_.node_inputs() < 0 || block_.node_inputs() > kMaxCellNodes) {
      return Expected("node_inputs from 1 to " + std::to_string(kMaxCellNodes) + ", found " +
                      std::to_string(block_.node_inputs()));
    }
    if (block_.max_edges() < 0 || (block_.max_edges() > 0 && !shape_.searched))
      return Expected("max_edges from 1, beside edges: searched only");
    shape_.max_edges = block_.max_edges();
    return {};
  }

  Status ReadOutput() {
    const std::string& output = block_.output();
    if (!output.empty() && output != "last" && output != "concat" && output != "split")
      return Expected("last, concat or split as output, found '" + output + "'");
    if (output == "concat") shape_.output = Cell::Output::kConcat;
    if (output == "split") shape_.output = Cell::Output::kSplit;
    if (shape_.searched && output == "concat")
      return Expected("last or split as output beside edges: searched");
    if ((output == "split") != block_.has_channels()) return Expected("channels and output: split together");
    if (output != "split") return {};
    if (!shape_.searched || shape_.inputs != 1)
      return Expected("one input and edges: searched beside output: split");
    CANOPY_ASSIGN_OR_RETURN(shape_.channels, expander_.Resolve(block_.channels(), "channels", scope_));
    return {};
  }

  Status ReadStride() {
    if (!block_.has_stride()) return {};
    if (block_.edge_choices().empty()) return Expected("stride beside edge_choices only");
    CANOPY_ASSIGN_OR_RETURN(const ValueSource source, expander_.Resolve(block_.stride(), "stride", scope_));
    const int64_t* stride = source.constant() ? std::get_if<int64_t>(source.constant()) : nullptr;
    if (!stride || *stride < 1)
      return expander_.Error(block_.stride().position(),
                             "expected an integer from 1 that no decision changes");
    stride_ = *stride;
    return {};
  }

  Status ExpandEdges(int to, Cell::CellNode& node) {
    node.edges.resize(to);
    std::vector<std::vector<int>> sets;
    if (block_.node_inputs() > 0 && block_.node_inputs() < to) {
      sets = Subsets(to, block_.node_inputs(), Expander::kMaxChoices);
      if (sets.empty()) return TooManySets();
      std::vector<Value> names;
      for (const auto& set : sets) names.emplace_back(PickName(set));
      CANOPY_ASSIGN_OR_RETURN(
          node.pick,
          expander_.DeclareChoice(position_, "node_" + std::to_string(to) + "_inputs", names, scope_));
    }
    for (int from = 0; from < to; ++from) {
      const std::string name = "edge_" + std::to_string(from) + "_" + std::to_string(to);
      if (shape_.searched) {
        CANOPY_ASSIGN_OR_RETURN(node.edges[from].present,
                                expander_.DeclareChoice(position_, name, {false, true}, scope_));
      }
      if (block_.edge_choices().empty()) continue;
      Scope edge(scope_, "");
      if (stride_) edge.SetConstant("stride", from < shape_.inputs ? *stride_ : int64_t{1});
      if (!sets.empty()) CANOPY_RETURN_IF_ERROR(AddPicked(from, node.pick, sets, edge));
      CANOPY_ASSIGN_OR_RETURN(node.edges[from].block,
                              ExpandChoice(block_.edge_choices(), name, name + "_", position_, expander_,
                                           stride_ || !sets.empty() ? edge : scope_));
    }
    return {};
  }

  // The edge's decisions are active where one of the sets that hold `from` is picked.
  Status AddPicked(int from, int pick, const std::vector<std::vector<int>>& sets, Scope& edge) const {
    std::string condition = expander_.decisions()[pick].name + " in [";
    for (const auto& set : sets) {
      if (std::find(set.begin(), set.end(), from) == set.end()) continue;
      condition += (condition.back() == '[' ? "'" : ", '") + PickName(set) + "'";
    }
    auto picked = Expression::Parse(condition + "]");
    if (!picked.ok()) return TooManySets();
    edge.AddCondition(*std::move(picked));
    return {};
  }

  const v1::CellBlock& block_;
  const v1::Position& position_;
  Expander& expander_;
  Scope& scope_;
  Cell::Shape shape_;
  std::optional<int64_t> stride_;
};

}  // namespace

StatusOr<std::unique_ptr<Block>> ExpandCell(const v1::CellBlock& block, const v1::Position& position,
                                            Expander& expander, Scope& scope) {
  CANOPY_RETURN_IF_ERROR(expander.CheckName(block.name(), position));
  Scope named(scope, block.name());
  return CellExpander(block, position, expander, block.name().empty() ? scope : named).Run();
}

}  // namespace canopy::search_space
