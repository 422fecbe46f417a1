#include "search_spaces/blocks/expander.h"

#include <algorithm>
#include <set>
#include <utility>

#include "base/check.h"
#include "base/strings.h"
#include "search_spaces/compared_word.h"
#include "search_spaces/reserved_names.h"
#include "search_spaces/space_file.h"

namespace canopy::search_space {
namespace {

bool IsDecision(const v1::SpaceValue& value) {
  switch (value.kind_case()) {
    case v1::SpaceValue::kChoice:
    case v1::SpaceValue::kOrdinal:
    case v1::SpaceValue::kInt:
    case v1::SpaceValue::kFloat:
      return true;
    default:
      return false;
  }
}

// The names that values of the network may use besides decisions.
std::vector<std::string> FreeNames() {
  std::vector<std::string> names;
  for (const ShapeName& shape : ShapeNames()) names.emplace_back(shape.name);
  return names;
}

// Fills choices from a list; the message of the error is without its place.
Status FillChoices(const v1::LiteralList& list, Decision& decision) {
  if (list.values_size() > Expander::kMaxChoices) {
    return InvalidArgument("expected at most " + std::to_string(Expander::kMaxChoices) + " values, found " +
                           std::to_string(list.values_size()));
  }
  for (const v1::Literal& literal : list.values()) decision.choices.push_back(ToValue(literal));
  const bool any_double = std::any_of(decision.choices.begin(), decision.choices.end(),
                                      [](const Value& v) { return std::holds_alternative<double>(v); });
  std::set<Value> seen;
  for (Value& value : decision.choices) {
    if (any_double && IsNumber(value)) value = AsDouble(value);
    if (value.index() != decision.choices.front().index()) {
      return InvalidArgument("expected values of one type, found " + CanonicalText(decision.choices.front()) +
                             " and " + CanonicalText(value));
    }
    if (!seen.insert(value).second) {
      return InvalidArgument("expected each value once, found " + CanonicalText(value) + " twice");
    }
  }
  return {};
}

Status CheckOrdinal(const std::vector<Value>& choices) {
  for (size_t i = 0; i < choices.size(); ++i) {
    if (!IsNumber(choices[i])) return InvalidArgument("expected numbers, found " + CanonicalText(choices[i]));
    if (i && AsDouble(choices[i]) <= AsDouble(choices[i - 1])) {
      return InvalidArgument("expected values in rising order, found " + CanonicalText(choices[i]) +
                             " after " + CanonicalText(choices[i - 1]));
    }
  }
  return {};
}

StatusOr<Decision> ReadDecision(const v1::SpaceValue& value) {
  Decision decision;
  if (value.has_choice()) {
    decision.kind = DecisionKind::kCategorical;
    CANOPY_RETURN_IF_ERROR(FillChoices(value.choice(), decision));
  } else if (value.has_ordinal()) {
    decision.kind = DecisionKind::kOrdinal;
    CANOPY_RETURN_IF_ERROR(FillChoices(value.ordinal(), decision));
    CANOPY_RETURN_IF_ERROR(CheckOrdinal(decision.choices));
  } else if (value.has_int_()) {
    decision.kind = DecisionKind::kInteger;
    decision.low = static_cast<double>(value.int_().low());
    decision.high = static_cast<double>(value.int_().high());
  } else if (value.has_float_()) {
    decision.kind = DecisionKind::kFloat;
    decision.low = value.float_().low();
    decision.high = value.float_().high();
  } else {
    return InvalidArgument("expected a decision: a map of one of choice, ordinal, int, float");
  }
  decision.log = value.log();
  const bool range = value.has_int_() || value.has_float_();
  if (decision.log && !range) return InvalidArgument("expected log with int and float only");
  if (decision.log && decision.low <= 0) return InvalidArgument("expected a low end above 0 with log");
  return decision;
}

}  // namespace

Scope::Scope(Scope& parent, const std::string& name)
    : parent_(&parent),
      prefix_(parent.prefix_),
      instance_(parent.instance_),
      conditions_(parent.conditions_) {
  if (!name.empty()) prefix_ += name + "_";
}

StatusOr<std::unique_ptr<Block>> Expander::Expand(const v1::Block& block, Scope& scope) {
  const v1::Position& position = block.position();
  if (++blocks_ > kMaxBlocks) {
    return Error(position, "expected at most " + std::to_string(kMaxBlocks) + " blocks in all, found more");
  }
  switch (block.kind_case()) {
    case v1::Block::kOp:
      return ExpandOperator(block.op(), position, *this, scope);
    case v1::Block::kSequence:
      return ExpandSequence(block.sequence(), position, *this, scope);
    case v1::Block::kOneOf:
      return ExpandOneOf(block.one_of(), position, *this, scope);
    case v1::Block::kRepeat:
      return ExpandRepeat(block.repeat(), position, *this, scope);
    case v1::Block::kResidual:
      return ExpandResidual(block.residual(), position, *this, scope);
    case v1::Block::kOptional:
      return ExpandOptional(block.optional(), position, *this, scope);
    case v1::Block::kBranches:
      return ExpandBranches(block.branches(), position, *this, scope);
    case v1::Block::kCell:
      return ExpandCell(block.cell(), position, *this, scope);
    case v1::Block::kUse:
      return ExpandUse(block.use(), position, *this, scope);
    case v1::Block::KIND_NOT_SET:
      break;
  }
  return Error(position, "expected a block, found nothing");
}

const Operator* Expander::UseOperator(const std::string& name) {
  const Operator* op = operators_.Find(name);
  if (op && !op->definition().empty()) own_operators_.insert(name);
  return op;
}

Status Expander::CheckExpansion(const v1::Block& body, int64_t copies, const v1::Position& position) const {
  // A body that is never built is not walked either.
  if (copies <= 0 || SaturatingProduct(copies, definitions_.Count(body)) <= kMaxBlocks) return {};
  return Error(position,
               "expected at most " + std::to_string(kMaxBlocks) + " blocks after expansion, found more");
}

Status Expander::CheckName(const std::string& name, const v1::Position& position) const {
  if (name.empty() || IsLowerSnake(name)) return {};
  return Error(position,
               "expected a name of lower-case letters, digits and _ that begins with a letter, of at most "
               "63 characters, found '" +
                   name + "'");
}

StatusOr<int> Expander::Add(Decision decision, const std::string& name, const v1::Position& position,
                            Scope& scope) {
  decision.name = scope.prefix_ + name;
  CANOPY_RETURN_IF_ERROR(CheckName(decision.name, position));
  if (const std::string_view reserved = ReservedFor(decision.name, name); !reserved.empty()) {
    return Error(position, "expected a name of its own, found '" + decision.name + "', which is " +
                               std::string(reserved) + ": give this decision another `name`");
  }
  decision.conditions.insert(decision.conditions.begin(), scope.conditions_.begin(), scope.conditions_.end());
  const auto known = by_name_.find(decision.name);
  if (known != by_name_.end()) {
    const Decision& other = decisions_[known->second];
    if (places_[known->second] != &position || instances_[known->second] != scope.instance_) {
      return Error(
          position,
          "expected a name of its own, found '" + decision.name + "' again: give this decision or " +
              (scope.instance_ == 0 ? "a block around it another `name`"
                                    : "the `use` around it another `name`, or let all uses `share`"));
    }
    // The copies of a shared repeat and the uses that share declare their decisions once.
    const bool same =
        std::equal(other.conditions.begin(), other.conditions.end(), decision.conditions.begin(),
                   decision.conditions.end(),
                   [](const Expression& a, const Expression& b) { return a.text() == b.text(); });
    if (same) {
      scope.decisions_[name] = known->second;
      return known->second;
    }
    return Error(position, "expected the same conditions for '" + decision.name +
                               "' in every copy that shares it: leave out `share`");
  }
  if (decisions_.size() >= kMaxDecisions) {
    return Error(position, "expected at most " + std::to_string(kMaxDecisions) + " decisions, found more");
  }
  const int index = static_cast<int>(decisions_.size());
  by_name_[decision.name] = index;
  scope.decisions_[name] = index;
  places_.push_back(&position);
  instances_.push_back(scope.instance_);
  used_.push_back(false);
  decision.location = LocationAt(file_, position);
  decisions_.push_back(std::move(decision));
  return index;
}

StatusOr<int> Expander::Declare(const v1::SpaceValue& value, const std::string& name, DecisionRole role,
                                Scope& scope) {
  auto decision = ReadDecision(value);
  if (!decision.ok()) return Error(value.position(), Message(decision.status()));
  decision->role = role;
  if (!value.when().empty()) {
    CANOPY_ASSIGN_OR_RETURN(Expression when, ResolveCondition(value.when(), value.position(), scope));
    CANOPY_ASSIGN_OR_RETURN(const auto constant, ConstantCondition(when, value.position()));
    if (constant) {
      return Error(value.position(), "expected a condition on decisions, found '" + value.when() + "'");
    }
    decision->conditions.push_back(std::move(when));
  }
  return Add(*std::move(decision), value.name().empty() ? name : value.name(), value.position(), scope);
}

Status Expander::DeclareAll(const google::protobuf::RepeatedPtrField<v1::NamedSpaceValue>& values,
                            DecisionRole role, Scope& scope) {
  for (const auto& entry : values) {
    if (!entry.value().name().empty()) {
      return Error(entry.value().position(),
                   "expected no `name`: the decision is already called '" + entry.name() + "'");
    }
    CANOPY_RETURN_IF_ERROR(Declare(entry.value(), entry.name(), role, scope).status());
  }
  return {};
}

StatusOr<int> Expander::DeclareChoice(const v1::Position& position, const std::string& name,
                                      const std::vector<Value>& choices, Scope& scope) {
  Decision decision;
  decision.choices = choices;
  CANOPY_ASSIGN_OR_RETURN(const int index, Add(std::move(decision), name, position, scope));
  MarkUsed(index);
  return index;
}

StatusOr<ValueSource> Expander::Resolve(const v1::SpaceValue& value, const std::string& name, Scope& scope,
                                        std::span<const std::string_view> words) {
  if (value.has_literal()) return ValueSource(ToValue(value.literal()));
  if (IsDecision(value)) {
    CANOPY_ASSIGN_OR_RETURN(const int index, Declare(value, name, DecisionRole::kArchitecture, scope));
    MarkUsed(index);
    return ValueSource(index, decisions_[index].name);
  }
  CANOPY_ASSIGN_OR_RETURN(Expression expression,
                          ResolveNames(value.expression(), value.position(), scope, FreeNames(), words));
  if (expression.names().empty()) {
    auto constant = expression.Evaluate({});
    if (!constant.ok()) return Error(value.position(), Message(constant.status()));
    return ValueSource(*std::move(constant));
  }
  std::vector<int> slots = Slots(expression);
  if (expression.IsName() && slots[0] >= 0) return ValueSource(slots[0], expression.names()[0]);
  const auto kind = expression.Kind(KindsOf(slots));
  if (!kind.ok()) return Error(value.position(), Message(kind.status()));
  return ValueSource(std::move(expression), std::move(slots), *kind);
}

std::vector<int> Expander::Slots(const Expression& expression) const {
  std::vector<int> slots;
  const auto shapes = ShapeNames();
  for (const std::string& name : expression.names()) {
    if (const auto it = by_name_.find(name); it != by_name_.end()) {
      slots.push_back(it->second);
      continue;
    }
    const auto shape =
        std::find_if(shapes.begin(), shapes.end(), [&](const ShapeName& s) { return s.name == name; });
    CANOPY_CHECK(shape != shapes.end(), name);
    slots.push_back(shape->slot);
  }
  return slots;
}

Scope Expander::ScopeOfUse(const v1::UseBlock& use, const v1::BlockDefinition& definition, Scope& caller) {
  CANOPY_CHECK(root_ != nullptr, "a space is expanded from its root");
  // What stands in `blocks` knows the file's decisions and its own, not those of where it is used.
  Scope scope(*root_, "");
  scope.prefix_ = use.share() ? use.block() + "_" : caller.prefix_;
  scope.conditions_ = caller.conditions_;
  const auto identity = use.share() ? std::make_pair(-1, &definition.position())
                                    : std::make_pair(caller.instance_, &use.position());
  scope.instance_ =
      use_instances_.emplace(identity, static_cast<int>(use_instances_.size()) + 1).first->second;
  return scope;
}

Status Expander::SetParameter(const std::string& name, const v1::SpaceValue& value, Scope& from, Scope& to) {
  if (value.has_literal()) {
    to.SetConstant(name, ToValue(value.literal()));
    return {};
  }
  // An argument uses what it names where the body names the parameter.
  Scope::Parameter parameter;
  const Deferred deferred(*this, parameter.names);
  if (IsDecision(value)) {
    CANOPY_ASSIGN_OR_RETURN(const int index, Declare(value, name, DecisionRole::kArchitecture, from));
    parameter.decision = index;
    MarkUsed(index);
  } else {
    CANOPY_ASSIGN_OR_RETURN(Expression expression,
                            ResolveNames(value.expression(), value.position(), from, FreeNames()));
    for (const std::string& shape : expression.names()) {
      if (by_name_.count(shape) || shape == "classes") continue;
      return Error(value.position(), "expected constants and decisions in an argument, found '" + shape +
                                         "', which differs from block to block: compute with it in the body");
    }
    if (expression.names().empty()) {
      auto constant = expression.Evaluate({});
      if (!constant.ok()) return Error(value.position(), Message(constant.status()));
      to.SetConstant(name, *std::move(constant));
      return {};
    }
    const std::vector<int> slots = Slots(expression);
    const auto kind = expression.Kind(KindsOf(slots));
    if (!kind.ok()) return Error(value.position(), Message(kind.status()));
    if (expression.IsName() && slots[0] >= 0) parameter.decision = slots[0];
    parameter.expression = std::move(expression);
  }
  // Arguments that are passed on and on would name the same decisions more and more often.
  std::sort(parameter.names.begin(), parameter.names.end());
  parameter.names.erase(std::unique(parameter.names.begin(), parameter.names.end()), parameter.names.end());
  to.parameters_[name] = std::move(parameter);
  return {};
}

Status Expander::CheckMerge(const std::string& merge, const v1::Position& position) const {
  if (merge == "add" || merge == "multiply" || merge == "concat") return {};
  return Error(position, "expected add, multiply or concat as merge, found '" + merge + "'");
}

StatusOr<Expression> Expander::ResolveCondition(const std::string& text, const v1::Position& position,
                                                const Scope& scope) {
  CANOPY_ASSIGN_OR_RETURN(Expression condition, ResolveNames(text, position, scope, {}));
  const Status valid = condition.CheckCondition(KindsOf(Slots(condition)));
  if (!valid.ok()) return Error(position, Message(valid));
  return condition;
}

std::vector<ValueKind> Expander::KindsOf(const std::vector<int>& slots) const {
  std::vector<ValueKind> kinds;
  for (const int slot : slots) kinds.push_back(slot < 0 ? ValueKind::kNumber : decisions_[slot].value_kind());
  return kinds;
}

Status Expander::CheckAllUsed() const {
  for (size_t i = 0; i < decisions_.size(); ++i) {
    if (used_[i] || decisions_[i].role == DecisionRole::kRecipe) continue;
    return Error(*places_[i], "expected a decision that the network uses, found '" + decisions_[i].name +
                                  "', which nothing names: use it in the network or remove it");
  }
  return {};
}

StatusOr<std::optional<bool>> Expander::ConstantCondition(const Expression& condition,
                                                          const v1::Position& position) const {
  if (!condition.names().empty()) return std::optional<bool>();
  const auto value = condition.Evaluate({});
  if (!value.ok()) return Error(position, Message(value.status()));
  if (const bool* flag = std::get_if<bool>(&*value)) return std::optional(*flag);
  return Error(position,
               "expected a condition, found '" + condition.text() + "', which is " + CanonicalText(*value));
}

StatusOr<Expression> Expander::ResolveNames(const std::string& text, const v1::Position& position,
                                            const Scope& scope, const std::vector<std::string>& free_names,
                                            std::optional<std::span<const std::string_view>> words) {
  const auto parsed = Parse(text, position);
  if (!parsed.ok()) return parsed.status();
  CANOPY_RETURN_IF_ERROR(ChargeExpression(text.size(), position));
  std::map<std::string, Value> constants;
  std::map<std::string, std::string> names;
  std::map<std::string, Expression> inlined;
  std::vector<int> direct;  // the decision that each name is, -1 for others
  for (const std::string& name : parsed->names()) {
    const auto meaning = Find(name, scope);
    // A block's parameter may stand for other decisions elsewhere.
    direct.push_back(meaning && !meaning->parameter ? meaning->decision : -1);
    if (!meaning) {
      if (std::find(free_names.begin(), free_names.end(), name) != free_names.end()) continue;
      std::vector<std::string> known = NamesIn(scope);
      known.insert(known.end(), free_names.begin(), free_names.end());
      if (parsed->IsName() && words && !words->empty()) {
        known.insert(known.end(), words->begin(), words->end());
        return Error(position,
                     "expected one of " + Join(std::vector<std::string>(words->begin(), words->end()), ", ") +
                         " or a decision declared before, found '" + name + "'" + DidYouMean(name, known));
      }
      std::string hint = DidYouMean(name, known);
      const bool word_fits = !words || !parsed->IsName();
      if (hint.empty() && word_fits) hint = " (a word stands in quotes)";
      return Error(position, "expected a decision declared before, found '" + name + "'" + hint);
    }
    if (meaning->constant) {
      constants[name] = *meaning->constant;
      continue;
    }
    if (meaning->parameter) {
      for (const int named : meaning->parameter->names) MarkUsed(named);
    }
    if (meaning->decision < 0) {
      inlined.emplace(name, *meaning->parameter->expression);
    } else {
      names[name] = decisions_[meaning->decision].name;
      MarkUsed(meaning->decision);
    }
  }
  CANOPY_RETURN_IF_ERROR(CheckComparedWords(*parsed, position, std::move(direct)));
  if (inlined.empty()) return parsed->Substitute(constants).Rename(names);
  // All at once: a whole name may be that of a parameter.
  for (const auto& [name, whole] : names) {
    CANOPY_ASSIGN_OR_RETURN(Expression decision, Expression::Parse(whole));
    inlined.emplace(name, std::move(decision));
  }
  auto whole = parsed->Substitute(constants).Inline(inlined);
  if (!whole.ok()) return Error(position, Message(whole.status()));
  CANOPY_RETURN_IF_ERROR(ChargeExpression(whole->text().size(), position));
  return whole;
}

Status Expander::CheckComparedWords(const Expression& expression, const v1::Position& position,
                                    std::vector<int> direct) {
  // Copies that share their decisions are looked at once; Parse gives them one expression.
  const auto [checked, added] = checked_.emplace(&expression.text(), std::move(direct));
  if (!added) return {};
  const std::vector<std::string>& names = expression.names();
  for (const auto& [name, word] : expression.ComparedWords()) {
    const int index = checked->second[std::find(names.begin(), names.end(), name) - names.begin()];
    if (index < 0) continue;
    expression_work_ += decisions_[index].choices.size() / 8;
    const Status known = CheckComparedWord(decisions_[index], word);
    if (!known.ok()) return Error(position, Message(known));
  }
  return ChargeExpression(0, position);
}

Status Expander::ChargeExpression(size_t bytes, const v1::Position& position) {
  // Each has to be kept, and long ones take time with the square of their length.
  expression_work_ += 32 + bytes + bytes * bytes / 256;
  if (expression_work_ <= kMaxExpressionWork) return {};
  return Error(position,
               "expected fewer or shorter expressions: expanded, this space has too many to compute with");
}

StatusOr<Expression> Expander::Parse(const std::string& text, const v1::Position& position) {
  if (const auto known = parsed_.find(text); known != parsed_.end()) return known->second;
  auto parsed = Expression::Parse(text);
  if (!parsed.ok()) return Error(position, Message(parsed.status()));
  return parsed_.emplace(text, *std::move(parsed)).first->second;
}

std::optional<Expander::Meaning> Expander::Find(const std::string& name, const Scope& scope) const {
  for (const Scope* s = &scope; s; s = s->parent_) {
    if (const auto it = s->constants_.find(name); it != s->constants_.end()) return Meaning{-1, &it->second};
    if (const auto it = s->parameters_.find(name); it != s->parameters_.end()) {
      return Meaning{it->second.decision, nullptr, &it->second};
    }
    if (const auto it = s->decisions_.find(name); it != s->decisions_.end())
      return Meaning{it->second, nullptr};
  }
  if (const auto it = by_name_.find(name); it != by_name_.end()) return Meaning{it->second, nullptr};
  return std::nullopt;
}

std::vector<std::string> Expander::NamesIn(const Scope& scope) const {
  std::vector<std::string> names;
  for (const Scope* s = &scope; s; s = s->parent_) {
    for (const auto& [name, value] : s->constants_) names.push_back(name);
    for (const auto& [name, value] : s->parameters_) names.push_back(name);
    for (const auto& [name, index] : s->decisions_) names.push_back(name);
  }
  for (const auto& [name, index] : by_name_) names.push_back(name);
  return names;
}

}  // namespace canopy::search_space
