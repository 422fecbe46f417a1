#include "search_spaces/blocks/choice.h"

#include <set>
#include <string_view>
#include <utility>
#include <vector>

namespace canopy::search_space {
namespace {

class Choice final : public Block {
 public:
  struct Branch {
    std::string name;
    std::unique_ptr<Block> block;
  };

  Choice(int decision, std::string name, std::vector<Branch> branches, const v1::Position& position)
      : decision_(decision), name_(std::move(name)), branches_(std::move(branches)), position_(position) {}

  StatusOr<int> Lower(Lowering& lowering, int input) const override {
    const Value* value = lowering.values[decision_];
    if (!value) {
      return ErrorAt(lowering.file, position_,
                     "expected '" + name_ + "' to be active wherever this choice is, found it inactive");
    }
    const auto& chosen = std::get<std::string>(*value);
    for (const Branch& branch : branches_) {
      if (branch.name == chosen) return branch.block->Lower(lowering, input);
    }
    return ErrorAt(lowering.file, position_, "expected a choice of '" + name_ + "', found '" + chosen + "'");
  }

 private:
  int decision_;
  std::string name_;
  std::vector<Branch> branches_;
  const v1::Position& position_;
};

}  // namespace

StatusOr<std::unique_ptr<Block>> ExpandChoice(
    const google::protobuf::RepeatedPtrField<v1::NamedBlock>& choices, const std::string& name,
    const std::string& branch_prefix, const v1::Position& position, Expander& expander, Scope& scope) {
  if (choices.empty()) return expander.Error(position, "expected at least one choice, found none");
  if (choices.size() > Expander::kMaxChoices) {
    return expander.Error(position, "expected at most " + std::to_string(Expander::kMaxChoices) +
                                        " choices, found " + std::to_string(choices.size()));
  }
  std::vector<Value> names;
  std::set<std::string_view> seen;
  for (const auto& choice : choices) {
    CANOPY_RETURN_IF_ERROR(expander.CheckName(choice.name(), choice.position()));
    if (choice.name().empty() || !seen.insert(choice.name()).second) {
      return expander.Error(choice.position(),
                            "expected each choice once, found '" + choice.name() + "' again");
    }
    names.emplace_back(choice.name());
  }
  CANOPY_ASSIGN_OR_RETURN(const int decision, expander.DeclareChoice(position, name, names, scope));
  const std::string decision_name = expander.decisions()[decision].name;
  std::vector<Choice::Branch> branches;
  for (const auto& choice : choices) {
    Scope branch(scope, branch_prefix + choice.name());
    auto chosen = Expression::Parse(decision_name + " == '" + choice.name() + "'");
    if (!chosen.ok()) return expander.Error(position, Message(chosen.status()));
    branch.AddCondition(*std::move(chosen));
    CANOPY_ASSIGN_OR_RETURN(std::unique_ptr<Block> block, expander.Expand(choice.value(), branch));
    branches.push_back({choice.name(), std::move(block)});
  }
  return std::make_unique<Choice>(decision, decision_name, std::move(branches), position);
}

StatusOr<std::unique_ptr<Block>> ExpandOneOf(const v1::OneOfBlock& block, const v1::Position& position,
                                             Expander& expander, Scope& scope) {
  return ExpandChoice(block.choices(), block.name().empty() ? "op" : block.name(), "", position, expander,
                      scope);
}

}  // namespace canopy::search_space
