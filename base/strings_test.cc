#include "base/strings.h"

#include <gtest/gtest.h>

namespace canopy {
namespace {

TEST(Strings, DoublesReadBackExactly) {
  for (const double value : {0.1, 1e-5, 123456.789, 1.0, -0.0, 1e300})
    EXPECT_EQ(ParseDouble(FormatDouble(value)), value);
  EXPECT_EQ(FormatDouble(0.1), "0.1");
}

TEST(Strings, ParsesRefuseLeftovers) {
  EXPECT_EQ(ParseInt("42"), 42);
  EXPECT_FALSE(ParseInt("42x"));
  EXPECT_FALSE(ParseInt(""));
  EXPECT_FALSE(ParseInt("99999999999999999999"));
}

TEST(Strings, Durations) {
  EXPECT_EQ(ParseDurationMs("10m"), 600000);
  EXPECT_EQ(ParseDurationMs("1.5h"), 5400000);
  EXPECT_EQ(ParseDurationMs("250ms"), 250);
  EXPECT_FALSE(ParseDurationMs("10"));
  EXPECT_FALSE(ParseDurationMs("-1s"));
  EXPECT_FALSE(ParseDurationMs("1y"));
  EXPECT_EQ(FormatDuration(7500000), "2 h 05 m");
}

TEST(Strings, NearestNameIsOfferedOnlyWhenNear) {
  const std::vector<std::string> names = {"strategy", "fidelity", "budget"};
  EXPECT_EQ(DidYouMean("stratgey", names), " (did you mean 'strategy'?)");
  EXPECT_EQ(DidYouMean("zebra", names), "");
}

TEST(Strings, NamesOfColumnsAndResources) {
  EXPECT_TRUE(IsLowerSnake("stage2_block1_op"));
  EXPECT_FALSE(IsLowerSnake("2stage"));
  EXPECT_FALSE(IsLowerSnake("Stage"));
  EXPECT_TRUE(IsResourceName("fashion-macro"));
  EXPECT_FALSE(IsResourceName("a/b"));
  EXPECT_FALSE(IsResourceName(""));
}

TEST(Strings, HexRoundTrips) {
  EXPECT_EQ(HexDecode(HexEncode("\x01\xff canopy")), "\x01\xff canopy");
  EXPECT_FALSE(HexDecode("abc"));
  EXPECT_FALSE(HexDecode("zz"));
}

TEST(Strings, CountsGroupThousands) {
  EXPECT_EQ(FormatCount(1234567), "1,234,567");
  EXPECT_EQ(FormatCount(-1234), "-1,234");
  EXPECT_EQ(FormatCount(12), "12");
}

}  // namespace
}  // namespace canopy
