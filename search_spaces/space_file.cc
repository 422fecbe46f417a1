#include "search_spaces/space_file.h"

#include <algorithm>
#include <cctype>
#include <optional>
#include <utility>
#include <vector>

#include "base/strings.h"
#include "config/bind.h"
#include "search_spaces/file_operators.h"
#include "search_spaces/includes.h"
#include "search_spaces/ops/operator.h"

namespace canopy::search_space {
namespace {

using config::Binder;
using config::YamlNode;
using google::protobuf::Message;

// true, 16 or 0.1; nullopt for words and what is quoted.
std::optional<v1::Literal> PlainLiteral(const YamlNode& node) {
  v1::Literal literal;
  if (!node.is_scalar() || !node.plain()) return std::nullopt;
  if (node.text() == "true" || node.text() == "false") {
    literal.set_flag(node.text() == "true");
  } else if (const auto integer = ParseInt(node.text())) {
    literal.set_integer(*integer);
  } else if (const auto number = ParseDouble(node.text()); number && *number - *number == 0) {
    literal.set_number(*number);
  } else {
    return std::nullopt;
  }
  return literal;
}

Status BindLiteral(const Binder&, const YamlNode& node, Message& message) {
  auto& literal = static_cast<v1::Literal&>(message);
  if (!node.is_scalar()) return node.Expected("a number, true, false or a word");
  if (const auto plain = PlainLiteral(node)) {
    literal.MergeFrom(*plain);
  } else {
    literal.set_word(node.text());
  }
  return {};
}

Status BindLiteralList(const Binder& binder, const YamlNode& node, Message& message) {
  auto& list = static_cast<v1::LiteralList&>(message);
  if (!node.is_sequence() || node.items().empty()) return node.Expected("a list of values");
  for (const YamlNode* item : node.items()) {
    CANOPY_RETURN_IF_ERROR(binder.Bind(*item, *list.add_values()));
  }
  return {};
}

// Numbers beyond it are not exact in a double.
constexpr int64_t kMaxInteger = int64_t{1} << 53;

Status BindIntegerRange(const Binder&, const YamlNode& node, Message& message) {
  auto& range = static_cast<v1::IntegerRange&>(message);
  const std::string expected = "[low, high] of integers up to 2^53, low at most high";
  if (!node.is_sequence() || node.items().size() != 2) return node.Expected(expected);
  const auto low = PlainLiteral(*node.items()[0]), high = PlainLiteral(*node.items()[1]);
  if (!low || !high || !low->has_integer() || !high->has_integer() || low->integer() > high->integer() ||
      low->integer() < -kMaxInteger || high->integer() > kMaxInteger) {
    return node.Expected(expected);
  }
  range.set_low(low->integer());
  range.set_high(high->integer());
  return {};
}

double NumberOf(const v1::Literal& literal) {
  return literal.has_integer() ? static_cast<double>(literal.integer()) : literal.number();
}

Status BindFloatRange(const Binder&, const YamlNode& node, Message& message) {
  auto& range = static_cast<v1::FloatRange&>(message);
  const std::string expected = "[low, high] of numbers, low at most high";
  if (!node.is_sequence() || node.items().size() != 2) return node.Expected(expected);
  const auto low = PlainLiteral(*node.items()[0]), high = PlainLiteral(*node.items()[1]);
  if (!low || !high || low->has_flag() || high->has_flag() || NumberOf(*low) > NumberOf(*high)) {
    return node.Expected(expected);
  }
  range.set_low(NumberOf(*low));
  range.set_high(NumberOf(*high));
  return {};
}

// Whether a text in quotes is a word, and no expression.
bool IsWord(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](unsigned char c) {
    return std::isalnum(c) || c == '_' || c == '-' || c == '.' || c >= 0x80;
  });
}

// What stands where no word may is an expression in quotes, too.
void ReadAsExpression(v1::SpaceValue& value) {
  if (value.has_literal() && value.literal().kind_case() == v1::Literal::kWord)
    value.set_expression(std::string(value.literal().word()));
}

Status BindSpaceValue(const Binder& binder, const YamlNode& node, Message& message) {
  auto& value = static_cast<v1::SpaceValue&>(message);
  if (node.is_map()) {
    // `literal` and `expression` are written as scalars, never by name.
    static const std::vector<std::string> keys = {"choice", "ordinal", "int", "float", "name", "log", "when"};
    for (const YamlNode::Entry& entry : node.entries()) {
      if (std::find(keys.begin(), keys.end(), entry.key) == keys.end()) return node.UnknownKey(entry, keys);
    }
    CANOPY_RETURN_IF_ERROR(binder.BindFields(node, message));
    if (value.kind_case() != v1::SpaceValue::KIND_NOT_SET) return {};
    return node.Error("expected one of choice, ordinal, int, float, found none");
  }
  if (!node.is_scalar()) {
    return node.Expected("a value, an expression, or a map of one of choice, ordinal, int, float");
  }
  if (const auto plain = PlainLiteral(node)) {
    *value.mutable_literal() = *plain;
  } else if (node.plain() || !IsWord(node.text())) {
    value.set_expression(node.text());
  } else {
    value.mutable_literal()->set_word(node.text());
  }
  return {};
}

Status UnknownBlock(const FileOperators& operators, const config::Location& location,
                    const std::string& name) {
  std::vector<std::string> names = operators.Names();
  const auto& words = BlockWords();
  names.insert(names.end(), words.begin(), words.end());
  return location.Error("expected an operator or one of " + Join(words, ", ") + ", found '" + name + "'" +
                        DidYouMean(name, names));
}

Status BindAttribute(const Binder& binder, const AttributeSpec& spec, const std::string& name,
                     const YamlNode& node, v1::OperatorBlock& block) {
  v1::NamedSpaceValue& attribute = *block.add_attributes();
  attribute.set_name(name);
  v1::SpaceValue& value = *attribute.mutable_value();
  CANOPY_RETURN_IF_ERROR(binder.Bind(node, value));
  if (spec.words.empty()) ReadAsExpression(value);
  // A word that the attribute takes needs no quotes, whatever decisions are called.
  if (value.has_expression() && std::count(spec.words.begin(), spec.words.end(), value.expression()))
    value.mutable_literal()->set_word(node.text());
  return {};
}

// `conv2d: {out_channels: 8, kernel: 3}`, `relu: {}` or `relu:`.
Status BindOperator(const Binder& binder, const Operator& op, const YamlNode& node,
                    v1::OperatorBlock& block) {
  std::vector<std::string> names = {"name"}, order;
  for (const AttributeSpec& spec : op.attributes()) {
    names.emplace_back(spec.name);
    order.emplace_back(spec.name);
    if (!spec.per_axis) continue;
    const AxisNames axes(spec.name);
    order.insert(order.end(), {axes.height, axes.width});
  }
  const auto place = [&](const v1::NamedSpaceValue& attribute) {
    return std::find(order.begin(), order.end(), attribute.name());
  };
  if (node.kind() == YamlNode::Kind::kNull) return {};
  if (!node.is_map()) return node.Expected("a map of " + Join(names, ", "));
  for (const YamlNode::Entry& entry : node.entries()) {
    if (entry.key == "name") {
      if (!entry.value->is_scalar()) return entry.value->Expected("a text");
      block.set_name(entry.value->text());
      continue;
    }
    const auto known = std::find(names.begin(), names.end(), entry.key);
    if (known == names.end()) return node.UnknownKey(entry, names);
    const AttributeSpec& spec = op.attributes()[known - names.begin() - 1];
    if (!spec.per_axis || !entry.value->is_sequence()) {
      CANOPY_RETURN_IF_ERROR(BindAttribute(binder, spec, entry.key, *entry.value, block));
      continue;
    }
    const auto& sizes = entry.value->items();
    if (sizes.size() != 2) return entry.value->Expected("a value, or [height, width]");
    const AxisNames axes(spec.name);
    CANOPY_RETURN_IF_ERROR(BindAttribute(binder, spec, axes.height, *sizes[0], block));
    CANOPY_RETURN_IF_ERROR(BindAttribute(binder, spec, axes.width, *sizes[1], block));
  }
  // In the operator's order, so that the order in the file changes neither the decisions' nor the hash.
  auto& attributes = *block.mutable_attributes();
  std::sort(attributes.begin(), attributes.end(),
            [&](const auto& a, const auto& b) { return place(a) < place(b); });
  return {};
}

Status BindBlock(const FileOperators& operators, const Binder& binder, const YamlNode& node,
                 Message& message) {
  auto& block = static_cast<v1::Block&>(message);
  if (node.is_sequence()) return binder.Bind(node, *block.mutable_sequence());
  if (node.is_scalar()) {
    if (!operators.Find(node.text())) return UnknownBlock(operators, node.location(), node.text());
    block.mutable_op()->set_op(node.text());
    return {};
  }
  if (!node.is_map() || node.entries().size() != 1) {
    return node.Error("expected a block: an operator's name, a list, or a map of one key, found " +
                      (node.is_map() ? std::to_string(node.entries().size()) + " keys" : node.Describe()));
  }
  const YamlNode::Entry& entry = node.entries().front();
  if (entry.key == "sequence") return binder.Bind(*entry.value, *block.mutable_sequence());
  if (entry.key == "one_of") return binder.Bind(*entry.value, *block.mutable_one_of());
  if (entry.key == "repeat") return binder.Bind(*entry.value, *block.mutable_repeat());
  if (entry.key == "residual") return binder.Bind(*entry.value, *block.mutable_residual());
  if (entry.key == "optional") return binder.Bind(*entry.value, *block.mutable_optional());
  if (entry.key == "branches") return binder.Bind(*entry.value, *block.mutable_branches());
  if (entry.key == "cell") return binder.Bind(*entry.value, *block.mutable_cell());
  if (entry.key == "use") return binder.Bind(*entry.value, *block.mutable_use());
  const Operator* op = operators.Find(entry.key);
  if (!op) return UnknownBlock(operators, node.KeyLocation(entry), entry.key);
  block.mutable_op()->set_op(entry.key);
  return BindOperator(binder, *op, *entry.value, *block.mutable_op());
}

Status BindSequence(const Binder& binder, const YamlNode& node, Message& message) {
  if (!node.is_sequence()) return binder.BindFields(node, message);
  auto& sequence = static_cast<v1::SequenceBlock&>(message);
  for (const YamlNode* item : node.items()) {
    CANOPY_RETURN_IF_ERROR(binder.Bind(*item, *sequence.add_blocks()));
  }
  return {};
}

Status BindBodies(const Binder& binder, const YamlNode& node, Message& message) {
  auto& bodies = static_cast<v1::BranchBodies&>(message);
  const auto add = [&](const std::string& name, const YamlNode& value) {
    v1::NamedBlock& body = *bodies.add_bodies();
    body.set_name(name);
    CANOPY_RETURN_IF_ERROR(binder.Bind(value, *body.mutable_value()));
    *body.mutable_position() = body.value().position();
    return Status();
  };
  if (node.is_sequence()) {
    int number = 0;
    for (const YamlNode* item : node.items()) {
      CANOPY_RETURN_IF_ERROR(add("branch" + std::to_string(++number), *item));
    }
    return {};
  }
  if (!node.is_map()) return node.Expected("a list of blocks, or a map of blocks by name");
  for (const YamlNode::Entry& entry : node.entries()) {
    CANOPY_RETURN_IF_ERROR(add(entry.key, *entry.value));
  }
  return {};
}

Status BindDefinition(const Binder& binder, const YamlNode& node, Message& message) {
  if (!node.is_sequence()) return binder.BindFields(node, message);
  return binder.Bind(node, *static_cast<v1::BlockDefinition&>(message).mutable_body());
}

Status BindRepeat(const Binder& binder, const YamlNode& node, Message& message) {
  CANOPY_RETURN_IF_ERROR(binder.BindFields(node, message));
  ReadAsExpression(*static_cast<v1::RepeatBlock&>(message).mutable_count());
  return {};
}

Status BindCell(const Binder& binder, const YamlNode& node, Message& message) {
  CANOPY_RETURN_IF_ERROR(binder.BindFields(node, message));
  auto& cell = static_cast<v1::CellBlock&>(message);
  if (cell.has_stride()) ReadAsExpression(*cell.mutable_stride());
  if (cell.has_channels()) ReadAsExpression(*cell.mutable_channels());
  return {};
}

Status BindUse(const Binder& binder, const YamlNode& node, Message& message) {
  if (!node.is_scalar()) return binder.BindFields(node, message);
  static_cast<v1::UseBlock&>(message).set_block(node.text());
  return {};
}

// `operators` outlives the binder.
Binder SpaceBinder(const FileOperators& operators) {
  Binder b;
  SetLiteralHook(b);
  SetOperatorHooks(b);
  b.SetHook("canopy.v1.LiteralList", BindLiteralList);
  b.SetHook("canopy.v1.IntegerRange", BindIntegerRange);
  b.SetHook("canopy.v1.FloatRange", BindFloatRange);
  b.SetHook("canopy.v1.SpaceValue", BindSpaceValue);
  b.SetHook("canopy.v1.Block", [&operators](const Binder& binder, const YamlNode& node, Message& message) {
    return BindBlock(operators, binder, node, message);
  });
  b.SetHook("canopy.v1.SequenceBlock", BindSequence);
  b.SetHook("canopy.v1.BranchBodies", BindBodies);
  b.SetHook("canopy.v1.BlockDefinition", BindDefinition);
  b.SetHook("canopy.v1.UseBlock", BindUse);
  b.SetHook("canopy.v1.RepeatBlock", BindRepeat);
  b.SetHook("canopy.v1.CellBlock", BindCell);
  return b;
}

}  // namespace

void SetLiteralHook(Binder& binder) { binder.SetHook("canopy.v1.Literal", BindLiteral); }

Value ToValue(const v1::Literal& literal) {
  switch (literal.kind_case()) {
    case v1::Literal::kFlag:
      return literal.flag();
    case v1::Literal::kInteger:
      return literal.integer();
    case v1::Literal::kNumber:
      return literal.number();
    default:
      return literal.word();
  }
}

StatusOr<SpaceFile> ReadSpaceFile(std::string_view text, const std::string& file) {
  SpaceFile space;
  CANOPY_ASSIGN_OR_RETURN(space.document, config::ParseYaml(text, file));
  CANOPY_RETURN_IF_ERROR(config::CheckFormatVersion(space.document));
  // What blocks may be has to be known before the first one is read, wherever it stands.
  CANOPY_ASSIGN_OR_RETURN(space.operators, FileOperators::Read(space.document, file));
  const Binder binder = SpaceBinder(space.operators);
  CANOPY_RETURN_IF_ERROR(binder.Bind(space.document.root(), space.message));
  CANOPY_RETURN_IF_ERROR(MergeIncludes(binder, file, space));
  return space;
}

}  // namespace canopy::search_space
