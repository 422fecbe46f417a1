#include "worker/agent/hang_timer.h"

#include <gtest/gtest.h>

namespace canopy::agent {
namespace {

TEST(HangTimer, WaitsTheMinimumForAFirstStep) {
  HangTimer timer(300, 1000);
  EXPECT_EQ(timer.DeadlineMs(), 1300);
  timer.Started(2000);
  EXPECT_EQ(timer.DeadlineMs(), 2300);
}

TEST(HangTimer, OnlyANewStepIsProgress) {
  HangTimer timer(300, 0);
  timer.AtStep(5, 100);
  EXPECT_EQ(timer.DeadlineMs(), 400);
  timer.AtStep(5, 200);
  EXPECT_EQ(timer.DeadlineMs(), 400);
}

TEST(HangTimer, GivesSlowStepsTenMedians) {
  HangTimer timer(300, 0);
  timer.AtStep(1, 100);
  timer.AtStep(2, 200);
  timer.AtStep(3, 5000);  // one pause changes no median
  EXPECT_EQ(timer.LimitMs(), 1000);
  EXPECT_EQ(timer.DeadlineMs(), 6000);
}

}  // namespace
}  // namespace canopy::agent
