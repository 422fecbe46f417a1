#include "controller/engine/checkpointer.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

namespace canopy::engine {
namespace {

TEST(Checkpointer, ARoundThatMovedAnEarlierLogIsNotOneOfThis) {
  std::atomic<int> rounds = 0;
  Checkpointer checkpointer([&]() -> Status {
    ++rounds;
    return Internal("the next one may do better");
  });
  EXPECT_FALSE(checkpointer.Done(1));
  while (rounds < 1) std::this_thread::yield();
  EXPECT_FALSE(checkpointer.Done(2));
  while (!checkpointer.Done(2)) std::this_thread::yield();
  EXPECT_EQ(rounds, 2);
  checkpointer.Stop();
  EXPECT_TRUE(checkpointer.Done(3)) << "nobody moves it any more";
}

}  // namespace
}  // namespace canopy::engine
