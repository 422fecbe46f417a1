#include "search_spaces/expression.h"

#include <map>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace canopy::search_space {
namespace {

using ::testing::HasSubstr;

const std::map<std::string, Value>& Names() {
  static const std::map<std::string, Value> names = {
      {"a", int64_t{7}}, {"b", int64_t{2}}, {"x", 0.5}, {"op", std::string("sep")}, {"flag", true}};
  return names;
}

std::vector<const Value*> ValuesFor(const Expression& expression) {
  std::vector<const Value*> values;
  for (const std::string& name : expression.names()) values.push_back(&Names().at(name));
  return values;
}

std::string Result(const std::string& text) {
  const auto expression = Expression::Parse(text);
  if (!expression.ok()) return Message(expression.status());
  const auto value = expression->Evaluate(ValuesFor(*expression));
  return value.ok() ? CanonicalText(*value) : Message(value.status());
}

double Amount(const std::string& text) {
  const auto expression = Expression::Parse(text);
  return *expression->ViolationAmount(ValuesFor(*expression));
}

TEST(ExpressionTest, ArithmeticFollowsTheUsualPrecedence) {
  EXPECT_EQ(Result("1 + 2 * 3"), "7");
  EXPECT_EQ(Result("(1 + 2) * 3"), "9");
  EXPECT_EQ(Result("2 ** 3 ** 2"), "512");
  EXPECT_EQ(Result("-2 ** 2"), "-4");
  EXPECT_EQ(Result("16 * 2 ** (b - 1)"), "32");
  EXPECT_EQ(Result("a - b - 1"), "4");
  EXPECT_EQ(Result("a // b"), "3");
  EXPECT_EQ(Result("-7 // 2"), "-4");
  EXPECT_EQ(Result("-7 % 2"), "1");
  EXPECT_EQ(Result("a / b"), "3.5");
  EXPECT_EQ(Result("8 / b"), "4");
  EXPECT_EQ(Result("x * 2"), "1");
  EXPECT_EQ(Result("max(a, b, 9) - min(a, b)"), "7");
  EXPECT_EQ(Result("1e-3 * 1000"), "1");
}

TEST(ExpressionTest, FunctionsRoundAndChoose) {
  EXPECT_EQ(Result("round(2.5)"), "3");
  EXPECT_EQ(Result("round(-2.5)"), "-2");
  EXPECT_EQ(Result("floor(-2.5) + ceil(x)"), "-2");
  EXPECT_EQ(Result("floor(a)"), "7");
  EXPECT_EQ(Result("divisible(32 * 0.75, 8)"), "24");
  EXPECT_EQ(Result("divisible(11, 8)"), "16");
  EXPECT_EQ(Result("divisible(3, 8)"), "8");
  EXPECT_EQ(Result("if(op == 'sep', a, 1 // 0)"), "7");
  EXPECT_EQ(Result("if(flag and b > 2, 'x', 'y')"), "\"y\"");
  EXPECT_THAT(Result("round(1e300)"), HasSubstr("at most 2^53"));
  EXPECT_THAT(Result("divisible(8, 0)"), HasSubstr("expected divisible(x, by)"));
  EXPECT_THAT(Result("if(flag, 1)"), HasSubstr("expected 3 values for if"));
  EXPECT_THAT(Result("round 3"), HasSubstr("expected '(' after round"));
  const std::vector<ValueKind> switch_and_number = {ValueKind::kSwitch, ValueKind::kNumber};
  EXPECT_TRUE(Expression::Parse("if(flag, a, 2)")->Kind(switch_and_number).ok());
  EXPECT_FALSE(Expression::Parse("if(flag, a, 'b')")->Kind(switch_and_number).ok());
  EXPECT_FALSE(Expression::Parse("if(a, a, 2)")->Kind(std::vector{ValueKind::kNumber}).ok());
}

TEST(ExpressionTest, InliningKeepsPrecedenceAndNames) {
  const auto whole =
      *Expression::Parse("w * 2 - k")
           ->Inline({{"w", *Expression::Parse("k + 1")}, {"k", *Expression::Parse("stage1_k")}});
  EXPECT_EQ(whole.text(), "(k + 1) * 2 - stage1_k");
  EXPECT_EQ(whole.names(), (std::vector<std::string>{"k", "stage1_k"}));
  Expression grown = *Expression::Parse("w + w");
  Status status;
  for (int i = 0; i < 20 && status.ok(); ++i) {
    auto next = grown.Inline({{"w", grown}});
    status = next.status();
    if (next.ok()) grown = *next;
  }
  EXPECT_THAT(Message(status), HasSubstr("at most 4096 bytes"));
}

TEST(ExpressionTest, ConditionsCompareNumbersAndWords) {
  EXPECT_EQ(Result("a > 3 and op == 'sep'"), "true");
  EXPECT_EQ(Result("not flag or b != 2"), "false");
  EXPECT_EQ(Result("not a == 7"), "false");
  EXPECT_EQ(Result("op in ['conv', 'sep']"), "true");
  EXPECT_EQ(Result("a in [1, 2]"), "false");
  EXPECT_EQ(Result("b == 2.0"), "true");
  EXPECT_EQ(Result("op == 2"), "false");
}

TEST(ExpressionTest, ErrorsSayWhereAndWhat) {
  EXPECT_EQ(Result("1 +"),
            "expected a number, a name or a quoted word at character 4 of '1 +', found the end");
  EXPECT_EQ(Result("1 2"), "expected the end or an operator at character 3 of '1 2', found '2'");
  EXPECT_EQ(Result("(1"), "expected ')' at character 3 of '(1', found the end");
  EXPECT_THAT(Result("'open"), HasSubstr("expected a closing quote"));
  EXPECT_THAT(Result("op + 1"), HasSubstr("expected numbers for '+' in 'op + 1', found \"sep\""));
  EXPECT_THAT(Result("a and flag"), HasSubstr("expected true or false in 'a and flag', found 7"));
  EXPECT_THAT(Result("1 / (b - 2)"), HasSubstr("expected no division by zero"));
  EXPECT_THAT(Result("9223372036854775807 + 1"), HasSubstr("fits in 64 bits"));
  EXPECT_THAT(Result("10 ** 1000000000"), HasSubstr("fits in 64 bits"));
  EXPECT_THAT(Result(std::string(2000, '(')), HasSubstr("nested parentheses"));
  EXPECT_THAT(Result(std::string(5000, '1')), HasSubstr("at most 4096 bytes"));
}

TEST(ExpressionTest, ViolationIsTheDistanceToHolding) {
  EXPECT_EQ(Amount("a < 10"), 0);
  EXPECT_EQ(Amount("a < 7"), 1);
  EXPECT_EQ(Amount("a <= 5"), 2);
  EXPECT_EQ(Amount("b >= 6"), 4);
  EXPECT_GT(Amount("x < 0.5"), 0);
  EXPECT_EQ(Amount("a <= 5 and b >= 6"), 6);
  EXPECT_EQ(Amount("a <= 5 or b >= 6"), 2);
  EXPECT_EQ(Amount("op == 'conv'"), 1);
}

TEST(ExpressionTest, SubstituteAndRename) {
  const auto expression = Expression::Parse("stage * width + stage");
  const Expression bound =
      expression->Substitute({{"stage", int64_t{3}}}).Rename({{"width", "stage3_width"}});
  EXPECT_EQ(bound.names(), std::vector<std::string>{"stage3_width"});
  const Value width = int64_t{8};
  EXPECT_EQ(CanonicalText(*bound.Evaluate(std::vector<const Value*>{&width})), "27");
  EXPECT_EQ(bound.text(), "3 * stage3_width + 3");
  EXPECT_TRUE(Expression::Parse("(a)")->Rename({{"a", "b_a"}}).IsName());
}

// What Rename and Substitute write is read as the same expression.
TEST(ExpressionTest, RewrittenTextKeepsTheMeaning) {
  for (const std::string text : {"(a + b) * a", "a - (b - 1)", "a - b - 1", "-a ** b", "(-a) ** b", "2 ** -b",
                                 "(2 ** b) ** 2", "-(a + b)", "a / (b * 2)", "max(a, b + 1) - min(a, 3)"}) {
    const Expression rewritten = Expression::Parse(text)->Rename({{"a", "first"}});
    EXPECT_EQ(Result(text),
              CanonicalText(
                  *Expression::Parse(rewritten.text())
                       ->Rename({{"first", "a"}})
                       .Evaluate(ValuesFor(Expression::Parse(rewritten.text())->Rename({{"first", "a"}})))))
        << rewritten.text();
  }
  const auto rewrite = [](const std::string& text) {
    return Expression::Parse(text)->Substitute({{"k", int64_t{2}}}).text();
  };
  EXPECT_EQ(rewrite("not (a > k and op == 'sep')"), "not (a > 2 and op == 'sep')");
  EXPECT_EQ(rewrite("(a > k or flag) and not flag"), "(a > 2 or flag) and not flag");
  EXPECT_EQ(rewrite("a in [1, k]"), "a in [1, 2]");
  EXPECT_EQ(rewrite("(a == k) == flag"), "(a == 2) == flag");
}

}  // namespace
}  // namespace canopy::search_space
