#include <gtest/gtest.h>

#include <cstdlib>
#include <string>

#include "base/file.h"
#include "base/sha256.h"
#include "worker/agent/agent_fixture.h"

namespace canopy::agent {
namespace {

TEST_F(AgentTest, AnAgentThatEndsReportsItsAttemptsAsPreempted) {
  Start(2);
  controller_.Offer(TestLease(1));
  controller_.Offer(TestLease(2));
  controller_.WaitUntilRunning(1);
  controller_.WaitUntilRunning(2);
  End();
  EXPECT_TRUE(ended_.ok());
  for (const int64_t attempt : {1, 2})
    EXPECT_EQ(controller_.WaitForOutcome(attempt).failure().failure_class(), v1::FAILURE_CLASS_PREEMPTED);
  EXPECT_TRUE(spool_.Waiting()->empty());
}

TEST_F(AgentTest, APreemptedTrainingsCheckpointIsReportedAndKeptUntilItWasGoneOnFrom) {
  environment_.checkpoints = true;
  controller_.Offer(TestLease(1));
  Start();
  controller_.WaitUntilRunning(1);
  End();
  const v1::Outcome preempted = controller_.WaitForOutcome(1);
  EXPECT_EQ(preempted.failure().failure_class(), v1::FAILURE_CLASS_PREEMPTED);
  v1::Lease lease = TestLease(2);
  *lease.mutable_checkpoint() = preempted.failure().checkpoint();
  ASSERT_TRUE(FileExists(lease.checkpoint().path()));
  LetTrainersEnd();
  EXPECT_TRUE(RunToItsEnd(lease).has_result());
  EXPECT_FALSE(FileExists(lease.checkpoint().path()));
}

TEST_F(AgentTest, ACheckpointIsKeptWhereItsTrainingIsInterruptedAgainAndNotAfterOtherFailures) {
  LetTrainersEnd();
  const struct {
    const char* what;
    bool kept;
  } cases[] = {{"kill", true}, {"diverge", false}};
  for (const auto& c : cases) {
    ::setenv("CANOPY_FAKE_TRAINER_CASES", (std::string(R"([{"do":")") + c.what + R"("}])").c_str(), 1);
    v1::Lease lease = TestLease(c.kept ? 1 : 2);
    lease.mutable_checkpoint()->set_path(state_.Checkpoint(NewId()));
    lease.mutable_checkpoint()->set_sha256(Sha256Hex("0 0"));
    ASSERT_TRUE(WriteFileDurably(lease.checkpoint().path(), "0 0").ok());
    EXPECT_TRUE(RunToItsEnd(lease).has_failure());
    ::unsetenv("CANOPY_FAKE_TRAINER_CASES");
    EXPECT_EQ(FileExists(lease.checkpoint().path()), c.kept) << c.what;
  }
}

TEST_F(AgentTest, StoppedAtOnceAnAgentWaitsForNoCheckpoint) {
  ::setenv("CANOPY_FAKE_TRAINER_CASES", R"([{"do":"deaf"}])", 1);
  environment_.checkpoints = true;
  environment_.checkpoint_ms = 3'600'000;
  environment_.stop_grace_ms = 50;
  controller_.Offer(TestLease(1));
  Start();
  controller_.WaitUntilRunning(1);
  agent_->StopAtOnce();
  Join();
  ::unsetenv("CANOPY_FAKE_TRAINER_CASES");
  const v1::Outcome outcome = controller_.WaitForOutcome(1);
  EXPECT_EQ(outcome.failure().failure_class(), v1::FAILURE_CLASS_PREEMPTED);
  EXPECT_FALSE(outcome.failure().has_checkpoint());
}

TEST_F(AgentTest, AnAgentWhoseTimeEndsHandsBackWhatItRunsAndLeaves) {
  constexpr int64_t kHourMs = 3'600'000;
  environment_.hang_minimum_ms = 2 * kHourMs;
  controller_.Offer(TestLease(1));
  Start(1, clock_.MonotonicMs() + kHourMs);
  const auto hellos = controller_.WaitForHellos(1);
  EXPECT_TRUE(hellos[0].has_remaining_ms());
  EXPECT_LE(hellos[0].remaining_ms(), kHourMs);
  controller_.WaitUntilRunning(1);
  clock_.Skip(kHourMs);
  Join();
  EXPECT_TRUE(ended_.ok());
  const auto heartbeats = controller_.heartbeats();
  ASSERT_FALSE(heartbeats.empty());
  EXPECT_TRUE(heartbeats.back().has_remaining_ms());
  EXPECT_EQ(heartbeats.back().remaining_ms(), 0);
  EXPECT_EQ(heartbeats.back().attempts_size(), 0);
  EXPECT_EQ(controller_.WaitForOutcome(1).failure().failure_class(), v1::FAILURE_CLASS_PREEMPTED);
}

TEST_F(AgentTest, AnAgentWithoutAnEndSaysSoUntilItLeaves) {
  Start();
  EXPECT_FALSE(controller_.WaitForHellos(1)[0].has_remaining_ms());
  End();
  EXPECT_TRUE(controller_.heartbeats().back().has_remaining_ms());
  EXPECT_EQ(controller_.heartbeats().back().remaining_ms(), 0);
}

TEST_F(AgentTest, AnAgentThatEndsWithoutItsControllerKeepsTheOutcome) {
  Start();
  controller_.Offer(TestLease(1));
  controller_.WaitUntilRunning(1);
  controller_.SetAway(true);
  End();
  const auto waiting = spool_.Waiting();
  ASSERT_EQ(waiting->size(), 1u);
  EXPECT_EQ((*waiting)[0].failure().failure_class(), v1::FAILURE_CLASS_PREEMPTED);
}

}  // namespace
}  // namespace canopy::agent
