#include "search_spaces/ops/operator.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "base/check.h"
#include "search_spaces/blocks/expander.h"

namespace canopy::search_space {
namespace {

class OperatorApplication final : public Block {
 public:
  struct AttributeSource {
    std::string name;
    ValueSource source;
    const v1::Position& position;
  };

  OperatorApplication(const Operator& op, std::vector<AttributeSource> attributes,
                      const v1::Position& position)
      : op_(op), attributes_(std::move(attributes)), position_(position) {
    absl::InlinedVector<GivenAttribute, 8> given;
    for (const AttributeSource& attribute : attributes_) {
      if (!attribute.source.constant()) return;
      given.push_back({attribute.name, attribute.source.constant()});
    }
    auto complete = CompleteAttributes(op_, given);
    if (complete.ok()) constant_ = *std::move(complete);
  }

  StatusOr<int> Lower(Lowering& lowering, int input) const override {
    if (constant_) return Append(lowering, *constant_, input);
    absl::InlinedVector<Value, 8> values;
    for (const AttributeSource& attribute : attributes_) {
      auto value = attribute.source.Get(lowering, input);
      if (!value.ok()) return ErrorAt(lowering.file, attribute.position, Message(value.status()));
      values.push_back(*std::move(value));
    }
    absl::InlinedVector<GivenAttribute, 8> given;
    for (size_t i = 0; i < values.size(); ++i) given.push_back({attributes_[i].name, &values[i]});
    auto attributes = CompleteAttributes(op_, given);
    if (!attributes.ok()) {
      return ErrorAt(lowering.file, position_, Message(WithContext(attributes.status(), op_.name())));
    }
    return Append(lowering, *std::move(attributes), input);
  }

 private:
  StatusOr<int> Append(Lowering& lowering, Attributes attributes, int input) const {
    auto node = AppendCompleteNode(lowering.graph, op_, std::move(attributes), {input});
    if (!node.ok()) return ErrorAt(lowering.file, position_, Message(node.status()));
    return node;
  }

  const Operator& op_;
  std::vector<AttributeSource> attributes_;
  std::optional<Attributes> constant_;  // all of the operator's, where no decision changes one
  const v1::Position& position_;
};

ValueKind KindOf(const AttributeSpec& spec) {
  switch (spec.type) {
    case AttributeSpec::Type::kSwitch:
      return ValueKind::kSwitch;
    case AttributeSpec::Type::kWord:
      return ValueKind::kWord;
    default:
      return ValueKind::kNumber;
  }
}

// OK where every value that the attribute can take by itself fits, and expressions are of its kind: which
// values they give is seen when a candidate is lowered.
Status CheckValues(const AttributeSpec& spec, const ValueSource& source, const Expander& expander) {
  if (const Value* constant = source.constant()) return NormalizeAttribute(spec, Value(*constant)).status();
  if (const auto kind = source.kind(); kind && *kind != KindOf(spec)) {
    return InvalidArgument("expected " + std::string(Describe(KindOf(spec))) + " for '" +
                           std::string(spec.name) + "', found an expression that gives " +
                           std::string(Describe(*kind)));
  }
  if (source.decision() < 0) return {};
  const Decision& decision = expander.decisions()[source.decision()];
  std::vector<Value> values = decision.choices;
  if (decision.kind == DecisionKind::kFloat) values = {decision.low, decision.high};
  if (decision.kind == DecisionKind::kInteger) {
    values = {static_cast<int64_t>(decision.low), static_cast<int64_t>(decision.high)};
  }
  for (const Value& value : values) {
    CANOPY_RETURN_IF_ERROR(NormalizeAttribute(spec, value).status());
  }
  return {};
}

}  // namespace

StatusOr<std::unique_ptr<Block>> ExpandOperator(const v1::OperatorBlock& block, const v1::Position& position,
                                                Expander& expander, Scope& scope) {
  const Operator* op = expander.UseOperator(block.op());
  CANOPY_CHECK(op != nullptr, block.op());
  CANOPY_RETURN_IF_ERROR(expander.CheckName(block.name(), position));
  Scope named(scope, block.name());
  Scope& inner = block.name().empty() ? scope : named;
  std::vector<OperatorApplication::AttributeSource> attributes;
  for (const auto& attribute : block.attributes()) {
    const auto spec = FindSpec(*op, attribute.name());
    CANOPY_CHECK(spec.has_value(), attribute.name());
    CANOPY_ASSIGN_OR_RETURN(ValueSource source,
                            expander.Resolve(attribute.value(), attribute.name(), inner, spec->words));
    const v1::Position& place = attribute.value().position();
    const Status fits = CheckValues(*spec, source, expander);
    if (!fits.ok()) return expander.Error(place, Message(fits));
    attributes.push_back({attribute.name(), std::move(source), place});
  }
  for (const AttributeSpec& spec : op->attributes()) {
    const auto& given = block.attributes();
    const auto names = [&](const auto& a) {
      return a.name() == spec.name || (spec.per_axis && a.name() == AxisNames(spec.name).height);
    };
    const bool there = std::any_of(given.begin(), given.end(), names);
    if (!there && !spec.fallback && !spec.derived) {
      return expander.Error(position, block.op() + ": expected '" + std::string(spec.name) + "', found none");
    }
  }
  const auto [least, most] = op->arity();
  if (least > 1 || most < 1) {
    return expander.Error(position, "expected an operator of one input, found '" + block.op() + "'");
  }
  return std::make_unique<OperatorApplication>(*op, std::move(attributes), position);
}

}  // namespace canopy::search_space
