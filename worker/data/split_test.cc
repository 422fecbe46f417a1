#include "worker/data/split.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/sha256.h"

namespace canopy::data {
namespace {

TEST(SplitBySeed, EveryExampleIsInExactlyOneSide) {
  const auto split = SplitBySeed(1000, 7, 200);
  ASSERT_TRUE(split.ok());
  EXPECT_EQ(split->validation.size(), 200u);
  std::vector<int64_t> all = split->train;
  all.insert(all.end(), split->validation.begin(), split->validation.end());
  std::sort(all.begin(), all.end());
  for (int64_t i = 0; i < 1000; ++i) ASSERT_EQ(all[static_cast<size_t>(i)], i);
  EXPECT_TRUE(std::is_sorted(split->validation.begin(), split->validation.end()));
}

TEST(SplitBySeed, SeedsGiveDifferentSplitsAndTheHashTellsThemApart) {
  EXPECT_EQ(SplitBySeed(1000, 7, 200)->validation, SplitBySeed(1000, 7, 200)->validation);
  EXPECT_NE(SplitBySeed(1000, 7, 200)->hash, SplitBySeed(1000, 8, 200)->hash);
}

// Pinned: a campaign's split must be the same on every release.
TEST(SplitBySeed, TheHashIsOverTheSortedIndicesAsText) {
  const auto split = SplitBySeed(10, 1, 3);
  std::string text;
  for (int64_t i : split->validation) text += std::to_string(i) + "\n";
  EXPECT_EQ(split->hash, Sha256Hex(text));
  EXPECT_EQ(text, "1\n2\n5\n");
}

TEST(SplitBySeed, AnImpossibleCountIsRefused) {
  EXPECT_FALSE(SplitBySeed(10, 1, 0).ok());
  EXPECT_FALSE(SplitBySeed(10, 1, 10).ok());
  EXPECT_TRUE(SplitBySeed(10, 1, 9).ok());
}

}  // namespace
}  // namespace canopy::data
