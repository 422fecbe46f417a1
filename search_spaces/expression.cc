#include "search_spaces/expression.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <utility>

#include "search_spaces/checked.h"
#include "search_spaces/expression_ast.h"

namespace canopy::search_space {
namespace {

using Ast = Expression::Ast;
using Op = Ast::Op;

bool IsComparison(Op op) { return op >= Op::kLess && op <= Op::kGreaterEqual; }

std::optional<int64_t> CheckedPower(int64_t base, int64_t exponent) {
  std::optional<int64_t> result = 1;
  // Beyond 63 factors only -1, 0 and 1 stay in range.
  if (exponent > 63 && base != 0 && base != 1 && base != -1) return std::nullopt;
  if (exponent > 63) exponent = 62 + exponent % 2;
  for (int64_t i = 0; i < exponent && result; ++i) result = CheckedMultiply(*result, base);
  return result;
}

// Integer arithmetic; nullopt where the result is no 64-bit integer.
std::optional<int64_t> Integer(Op op, int64_t a, int64_t b) {
  switch (op) {
    case Op::kAdd:
      return CheckedAdd(a, b);
    case Op::kSubtract:
      return CheckedSubtract(a, b);
    case Op::kMultiply:
      return CheckedMultiply(a, b);
    case Op::kPower:
      return b < 0 ? std::nullopt : CheckedPower(a, b);
    default:
      break;
  }
  if (b == 0 || (b == -1 && a == std::numeric_limits<int64_t>::min())) return std::nullopt;
  const int64_t quotient = a / b, rest = a % b;
  const bool round_down = rest != 0 && (rest < 0) != (b < 0);
  if (op == Op::kFloorDivide) return quotient - (round_down ? 1 : 0);
  if (op == Op::kModulo) return rest + (round_down ? b : 0);
  return rest == 0 ? std::optional(quotient) : std::nullopt;
}

double Real(Op op, double a, double b) {
  switch (op) {
    case Op::kAdd:
      return a + b;
    case Op::kSubtract:
      return a - b;
    case Op::kMultiply:
      return a * b;
    case Op::kDivide:
      return a / b;
    case Op::kFloorDivide:
      return std::floor(a / b);
    case Op::kModulo:
      return a - b * std::floor(a / b);
    default:
      return std::pow(a, b);
  }
}

class Evaluator {
 public:
  Evaluator(const Ast& ast, std::span<const Value* const> values) : ast_(ast), values_(values) {}

  StatusOr<Value> Evaluate(int index) const {
    const Ast::Term& term = ast_.terms[index];
    if (const auto flag = CompareLeaves(term)) return Value(*flag);
    switch (term.op) {
      case Op::kConstant:
        return term.constant;
      case Op::kName:
        return *values_[term.name];
      case Op::kOr:
      case Op::kAnd: {
        CANOPY_ASSIGN_OR_RETURN(const bool left, Switch(term.operands[0]));
        if (left == (term.op == Op::kOr)) return Value(left);
        CANOPY_ASSIGN_OR_RETURN(const bool right, Switch(term.operands[1]));
        return Value(right);
      }
      case Op::kNot: {
        CANOPY_ASSIGN_OR_RETURN(const bool operand, Switch(term.operands[0]));
        return Value(!operand);
      }
      case Op::kNegate: {
        CANOPY_ASSIGN_OR_RETURN(const Value operand, Number(term.operands[0], term.op));
        return Arithmetic(Op::kSubtract, Value(int64_t{0}), operand);
      }
      case Op::kEqual:
      case Op::kNotEqual:
      case Op::kIn:
        return Membership(term);
      case Op::kMin:
      case Op::kMax:
        return Extreme(term);
      case Op::kRound:
      case Op::kFloor:
      case Op::kCeil: {
        CANOPY_ASSIGN_OR_RETURN(const Value operand, Number(term.operands[0], term.op));
        return Whole(term.op, operand);
      }
      case Op::kDivisible:
        return Divisible(term);
      case Op::kIf: {
        CANOPY_ASSIGN_OR_RETURN(const bool condition, Switch(term.operands[0]));
        return Evaluate(term.operands[condition ? 1 : 2]);
      }
      default:
        break;
    }
    CANOPY_ASSIGN_OR_RETURN(const Value left, Number(term.operands[0], term.op));
    CANOPY_ASSIGN_OR_RETURN(const Value right, Number(term.operands[1], term.op));
    return IsComparison(term.op) ? Value(Compare(term.op, left, right)) : Arithmetic(term.op, left, right);
  }

  StatusOr<double> Amount(int index) const {
    const Ast::Term& term = ast_.terms[index];
    if (term.op == Op::kAnd || term.op == Op::kOr) {
      CANOPY_ASSIGN_OR_RETURN(const double left, Amount(term.operands[0]));
      CANOPY_ASSIGN_OR_RETURN(const double right, Amount(term.operands[1]));
      return term.op == Op::kAnd ? left + right : std::min(left, right);
    }
    CANOPY_ASSIGN_OR_RETURN(const bool holds, Switch(index));
    if (holds) return 0.0;
    if (!IsComparison(term.op)) return 1.0;
    CANOPY_ASSIGN_OR_RETURN(const Value left, Evaluate(term.operands[0]));
    CANOPY_ASSIGN_OR_RETURN(const Value right, Evaluate(term.operands[1]));
    const double gap = std::abs(AsDouble(left) - AsDouble(right));
    const bool strict = term.op == Op::kLess || term.op == Op::kGreater;
    const bool integers = std::holds_alternative<int64_t>(left) && std::holds_alternative<int64_t>(right);
    // A broken strict comparison of equal numbers is still broken.
    if (strict && integers) return gap + 1;
    return std::max(gap, std::numeric_limits<double>::min());
  }

 private:
  // The value of a constant or a name, nullptr for anything else.
  const Value* Leaf(int index) const {
    const Ast::Term& term = ast_.terms[index];
    if (term.op == Op::kConstant) return &term.constant;
    return term.op == Op::kName ? values_[term.name] : nullptr;
  }

  // Nearly every condition compares a decision with a constant: without copies of either.
  std::optional<bool> CompareLeaves(const Ast::Term& term) const {
    if (term.op < Op::kEqual || term.op > Op::kGreaterEqual) return std::nullopt;
    const Value* left = Leaf(term.operands[0]);
    const Value* right = Leaf(term.operands[1]);
    if (!left || !right) return std::nullopt;
    if (!IsComparison(term.op)) return Equal(*left, *right) == (term.op == Op::kEqual);
    if (!IsNumber(*left) || !IsNumber(*right)) return std::nullopt;
    return Compare(term.op, *left, *right);
  }

  StatusOr<bool> Switch(int index) const {
    if (const auto flag = CompareLeaves(ast_.terms[index])) return *flag;
    CANOPY_ASSIGN_OR_RETURN(const Value value, Evaluate(index));
    if (const bool* flag = std::get_if<bool>(&value)) return *flag;
    return InvalidArgument("expected true or false in '" + ast_.text + "', found " + CanonicalText(value));
  }

  StatusOr<Value> Number(int index, Op op) const {
    CANOPY_ASSIGN_OR_RETURN(const Value value, Evaluate(index));
    if (IsNumber(value)) return value;
    return InvalidArgument("expected numbers for '" + std::string(Symbol(op)) + "' in '" + ast_.text +
                           "', found " + CanonicalText(value));
  }

  static bool Compare(Op op, const Value& left, const Value& right) {
    const auto compare = [op](auto a, auto b) {
      switch (op) {
        case Op::kLess:
          return a < b;
        case Op::kLessEqual:
          return a <= b;
        case Op::kGreater:
          return a > b;
        default:
          return a >= b;
      }
    };
    const auto* a = std::get_if<int64_t>(&left);
    const auto* b = std::get_if<int64_t>(&right);
    return a && b ? compare(*a, *b) : compare(AsDouble(left), AsDouble(right));
  }

  static bool Equal(const Value& left, const Value& right) {
    if (IsNumber(left) && IsNumber(right) && left.index() != right.index())
      return AsDouble(left) == AsDouble(right);
    return left == right;
  }

  StatusOr<Value> Membership(const Ast::Term& term) const {
    CANOPY_ASSIGN_OR_RETURN(const Value left, Evaluate(term.operands[0]));
    bool found = false;
    for (size_t i = 1; i < term.operands.size(); ++i) {
      CANOPY_ASSIGN_OR_RETURN(const Value right, Evaluate(term.operands[i]));
      found = found || Equal(left, right);
    }
    return Value(found != (term.op == Op::kNotEqual));
  }

  StatusOr<Value> Extreme(const Ast::Term& term) const {
    CANOPY_ASSIGN_OR_RETURN(Value best, Number(term.operands[0], term.op));
    for (size_t i = 1; i < term.operands.size(); ++i) {
      CANOPY_ASSIGN_OR_RETURN(const Value next, Number(term.operands[i], term.op));
      if (Compare(term.op == Op::kMin ? Op::kLess : Op::kGreater, next, best)) best = next;
    }
    return best;
  }

  // round, floor and ceil: an integer.
  StatusOr<Value> Whole(Op op, const Value& operand) const {
    if (std::holds_alternative<int64_t>(operand)) return operand;
    const double number = AsDouble(operand);
    const double whole = op == Op::kFloor  ? std::floor(number)
                         : op == Op::kCeil ? std::ceil(number)
                                           : std::floor(number + 0.5);
    // Beyond 2^53 a double is no exact integer.
    if (!(std::abs(whole) <= 9007199254740992.0))
      return InvalidArgument("expected a result of at most 2^53 in '" + ast_.text + "'");
    return Value(static_cast<int64_t>(whole));
  }

  // The multiple of the second nearest to the first, at least one of it, and never less than 0.9 of the
  // first: how the MobileNets round channels (Sandler et al. 2018, in their published code).
  StatusOr<Value> Divisible(const Ast::Term& term) const {
    CANOPY_ASSIGN_OR_RETURN(const Value number, Number(term.operands[0], term.op));
    CANOPY_ASSIGN_OR_RETURN(const Value by, Number(term.operands[1], term.op));
    const auto* divisor = std::get_if<int64_t>(&by);
    const double x = AsDouble(number);
    constexpr int64_t kMost = int64_t{1} << 31;
    if (!divisor || *divisor < 1 || *divisor > kMost || !(x >= 0 && x <= static_cast<double>(kMost))) {
      return InvalidArgument(
          "expected divisible(x, by) of x from 0 and an integer from 1, both to 2^31, in '" + ast_.text +
          "'");
    }
    const auto half = static_cast<double>(*divisor) / 2;
    int64_t result = std::max(*divisor, static_cast<int64_t>(x + half) / *divisor * *divisor);
    if (static_cast<double>(result) < 0.9 * x) result += *divisor;
    return Value(result);
  }

  StatusOr<Value> Arithmetic(Op op, const Value& left, const Value& right) const {
    const auto* a = std::get_if<int64_t>(&left);
    const auto* b = std::get_if<int64_t>(&right);
    const bool by_zero =
        (op == Op::kDivide || op == Op::kFloorDivide || op == Op::kModulo) && AsDouble(right) == 0;
    if (by_zero) return InvalidArgument("expected no division by zero in '" + ast_.text + "'");
    if (a && b) {
      if (const auto result = Integer(op, *a, *b)) return Value(*result);
      const bool fraction = op == Op::kDivide || (op == Op::kPower && *b < 0);
      if (!fraction) return InvalidArgument("expected a result that fits in 64 bits in '" + ast_.text + "'");
    }
    const double result = Real(op, AsDouble(left), AsDouble(right));
    if (!std::isfinite(result)) return InvalidArgument("expected a finite result in '" + ast_.text + "'");
    return Value(result);
  }

  const Ast& ast_;
  std::span<const Value* const> values_;
};

}  // namespace

StatusOr<Value> Expression::Evaluate(std::span<const Value* const> values) const {
  return Evaluator(*ast_, values).Evaluate(static_cast<int>(ast_->terms.size()) - 1);
}

StatusOr<double> Expression::ViolationAmount(std::span<const Value* const> values) const {
  return Evaluator(*ast_, values).Amount(static_cast<int>(ast_->terms.size()) - 1);
}

}  // namespace canopy::search_space
