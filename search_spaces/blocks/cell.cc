#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "search_spaces/blocks/choice.h"
#include "search_spaces/blocks/expander.h"

namespace canopy::search_space {
namespace {

class Cell final : public Block {
 public:
  // edges[k] holds the edges into node k + 1, from node 0 on.
  using Edges = std::vector<std::vector<std::unique_ptr<Block>>>;

  Cell(Edges edges, std::string merge, const v1::Position& position)
      : edges_(std::move(edges)), merge_(std::move(merge)), position_(position) {}

  StatusOr<int> Lower(Lowering& lowering, int input) const override {
    std::vector<int> nodes = {input};
    for (const auto& incoming : edges_) {
      std::vector<int> results;
      for (size_t from = 0; from < incoming.size(); ++from) {
        CANOPY_ASSIGN_OR_RETURN(const int result, incoming[from]->Lower(lowering, nodes[from]));
        results.push_back(result);
      }
      auto merged = AppendNode(lowering.graph, merge_, {}, std::move(results));
      if (!merged.ok()) return ErrorAt(lowering.file, position_, "cell: " + Message(merged.status()));
      nodes.push_back(*merged);
    }
    return nodes.back();
  }

 private:
  Edges edges_;
  std::string merge_;
  const v1::Position& position_;
};

constexpr int kMaxCellNodes = 32;

}  // namespace

StatusOr<std::unique_ptr<Block>> ExpandCell(const v1::CellBlock& block, const v1::Position& position,
                                            Expander& expander, Scope& scope) {
  CANOPY_RETURN_IF_ERROR(expander.CheckName(block.name(), position));
  if (block.nodes() < 2 || block.nodes() > kMaxCellNodes) {
    return expander.Error(position, "expected from 2 to " + std::to_string(kMaxCellNodes) + " nodes, found " +
                                        std::to_string(block.nodes()));
  }
  const std::string merge = block.merge().empty() ? "add" : block.merge();
  CANOPY_RETURN_IF_ERROR(expander.CheckMerge(merge, position));
  Scope named(scope, block.name());
  Scope& inner = block.name().empty() ? scope : named;
  Cell::Edges edges;
  for (int to = 1; to < block.nodes(); ++to) {
    auto& incoming = edges.emplace_back();
    for (int from = 0; from < to; ++from) {
      const std::string name = "edge_" + std::to_string(from) + "_" + std::to_string(to);
      CANOPY_ASSIGN_OR_RETURN(incoming.emplace_back(), ExpandChoice(block.edge_choices(), name, name + "_",
                                                                    position, expander, inner));
    }
  }
  return std::make_unique<Cell>(std::move(edges), merge, position);
}

}  // namespace canopy::search_space
