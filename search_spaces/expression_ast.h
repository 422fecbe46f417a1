#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "search_spaces/expression.h"

namespace canopy::search_space {

// The parsed form of an expression: terms refer to earlier terms, the last one is the root.
struct Expression::Ast {
  enum class Op {
    kConstant,
    kName,
    kOr,
    kAnd,
    kNot,
    kEqual,
    kNotEqual,
    kLess,
    kLessEqual,
    kGreater,
    kGreaterEqual,
    kIn,
    kAdd,
    kSubtract,
    kMultiply,
    kDivide,
    kFloorDivide,
    kModulo,
    kPower,
    kNegate,
    kMin,
    kMax,
    kRound,
    kFloor,
    kCeil,
    kDivisible,
    kIf,
  };
  struct Term {
    Op op = Op::kConstant;
    Value constant;               // kConstant
    int name = 0;                 // kName: index of names
    std::vector<int> operands{};  // indices of terms
  };

  std::string text;
  std::vector<std::string> names;
  std::vector<Term> terms;
};

// How an operator is written: "==", "and", "min"; empty for constants and names.
std::string_view Symbol(Expression::Ast::Op op);

// Longer or deeper expressions are refused.
inline constexpr size_t kMaxExpressionBytes = 4096;
inline constexpr int kMaxExpressionDepth = 64;

}  // namespace canopy::search_space
