#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/status.h"
#include "search_spaces/value.h"

namespace canopy::search_space {

// What an expression can compute with.
enum class ValueKind { kSwitch, kNumber, kWord };
ValueKind KindOf(const Value& value);
// "a number": for messages.
std::string_view Describe(ValueKind kind);

// A function that expressions know, for people.
struct ExpressionFunction {
  std::string_view usage;  // "round(x)"
  std::string_view meaning;
};
std::vector<ExpressionFunction> ExpressionFunctions();

// An arithmetic or boolean expression over names: `in_channels * expansion`, `op == 'sep' and depth >= 2`,
// `params < 200000`. Operators, weakest first: or; and; not; == != < <= > >=, in [..]; + -; * / // %;
// unary -; **. Functions min, max, round, floor, ceil, divisible(x, by), if(condition, then, else). Integers
// stay integers in checked 64-bit arithmetic, also under / where it leaves no rest. Words are quoted with '.
// Immutable and cheap to copy.
class Expression {
 public:
  // InvalidArgument says at which character what was expected.
  static StatusOr<Expression> Parse(std::string_view text);

  // The text as parsed, without surrounding spaces; as it would be written where Rename or Substitute
  // changed it.
  const std::string& text() const;
  // The names that it uses, each once, in order of appearance.
  const std::vector<std::string>& names() const;

  // The value where names()[i] is *values[i]; REQUIRES a value for each. InvalidArgument where types do not
  // fit, a number overflows or something is divided by zero.
  StatusOr<Value> Evaluate(std::span<const Value* const> values) const;

  // How far a boolean expression is from holding, 0 where it holds: a broken comparison by the difference
  // of its sides (one more for integers under a strict comparison), `and` by the sum, `or` by the smallest,
  // anything else by 1.
  StatusOr<double> ViolationAmount(std::span<const Value* const> values) const;

  // The kind of its value where names()[i] is of kind names[i]. InvalidArgument where an operator gets a kind
  // that it does not take, or two kinds are compared.
  StatusOr<ValueKind> Kind(std::span<const ValueKind> names) const;
  // OK where it is a condition: of kind kSwitch.
  Status CheckCondition(std::span<const ValueKind> names) const;

  // The words that it compares names with by ==, != and in: name and word.
  std::vector<std::pair<std::string, std::string>> ComparedWords() const;

  // True where it is a name and nothing else.
  bool IsName() const;
  // The numbers with which it compares `name`; nullopt where it does anything else with it. Between two of
  // them its value does not change with `name`.
  std::optional<std::vector<double>> ConstantsComparedWith(std::string_view name) const;

  // The same expression with some names replaced by others or by constants.
  Expression Rename(const std::map<std::string, std::string>& names) const;
  Expression Substitute(const std::map<std::string, Value>& constants) const;
  // The same expression with the names in `parts` replaced by whole expressions. InvalidArgument where it
  // grows beyond what may be written.
  StatusOr<Expression> Inline(const std::map<std::string, Expression>& parts) const;

  struct Ast;

 private:
  explicit Expression(std::shared_ptr<const Ast> ast) : ast_(std::move(ast)) {}
  std::shared_ptr<const Ast> ast_;
};

}  // namespace canopy::search_space
