#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "search_spaces/blocks/expander.h"

namespace canopy::search_space {
namespace {

class Optional final : public Block {
 public:
  Optional(Expression there, std::vector<int> slots, std::unique_ptr<Block> body,
           const v1::Position& position)
      : there_(std::move(there)), slots_(std::move(slots)), body_(std::move(body)), position_(position) {}

  StatusOr<int> Lower(Lowering& lowering, int input) const override {
    absl::InlinedVector<const Value*, 4> values;
    for (const int slot : slots_) {
      // A condition on an inactive decision does not hold.
      if (!lowering.values[slot]) return input;
      values.push_back(lowering.values[slot]);
    }
    const auto there = there_.Evaluate(values);
    if (!there.ok()) return ErrorAt(lowering.file, position_, Message(there.status()));
    const bool* flag = std::get_if<bool>(&*there);
    if (!flag)
      return ErrorAt(lowering.file, position_, "expected a condition, found '" + there_.text() + "'");
    return *flag ? body_->Lower(lowering, input) : input;
  }

 private:
  Expression there_;
  std::vector<int> slots_;
  std::unique_ptr<Block> body_;
  const v1::Position& position_;
};

// A block that is never there.
class Nothing final : public Block {
 public:
  StatusOr<int> Lower(Lowering&, int input) const override { return input; }
};

}  // namespace

StatusOr<std::unique_ptr<Block>> ExpandOptional(const v1::OptionalBlock& block, const v1::Position& position,
                                                Expander& expander, Scope& scope) {
  CANOPY_RETURN_IF_ERROR(expander.CheckName(block.name(), position));
  std::string condition = block.when();
  if (condition.empty()) {
    const std::string name = block.name().empty() ? "present" : block.name();
    CANOPY_ASSIGN_OR_RETURN(const int decision, expander.DeclareChoice(position, name, {false, true}, scope));
    condition = expander.decisions()[decision].name;
  }
  CANOPY_ASSIGN_OR_RETURN(Expression there, expander.ResolveCondition(condition, position, scope));
  CANOPY_ASSIGN_OR_RETURN(const std::optional<bool> constant, expander.ConstantCondition(there, position));
  if (constant && !*constant) return std::make_unique<Nothing>();
  Scope inner(scope, block.name());
  if (!constant) inner.AddCondition(there);
  CANOPY_ASSIGN_OR_RETURN(std::unique_ptr<Block> body, expander.Expand(block.body(), inner));
  if (constant) return body;
  std::vector<int> slots = expander.Slots(there);
  return std::make_unique<Optional>(std::move(there), std::move(slots), std::move(body), position);
}

}  // namespace canopy::search_space
