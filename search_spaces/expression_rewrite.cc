#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "search_spaces/expression.h"
#include "search_spaces/expression_ast.h"

namespace canopy::search_space {
namespace {

using Ast = Expression::Ast;
using Op = Ast::Op;

// How strongly a term binds, as in the parser; a part that binds less stands in parentheses.
constexpr int kOrLevel = 1, kAndLevel = 2, kComparisonLevel = 3, kSumLevel = 4, kProductLevel = 5,
              kUnaryLevel = 6, kPowerLevel = 7, kPrimaryLevel = 8;

int LevelOf(const Ast::Term& term) {
  switch (term.op) {
    case Op::kOr:
      return kOrLevel;
    case Op::kAnd:
      return kAndLevel;
    case Op::kAdd:
    case Op::kSubtract:
      return kSumLevel;
    case Op::kMultiply:
    case Op::kDivide:
    case Op::kFloorDivide:
    case Op::kModulo:
      return kProductLevel;
    case Op::kNegate:
      return kUnaryLevel;
    case Op::kPower:
      return kPowerLevel;
    case Op::kConstant:
      return IsNumber(term.constant) && AsDouble(term.constant) < 0 ? kUnaryLevel : kPrimaryLevel;
    case Op::kName:
    case Op::kMin:
    case Op::kMax:
    case Op::kRound:
    case Op::kFloor:
    case Op::kCeil:
    case Op::kDivisible:
    case Op::kIf:
      return kPrimaryLevel;
    default:
      return kComparisonLevel;
  }
}

class Printer {
 public:
  explicit Printer(const Ast& ast) : ast_(ast) {}

  std::string Print(int index, int level) const {
    const Ast::Term& term = ast_.terms[index];
    std::string text = PrintTerm(term);
    return LevelOf(term) < level ? "(" + text + ")" : text;
  }

 private:
  std::string PrintTerm(const Ast::Term& term) const {
    const std::vector<int>& parts = term.operands;
    const std::string symbol(Symbol(term.op));
    const int level = LevelOf(term);
    switch (term.op) {
      case Op::kConstant:
        return Constant(term.constant);
      case Op::kName:
        return ast_.names[term.name];
      case Op::kNot:
        return "not " + Print(parts[0], level);
      case Op::kNegate:
        return "-" + Print(parts[0], level);
      case Op::kPower:
        return Print(parts[0], kPrimaryLevel) + " ** " + Print(parts[1], kUnaryLevel);
      case Op::kIn:
        return Print(parts[0], level + 1) + " in [" + List(parts, 1) + "]";
      case Op::kMin:
      case Op::kMax:
      case Op::kRound:
      case Op::kFloor:
      case Op::kCeil:
      case Op::kDivisible:
      case Op::kIf:
        return symbol + "(" + List(parts, 0) + ")";
      default:
        break;
    }
    // Comparisons do not chain; everything else groups to the left.
    const int left = level == kComparisonLevel ? level + 1 : level;
    return Print(parts[0], left) + " " + symbol + " " + Print(parts[1], level + 1);
  }

  std::string List(const std::vector<int>& parts, size_t from) const {
    std::string text;
    for (size_t i = from; i < parts.size(); ++i) text += (i > from ? ", " : "") + Print(parts[i], kOrLevel);
    return text;
  }

  static std::string Constant(const Value& value) {
    const auto* word = std::get_if<std::string>(&value);
    if (!word) return CanonicalText(value);
    const char quote = word->find('\'') == std::string::npos ? '\'' : '"';
    return quote + *word + quote;
  }

  const Ast& ast_;
};

std::string Printed(const Ast& ast) {
  return Printer(ast).Print(static_cast<int>(ast.terms.size()) - 1, kOrLevel);
}

}  // namespace

std::string_view Symbol(Expression::Ast::Op op) {
  using Op = Expression::Ast::Op;
  switch (op) {
    case Op::kOr:
      return "or";
    case Op::kAnd:
      return "and";
    case Op::kNot:
      return "not";
    case Op::kEqual:
      return "==";
    case Op::kNotEqual:
      return "!=";
    case Op::kLess:
      return "<";
    case Op::kLessEqual:
      return "<=";
    case Op::kGreater:
      return ">";
    case Op::kGreaterEqual:
      return ">=";
    case Op::kIn:
      return "in";
    case Op::kAdd:
      return "+";
    case Op::kSubtract:
    case Op::kNegate:
      return "-";
    case Op::kMultiply:
      return "*";
    case Op::kDivide:
      return "/";
    case Op::kFloorDivide:
      return "//";
    case Op::kModulo:
      return "%";
    case Op::kPower:
      return "**";
    case Op::kMin:
      return "min";
    case Op::kMax:
      return "max";
    case Op::kRound:
      return "round";
    case Op::kFloor:
      return "floor";
    case Op::kCeil:
      return "ceil";
    case Op::kDivisible:
      return "divisible";
    case Op::kIf:
      return "if";
    case Op::kConstant:
    case Op::kName:
      break;
  }
  return "";
}

Expression Expression::Rename(const std::map<std::string, std::string>& names) const {
  Ast ast = *ast_;
  bool changed = false;
  for (std::string& name : ast.names) {
    const auto it = names.find(name);
    if (it == names.end() || it->second == name) continue;
    name = it->second;
    changed = true;
  }
  if (!changed) return *this;
  ast.text = Printed(ast);
  return Expression(std::make_shared<const Ast>(std::move(ast)));
}

Expression Expression::Substitute(const std::map<std::string, Value>& constants) const {
  Ast ast = *ast_;
  std::vector<std::string> kept;
  std::vector<int> place(ast.names.size());
  for (size_t i = 0; i < ast.names.size(); ++i) {
    place[i] = static_cast<int>(kept.size());
    if (!constants.count(ast.names[i])) kept.push_back(ast.names[i]);
  }
  if (kept.size() == ast.names.size()) return *this;
  for (Ast::Term& term : ast.terms) {
    if (term.op != Op::kName) continue;
    const auto it = constants.find(ast.names[term.name]);
    if (it == constants.end()) {
      term.name = place[term.name];
    } else {
      term = {Op::kConstant, it->second};
    }
  }
  ast.names = std::move(kept);
  ast.text = Printed(ast);
  return Expression(std::make_shared<const Ast>(std::move(ast)));
}

StatusOr<Expression> Expression::Inline(const std::map<std::string, Expression>& parts) const {
  Ast ast;
  const auto name_of = [&](const std::string& name) {
    const auto it = std::find(ast.names.begin(), ast.names.end(), name);
    const int index = static_cast<int>(it - ast.names.begin());
    if (it == ast.names.end()) ast.names.push_back(name);
    return index;
  };
  const auto append = [&](const Ast& from, size_t i, const std::vector<int>& place) {
    Ast::Term term = from.terms[i];
    if (term.op == Op::kName) term.name = name_of(from.names[term.name]);
    for (int& operand : term.operands) operand = place[operand];
    ast.terms.push_back(std::move(term));
    return static_cast<int>(ast.terms.size()) - 1;
  };
  const Status too_long =
      InvalidArgument("expected an expression of at most " + std::to_string(kMaxExpressionBytes) +
                      " bytes once its parameters are put in");
  std::vector<int> place;
  for (size_t i = 0; i < ast_->terms.size(); ++i) {
    const Ast::Term& term = ast_->terms[i];
    const auto part = term.op == Op::kName ? parts.find(ast_->names[term.name]) : parts.end();
    if (part == parts.end()) {
      place.push_back(append(*ast_, i, place));
      continue;
    }
    const Ast& inner = *part->second.ast_;
    if (ast.terms.size() + inner.terms.size() > kMaxExpressionBytes) return too_long;
    std::vector<int> inner_place;
    for (size_t k = 0; k < inner.terms.size(); ++k) inner_place.push_back(append(inner, k, inner_place));
    place.push_back(inner_place.back());
  }
  ast.text = Printed(ast);
  if (ast.text.size() > kMaxExpressionBytes) return too_long;
  return Expression(std::make_shared<const Ast>(std::move(ast)));
}

bool Expression::IsName() const { return ast_->terms.size() == 1 && ast_->terms[0].op == Op::kName; }

}  // namespace canopy::search_space
