#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "search_spaces/blocks/expander.h"

namespace canopy::search_space {
namespace {

class Branches final : public Block {
 public:
  Branches(std::string merge, std::vector<std::unique_ptr<Block>> bodies, const v1::Position& position)
      : merge_(std::move(merge)), bodies_(std::move(bodies)), position_(position) {}

  StatusOr<int> Lower(Lowering& lowering, int input) const override {
    std::vector<int> results;
    const int previous = lowering.previous_cell_input;
    for (const auto& body : bodies_) {
      lowering.previous_cell_input = previous;
      CANOPY_ASSIGN_OR_RETURN(const int result, body->Lower(lowering, input));
      results.push_back(result);
    }
    lowering.previous_cell_input = previous;
    auto merged = AppendNode(lowering.graph, merge_, {}, std::move(results));
    if (!merged.ok()) return ErrorAt(lowering.file, position_, "branches: " + Message(merged.status()));
    return merged;
  }

 private:
  std::string merge_;
  std::vector<std::unique_ptr<Block>> bodies_;
  const v1::Position& position_;
};

}  // namespace

StatusOr<std::unique_ptr<Block>> ExpandBranches(const v1::BranchesBlock& block, const v1::Position& position,
                                                Expander& expander, Scope& scope) {
  CANOPY_RETURN_IF_ERROR(expander.CheckName(block.name(), position));
  CANOPY_RETURN_IF_ERROR(expander.CheckMerge(block.merge(), position));
  const auto& written = block.bodies().bodies();
  if (written.size() < 2 || written.size() > Expander::kMaxChoices) {
    return expander.Error(position, "expected from 2 to " + std::to_string(Expander::kMaxChoices) +
                                        " bodies, found " + std::to_string(written.size()));
  }
  Scope named(scope, block.name());
  Scope& inner = block.name().empty() ? scope : named;
  std::vector<std::unique_ptr<Block>> bodies;
  for (const v1::NamedBlock& body : written) {
    CANOPY_RETURN_IF_ERROR(expander.CheckName(body.name(), body.position()));
    Scope branch(inner, body.name());
    CANOPY_ASSIGN_OR_RETURN(bodies.emplace_back(), expander.Expand(body.value(), branch));
  }
  return std::make_unique<Branches>(block.merge(), std::move(bodies), position);
}

}  // namespace canopy::search_space
