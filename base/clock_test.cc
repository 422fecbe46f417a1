#include "base/clock.h"

#include <gtest/gtest.h>

namespace canopy {
namespace {

TEST(WallTimeTest, IsReadAsItIsWritten) {
  const auto noon = ParseWallUs("2026-03-01T12:34:56Z");
  ASSERT_TRUE(noon);
  EXPECT_EQ(FormatWallUs(*noon), "2026-03-01T12:34:56.000000Z");
  EXPECT_EQ(ParseWallUs("2026-03-01T13:34:56+01:00"), noon);
  EXPECT_EQ(ParseWallUs("2026-03-01T08:04:56-04:30"), noon);
}

TEST(WallTimeTest, WhatNamesNoMomentIsRefused) {
  for (const char* text :
       {"", "tomorrow", "2026-03-01", "2026-03-01T12:34:56", "2026-13-01T12:34:56Z", "2026-03-01T12:34:56+1",
        "2026-03-01T12:34:56+01:00x", "2026-03-01T12:34:56 CET", "2026-03-01T12:34:56+25:00"})
    EXPECT_FALSE(ParseWallUs(text)) << text;
}

}  // namespace
}  // namespace canopy
