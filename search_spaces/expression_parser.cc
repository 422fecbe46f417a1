#include <algorithm>
#include <cctype>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/strings.h"
#include "search_spaces/expression.h"
#include "search_spaces/expression_ast.h"

namespace canopy::search_space {
namespace {

using Ast = Expression::Ast;
using Op = Ast::Op;

bool IsNameStart(char c) { return std::isalpha(static_cast<unsigned char>(c)) || c == '_'; }
bool IsNameChar(char c) { return std::isalnum(static_cast<unsigned char>(c)) || c == '_'; }

// Binary operators by level, weakest first; comparisons do not chain.
struct BinaryOperator {
  std::string_view symbol;
  Op op;
  int level;
};
// How many operands a function takes; most 0: any number.
struct Function {
  std::string_view name;
  Op op;
  size_t least, most;
  ExpressionFunction help;
};
constexpr Function kFunctions[] = {
    {"min", Op::kMin, 1, 0, {"min(a, ...)", "the smallest"}},
    {"max", Op::kMax, 1, 0, {"max(a, ...)", "the largest"}},
    {"round", Op::kRound, 1, 1, {"round(x)", "the nearest integer; halves are rounded up"}},
    {"floor", Op::kFloor, 1, 1, {"floor(x)", "the largest integer that is not above x"}},
    {"ceil", Op::kCeil, 1, 1, {"ceil(x)", "the smallest integer that is not below x"}},
    {"divisible",
     Op::kDivisible,
     2,
     2,
     {"divisible(x, by)",
      "the multiple of `by` nearest to x, at least `by` and never below 0.9 x: as the MobileNets round "
      "channels"}},
    {"if",
     Op::kIf,
     3,
     3,
     {"if(condition, a, b)", "a where the condition holds, else b; the other is not computed"}},
};
constexpr int kComparison = 3;
constexpr int kUnaryLevel = 6;
constexpr BinaryOperator kBinary[] = {
    {"or", Op::kOr, 1},       {"and", Op::kAnd, 2},        {"==", Op::kEqual, 3},
    {"!=", Op::kNotEqual, 3}, {"<=", Op::kLessEqual, 3},   {">=", Op::kGreaterEqual, 3},
    {"<", Op::kLess, 3},      {">", Op::kGreater, 3},      {"in", Op::kIn, 3},
    {"+", Op::kAdd, 4},       {"-", Op::kSubtract, 4},     {"**", Op::kPower, 7},
    {"*", Op::kMultiply, 5},  {"//", Op::kFloorDivide, 5}, {"/", Op::kDivide, 5},
    {"%", Op::kModulo, 5},
};

class ExpressionParser {
 public:
  explicit ExpressionParser(std::string_view text) : text_(text) { ast_.text = std::string(text); }

  StatusOr<Ast> Run() {
    if (text_.size() > kMaxExpressionBytes) {
      return InvalidArgument("expected an expression of at most " + std::to_string(kMaxExpressionBytes) +
                             " bytes");
    }
    CANOPY_RETURN_IF_ERROR(Binary(1).status());
    SkipSpace();
    if (at_ < text_.size()) return Expected("the end or an operator");
    return std::move(ast_);
  }

 private:
  // Depth of nesting, for the duration of a call.
  struct Nested {
    explicit Nested(int& depth) : depth(depth) { ++depth; }
    ~Nested() { --depth; }
    int& depth;
  };

  StatusOr<int> Binary(int level) {
    const Nested nested(depth_);
    if (depth_ > kMaxExpressionDepth * 8) return Expected("fewer nested parentheses");
    if (level == kComparison && Word("not")) return Unary(Op::kNot, kComparison);
    if (level >= kUnaryLevel) return UnaryMinus();
    CANOPY_ASSIGN_OR_RETURN(int left, Binary(level + 1));
    while (const BinaryOperator* op = PeekOperator(level)) {
      at_ += op->symbol.size();
      if (op->op == Op::kIn) {
        CANOPY_ASSIGN_OR_RETURN(left, Membership(left));
      } else {
        CANOPY_ASSIGN_OR_RETURN(const int right, Binary(level + 1));
        left = Add({op->op, {}, 0, {left, right}});
      }
      if (level == kComparison) break;
    }
    return left;
  }

  StatusOr<int> Unary(Op op, int level) {
    CANOPY_ASSIGN_OR_RETURN(const int operand, Binary(level));
    return Add({op, {}, 0, {operand}});
  }

  StatusOr<int> UnaryMinus() {
    const Nested nested(depth_);
    if (depth_ > kMaxExpressionDepth * 8) return Expected("fewer nested parentheses");
    if (Symbol("-")) {
      CANOPY_ASSIGN_OR_RETURN(const int operand, UnaryMinus());
      return Add({Op::kNegate, {}, 0, {operand}});
    }
    CANOPY_ASSIGN_OR_RETURN(const int base, Primary());
    if (!Symbol("**")) return base;
    CANOPY_ASSIGN_OR_RETURN(const int exponent, UnaryMinus());
    return Add({Op::kPower, {}, 0, {base, exponent}});
  }

  StatusOr<int> Primary() {
    SkipSpace();
    if (Symbol("(")) {
      CANOPY_ASSIGN_OR_RETURN(const int inner, Binary(1));
      if (!Symbol(")")) return Expected("')'");
      return inner;
    }
    if (at_ == text_.size()) return Expected("a number, a name or a quoted word");
    const char c = text_[at_];
    if (std::isdigit(static_cast<unsigned char>(c)) || c == '.') return Number();
    if (c == '\'' || c == '"') return Quoted(c);
    if (IsNameStart(c)) return Name();
    return Expected("a number, a name or a quoted word");
  }

  StatusOr<int> Number() {
    size_t end = at_;
    while (end < text_.size()) {
      const bool exponent_sign = (text_[end] == '-' || text_[end] == '+') && end > at_ &&
                                 (text_[end - 1] == 'e' || text_[end - 1] == 'E');
      if (!IsNameChar(text_[end]) && text_[end] != '.' && !exponent_sign) break;
      ++end;
    }
    const std::string_view digits = text_.substr(at_, end - at_);
    Value value;
    if (const auto integer = ParseInt(digits)) {
      value = *integer;
    } else if (const auto number = ParseDouble(digits)) {
      value = *number;
    } else {
      return Expected("a number");
    }
    at_ = end;
    return Add({Op::kConstant, value});
  }

  StatusOr<int> Quoted(char quote) {
    const size_t end = text_.find(quote, at_ + 1);
    if (end == std::string_view::npos) return Expected("a closing quote");
    const int term = Add({Op::kConstant, std::string(text_.substr(at_ + 1, end - at_ - 1))});
    at_ = end + 1;
    return term;
  }

  StatusOr<int> Name() {
    size_t end = at_;
    while (end < text_.size() && IsNameChar(text_[end])) ++end;
    const std::string name(text_.substr(at_, end - at_));
    if (name == "and" || name == "or" || name == "not" || name == "in") return Expected("a value");
    at_ = end;
    if (name == "true" || name == "false") return Add({Op::kConstant, name == "true"});
    for (const Function& function : kFunctions) {
      if (name == function.name) return Call(function);
    }
    const auto [it, added] = places_.emplace(name, static_cast<int>(ast_.names.size()));
    if (added) ast_.names.push_back(name);
    return Add({Op::kName, {}, it->second});
  }

  StatusOr<int> Call(const Function& function) {
    const std::string name(function.name);
    if (!Symbol("(")) return Expected("'(' after " + name);
    CANOPY_ASSIGN_OR_RETURN(const int term, List(function.op, {}, ")"));
    const size_t count = ast_.terms[term].operands.size();
    if (count >= function.least && (function.most == 0 || count <= function.most)) return term;
    return InvalidArgument("expected " + std::to_string(function.least) + " values for " + name + " in '" +
                           std::string(text_.substr(0, 100)) + "', found " + std::to_string(count));
  }

  StatusOr<int> Membership(int left) {
    if (!Symbol("[")) return Expected("'[' after in");
    return List(Op::kIn, {left}, "]");
  }

  // Operands up to `close`, at least one.
  StatusOr<int> List(Op op, std::vector<int> operands, std::string_view close) {
    do {
      CANOPY_ASSIGN_OR_RETURN(const int operand, Binary(1));
      operands.push_back(operand);
    } while (Symbol(","));
    if (!Symbol(close)) return Expected("',' or '" + std::string(close) + "'");
    return Add({op, {}, 0, std::move(operands)});
  }

  const BinaryOperator* PeekOperator(int level) {
    SkipSpace();
    for (const BinaryOperator& candidate : kBinary) {
      if (text_.substr(at_, candidate.symbol.size()) != candidate.symbol) continue;
      const size_t end = at_ + candidate.symbol.size();
      if (IsNameStart(candidate.symbol[0]) && end < text_.size() && IsNameChar(text_[end])) continue;
      return candidate.level == level ? &candidate : nullptr;
    }
    return nullptr;
  }

  bool Symbol(std::string_view symbol) {
    SkipSpace();
    if (text_.substr(at_, symbol.size()) != symbol) return false;
    at_ += symbol.size();
    return true;
  }

  bool Word(std::string_view word) {
    SkipSpace();
    const size_t end = at_ + word.size();
    if (text_.substr(at_, word.size()) != word || (end < text_.size() && IsNameChar(text_[end])))
      return false;
    at_ = end;
    return true;
  }

  void SkipSpace() {
    while (at_ < text_.size() && std::isspace(static_cast<unsigned char>(text_[at_]))) ++at_;
  }

  int Add(Ast::Term term) {
    ast_.terms.push_back(std::move(term));
    return static_cast<int>(ast_.terms.size()) - 1;
  }

  Status Expected(std::string_view what) const {
    const std::string found = at_ < text_.size() ? "'" + std::string(text_.substr(at_, 20)) + "'" : "the end";
    return InvalidArgument("expected " + std::string(what) + " at character " + std::to_string(at_ + 1) +
                           " of '" + std::string(text_.substr(0, 100)) + "', found " + found);
  }

  std::string_view text_;
  size_t at_ = 0;
  int depth_ = 0;
  Ast ast_;
  std::map<std::string, int> places_;  // of names in ast_.names
};

}  // namespace

StatusOr<Expression> Expression::Parse(std::string_view text) {
  CANOPY_ASSIGN_OR_RETURN(Ast ast, ExpressionParser(Trim(text)).Run());
  return Expression(std::make_shared<const Ast>(std::move(ast)));
}

std::vector<ExpressionFunction> ExpressionFunctions() {
  std::vector<ExpressionFunction> functions;
  for (const Function& function : kFunctions) functions.push_back(function.help);
  return functions;
}

const std::string& Expression::text() const { return ast_->text; }

const std::vector<std::string>& Expression::names() const { return ast_->names; }

}  // namespace canopy::search_space
