#include <memory>
#include <utility>
#include <vector>

#include "search_spaces/blocks/expander.h"

namespace canopy::search_space {
namespace {

class Sequence final : public Block {
 public:
  explicit Sequence(std::vector<std::unique_ptr<Block>> blocks) : blocks_(std::move(blocks)) {}

  StatusOr<int> Lower(Lowering& lowering, int input) const override {
    int node = input;
    for (const auto& block : blocks_) {
      CANOPY_ASSIGN_OR_RETURN(node, block->Lower(lowering, node));
    }
    return node;
  }

 private:
  std::vector<std::unique_ptr<Block>> blocks_;
};

}  // namespace

StatusOr<std::unique_ptr<Block>> ExpandSequence(const v1::SequenceBlock& block, const v1::Position& position,
                                                Expander& expander, Scope& scope) {
  CANOPY_RETURN_IF_ERROR(expander.CheckName(block.name(), position));
  Scope named(scope, block.name());
  Scope& inner = block.name().empty() ? scope : named;
  CANOPY_RETURN_IF_ERROR(expander.DeclareAll(block.decisions(), DecisionRole::kArchitecture, inner));
  std::vector<std::unique_ptr<Block>> blocks;
  for (const v1::Block& child : block.blocks()) {
    CANOPY_ASSIGN_OR_RETURN(blocks.emplace_back(), expander.Expand(child, inner));
  }
  return std::make_unique<Sequence>(std::move(blocks));
}

}  // namespace canopy::search_space
