#include "base/random.h"

#include <gtest/gtest.h>

#include <set>

namespace canopy {
namespace {

TEST(Rng, GoldenValuesStayTheSameOnEveryRelease) {
  Rng rng(1);
  EXPECT_EQ(rng.Next(), 12966619160104079557u);
  EXPECT_EQ(rng.Next(), 9600361134598540522u);
  EXPECT_EQ(Rng(7).Below(10), Rng(7).Below(10));
}

TEST(Rng, RestoredStateContinuesTheStream) {
  Rng rng(42);
  rng.Next();
  auto restored = Rng::Restore(rng.Save());
  ASSERT_TRUE(restored.ok());
  for (int i = 0; i < 100; ++i) EXPECT_EQ(rng.Next(), restored->Next());
  EXPECT_FALSE(Rng::Restore("12").ok());
}

TEST(Rng, IntReachesBothEndsAndNothingElse) {
  Rng rng(3);
  std::set<int64_t> seen;
  for (int i = 0; i < 1000; ++i) seen.insert(rng.Int(-2, 3));
  EXPECT_EQ(seen, (std::set<int64_t>{-2, -1, 0, 1, 2, 3}));
  rng.Int(INT64_MIN, INT64_MAX);
}

TEST(Rng, SamplesWithoutReplacementAreDistinct) {
  Rng rng(5);
  const auto sample = rng.SampleWithoutReplacement(10, 10);
  EXPECT_EQ(std::set<size_t>(sample.begin(), sample.end()).size(), 10u);
}

TEST(Rng, DerivedStreamsDifferByLabel) {
  EXPECT_NE(Rng::DeriveSeed(1, "init"), Rng::DeriveSeed(1, "order"));
  EXPECT_NE(Rng::DeriveSeed(1, "init"), Rng::DeriveSeed(2, "init"));
}

TEST(Uuid, IsAVersion4Uuid) {
  EXPECT_TRUE(IsUuid(NewUuid()));
  EXPECT_NE(NewUuid(), NewUuid());
  EXPECT_FALSE(IsUuid("x"));
}

}  // namespace
}  // namespace canopy
