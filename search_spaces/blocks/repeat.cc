#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "search_spaces/blocks/expander.h"

namespace canopy::search_space {
namespace {

class Repeat final : public Block {
 public:
  Repeat(ValueSource count, std::vector<std::unique_ptr<Block>> copies, const v1::Position& position)
      : count_(std::move(count)), copies_(std::move(copies)), position_(position) {}

  StatusOr<int> Lower(Lowering& lowering, int input) const override {
    const auto count = count_.Get(lowering, input);
    if (!count.ok()) return ErrorAt(lowering.file, position_, Message(count.status()));
    int node = input;
    for (int64_t i = 0; i < std::get<int64_t>(*count); ++i) {
      CANOPY_ASSIGN_OR_RETURN(node, copies_[i]->Lower(lowering, node));
    }
    return node;
  }

 private:
  ValueSource count_;
  std::vector<std::unique_ptr<Block>> copies_;
  const v1::Position& position_;  // of the count
};

struct Range {
  int64_t least, most;
};

// The counts that a repeat can have.
StatusOr<Range> CountRange(const ValueSource& count, const v1::Position& position, const Expander& expander) {
  const auto expected = [&](const std::string& found) {
    return expander.Error(
        position, "expected a count of 0 or more, an integer or a decision between integers, found " + found);
  };
  std::vector<Value> values;
  if (const Value* constant = count.constant()) {
    values.push_back(*constant);
  } else if (count.decision() >= 0) {
    const Decision& decision = expander.decisions()[count.decision()];
    values = decision.choices;
    if (decision.kind == DecisionKind::kInteger) {
      values = {static_cast<int64_t>(decision.low), static_cast<int64_t>(decision.high)};
    }
  }
  if (values.empty()) return expected("an expression or a range of numbers");
  Range range{INT64_MAX, 0};
  for (const Value& value : values) {
    const int64_t* integer = std::get_if<int64_t>(&value);
    if (!integer || *integer < 0) return expected(CanonicalText(value));
    range = {std::min(range.least, *integer), std::max(range.most, *integer)};
  }
  return range;
}

}  // namespace

StatusOr<std::unique_ptr<Block>> ExpandRepeat(const v1::RepeatBlock& block, const v1::Position& position,
                                              Expander& expander, Scope& scope) {
  const std::string name = block.name().empty() ? "block" : block.name();
  CANOPY_RETURN_IF_ERROR(expander.CheckName(name, position));
  const v1::Position& place = block.count().position();
  CANOPY_ASSIGN_OR_RETURN(ValueSource count, expander.Resolve(block.count(), name + "_count", scope));
  CANOPY_ASSIGN_OR_RETURN(const Range range, CountRange(count, place, expander));
  CANOPY_RETURN_IF_ERROR(expander.CheckExpansion(block.body(), range.most, place));
  std::vector<std::unique_ptr<Block>> copies;
  for (int64_t k = 1; k <= range.most; ++k) {
    Scope copy(scope, block.share() ? "" : name + std::to_string(k));
    copy.SetConstant(name, k);
    // Shared decisions matter as soon as there is one copy.
    const int64_t needed = block.share() ? 1 : k;
    if (range.least < needed) {
      const std::string& decision = expander.decisions()[count.decision()].name;
      auto there = Expression::Parse(decision + " >= " + std::to_string(needed));
      if (!there.ok()) return expander.Error(place, Message(there.status()));
      copy.AddCondition(*std::move(there));
    }
    CANOPY_RETURN_IF_ERROR(expander.DeclareAll(block.decisions(), DecisionRole::kArchitecture, copy));
    CANOPY_ASSIGN_OR_RETURN(copies.emplace_back(), expander.Expand(block.body(), copy));
  }
  return std::make_unique<Repeat>(std::move(count), std::move(copies), place);
}

}  // namespace canopy::search_space
