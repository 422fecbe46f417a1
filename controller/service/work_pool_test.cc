#include "controller/service/work_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <thread>

namespace canopy::controller {
namespace {

TEST(WorkPool, WhatRunsAtTheStopIsFinishedAndWhatWaitsIsDropped) {
  std::promise<void> started, go_on;
  std::atomic<int> done{0}, dropped{0};
  WorkPool pool(1, 8);
  const auto work = [&] { ++done; };
  const auto drop = [&] { ++dropped; };
  ASSERT_TRUE(pool.Add([&] {
    started.set_value();
    go_on.get_future().wait();
    ++done;
  }));
  started.get_future().wait();
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(pool.Add(work, drop));
  ASSERT_TRUE(pool.Add(work)) << "nobody waits for its answer";
  std::thread stop([&] { pool.Stop(); });
  int added = 5;
  while (dropped == 0) {  // what comes after the stop is dropped at once
    added += pool.Add(work, drop);
    std::this_thread::yield();
  }
  go_on.set_value();
  stop.join();
  EXPECT_EQ(dropped, added);
  EXPECT_EQ(done, 2);
}

TEST(WorkPool, AFullPoolTakesNoMore) {
  std::promise<void> started, go_on;
  WorkPool pool(1, 2);
  ASSERT_TRUE(pool.Add([&] {
    started.set_value();
    go_on.get_future().wait();
  }));
  started.get_future().wait();
  EXPECT_TRUE(pool.Add([] {}));
  EXPECT_TRUE(pool.Add([] {}));
  EXPECT_FALSE(pool.Add([] {}, [] { FAIL() << "its caller is told otherwise"; }));
  go_on.set_value();
}

}  // namespace
}  // namespace canopy::controller
