#include "worker/agent/backoff.h"

#include <gtest/gtest.h>

#include <set>

namespace canopy::agent {
namespace {

TEST(Backoff, DoublesToItsLimitAndIsDrawnFromTheUpperHalf) {
  Backoff backoff(Rng(1), 100, 1'000);
  for (const int64_t longest : {100, 200, 400, 800, 1'000, 1'000}) {
    const int64_t delay = backoff.NextDelayMs();
    EXPECT_GE(delay, longest / 2);
    EXPECT_LE(delay, longest);
  }
  backoff.Reset();
  EXPECT_LE(backoff.NextDelayMs(), 100);
}

TEST(Backoff, ThousandsThatMayNotWaitLongDoNotComeBackAtOnce) {
  std::set<int64_t> delays;
  for (uint64_t seed = 1; seed <= 50; ++seed) {
    Backoff backoff(Rng(seed), 250, 10'000);
    for (int i = 0; i < 10; ++i) backoff.NextDelayMs(3'000);
    const int64_t delay = backoff.NextDelayMs(3'000);
    EXPECT_GE(delay, 1'500);
    EXPECT_LE(delay, 3'000);
    delays.insert(delay);
  }
  EXPECT_GT(delays.size(), 40u);
}

}  // namespace
}  // namespace canopy::agent
