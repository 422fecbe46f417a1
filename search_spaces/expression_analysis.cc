#include <optional>
#include <string>
#include <vector>

#include "search_spaces/expression.h"
#include "search_spaces/expression_ast.h"

namespace canopy::search_space {
namespace {

using Ast = Expression::Ast;
using Op = Ast::Op;

class KindChecker {
 public:
  KindChecker(const Ast& ast, std::span<const ValueKind> names) : ast_(ast), names_(names) {}

  StatusOr<ValueKind> Check(int index) const {
    const Ast::Term& term = ast_.terms[index];
    switch (term.op) {
      case Op::kConstant:
        return KindOf(term.constant);
      case Op::kName:
        return names_[term.name];
      case Op::kOr:
      case Op::kAnd:
      case Op::kNot:
        CANOPY_RETURN_IF_ERROR(Expect(term, ValueKind::kSwitch));
        return ValueKind::kSwitch;
      case Op::kEqual:
      case Op::kNotEqual:
      case Op::kIn: {
        CANOPY_ASSIGN_OR_RETURN(const ValueKind first, Check(term.operands[0]));
        CANOPY_RETURN_IF_ERROR(Expect(term, first));
        return ValueKind::kSwitch;
      }
      case Op::kIf: {
        CANOPY_ASSIGN_OR_RETURN(const ValueKind condition, Check(term.operands[0]));
        CANOPY_ASSIGN_OR_RETURN(const ValueKind then, Check(term.operands[1]));
        CANOPY_ASSIGN_OR_RETURN(const ValueKind otherwise, Check(term.operands[2]));
        if (condition == ValueKind::kSwitch && then == otherwise) return then;
        return InvalidArgument("expected if(condition, value, value of the same kind) in '" + ast_.text +
                               "'");
      }
      case Op::kLess:
      case Op::kLessEqual:
      case Op::kGreater:
      case Op::kGreaterEqual:
        CANOPY_RETURN_IF_ERROR(Expect(term, ValueKind::kNumber));
        return ValueKind::kSwitch;
      default:
        CANOPY_RETURN_IF_ERROR(Expect(term, ValueKind::kNumber));
        return ValueKind::kNumber;
    }
  }

 private:
  // OK where all operands are of that kind.
  Status Expect(const Ast::Term& term, ValueKind kind) const {
    for (const int operand : term.operands) {
      CANOPY_ASSIGN_OR_RETURN(const ValueKind found, Check(operand));
      if (found == kind) continue;
      return InvalidArgument("expected " + std::string(Describe(kind)) + " on each side of '" +
                             std::string(Symbol(term.op)) + "' in '" + ast_.text + "', found " +
                             std::string(Describe(found)));
    }
    return {};
  }

  const Ast& ast_;
  std::span<const ValueKind> names_;
};

bool IsConstant(const Ast& ast, int index) {
  const Ast::Term& term = ast.terms[index];
  if (term.op == Op::kNegate) return IsConstant(ast, term.operands[0]);
  return term.op == Op::kConstant && IsNumber(term.constant);
}

double ConstantAt(const Ast& ast, int index) {
  const Ast::Term& term = ast.terms[index];
  return term.op == Op::kNegate ? -ConstantAt(ast, term.operands[0]) : AsDouble(term.constant);
}

}  // namespace

std::string_view Describe(ValueKind kind) {
  switch (kind) {
    case ValueKind::kSwitch:
      return "true or false";
    case ValueKind::kNumber:
      return "a number";
    case ValueKind::kWord:
      return "a word";
  }
  return "";
}

ValueKind KindOf(const Value& value) {
  if (IsNumber(value)) return ValueKind::kNumber;
  return std::holds_alternative<bool>(value) ? ValueKind::kSwitch : ValueKind::kWord;
}

StatusOr<ValueKind> Expression::Kind(std::span<const ValueKind> names) const {
  return KindChecker(*ast_, names).Check(static_cast<int>(ast_->terms.size()) - 1);
}

Status Expression::CheckCondition(std::span<const ValueKind> names) const {
  CANOPY_ASSIGN_OR_RETURN(const ValueKind kind, Kind(names));
  if (kind == ValueKind::kSwitch) return {};
  return InvalidArgument("expected a condition, true or false, found '" + ast_->text + "', which is " +
                         std::string(Describe(kind)));
}

std::vector<std::pair<std::string, std::string>> Expression::ComparedWords() const {
  std::vector<std::pair<std::string, std::string>> compared;
  for (const Ast::Term& term : ast_->terms) {
    if (term.op != Op::kEqual && term.op != Op::kNotEqual && term.op != Op::kIn) continue;
    // All are compared with the first.
    const Ast::Term& first = ast_->terms[term.operands[0]];
    for (size_t i = 1; i < term.operands.size(); ++i) {
      const Ast::Term& other = ast_->terms[term.operands[i]];
      const Ast::Term& name = first.op == Op::kName ? first : other;
      const Ast::Term& constant = first.op == Op::kName ? other : first;
      if (name.op != Op::kName || constant.op != Op::kConstant) continue;
      if (const auto* word = std::get_if<std::string>(&constant.constant))
        compared.emplace_back(ast_->names[name.name], *word);
    }
  }
  return compared;
}

std::optional<std::vector<double>> Expression::ConstantsComparedWith(std::string_view name) const {
  if (IsName()) return std::nullopt;
  std::vector<double> constants;
  for (const Ast::Term& term : ast_->terms) {
    const bool compares = term.op >= Op::kEqual && term.op <= Op::kIn;
    size_t uses = 0;
    for (const int operand : term.operands) {
      const Ast::Term& part = ast_->terms[operand];
      uses += part.op == Op::kName && ast_->names[part.name] == name;
    }
    if (uses == 0) continue;
    if (!compares || uses > 1) return std::nullopt;
    for (const int operand : term.operands) {
      if (ast_->terms[operand].op == Op::kName && ast_->names[ast_->terms[operand].name] == name) continue;
      if (!IsConstant(*ast_, operand)) return std::nullopt;
      constants.push_back(ConstantAt(*ast_, operand));
    }
  }
  return constants;
}

}  // namespace canopy::search_space
