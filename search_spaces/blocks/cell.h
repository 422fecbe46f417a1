#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "search_spaces/blocks/block.h"

namespace canopy::search_space {

inline constexpr int kMaxCellNodes = 32;

// A directed acyclic graph of blocks. Immutable once expanded.
class Cell final : public Block {
 public:
  enum class Output { kLast, kConcat, kSplit };
  // An edge from an earlier node.
  struct Edge {
    std::unique_ptr<Block> block;  // null: passes its node on
    int present = -1;              // the decision whether it is there; -1: always
  };
  struct CellNode {
    std::vector<Edge> edges;       // from node 0 on
    int pick = -1;                 // the decision which of the edges are there
    std::unique_ptr<Block> block;  // null: none
  };
  struct Shape {
    int inputs = 1;
    bool searched = false;  // edges are there or not
    int max_edges = 0;      // 0: any number
    const Operator* merge = nullptr;
    Output output = Output::kLast;
    std::optional<ValueSource> channels;  // with kSplit
  };

  Cell(Shape shape, std::vector<std::unique_ptr<Block>> preprocess, std::vector<CellNode> nodes,
       const v1::Position& position)
      : shape_(std::move(shape)),
        preprocess_(std::move(preprocess)),
        nodes_(std::move(nodes)),
        position_(position) {}

  StatusOr<int> Lower(Lowering& lowering, int input) const override;

 private:
  // present[to][from]
  using Adjacency = std::vector<std::vector<bool>>;
  StatusOr<Adjacency> Edges(const Lowering& lowering) const;
  // Leaves the edges on paths from an input to the last node; InvalidArgument where there are none or too
  // many.
  Status Prune(Adjacency& present, const Lowering& lowering) const;
  StatusOr<std::vector<int>> Inputs(Lowering& lowering, int input) const;
  StatusOr<int> LowerSplit(Lowering& lowering, int input, const Adjacency& present) const;
  StatusOr<int> Append(Lowering& lowering, const Operator& op, const Attributes& attributes,
                       NodeInputs inputs) const;
  StatusOr<int> Project(Lowering& lowering, int input, int64_t channels) const;

  Shape shape_;
  std::vector<std::unique_ptr<Block>> preprocess_;  // of each input, or none
  std::vector<CellNode> nodes_;                     // inputs are empty ones
  const v1::Position& position_;
};

// The decision value that stands for those earlier nodes: "0_2".
std::string PickName(const std::vector<int>& nodes);

}  // namespace canopy::search_space
