#include <gtest/gtest.h>

#include <filesystem>
#include <functional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/file.h"
#include "worker/agent/agent_fixture.h"

namespace canopy::agent {
namespace {

TEST_F(AgentTest, RunsLeasesInItsSlotsAndForgetsWhatIsAcknowledged) {
  LetTrainersEnd();
  Start(2);
  for (int64_t attempt = 1; attempt <= 6; ++attempt) controller_.Offer(TestLease(attempt));
  for (int64_t attempt = 1; attempt <= 6; ++attempt)
    EXPECT_TRUE(controller_.WaitForOutcome(attempt).has_result());
  End();
  EXPECT_TRUE(ended_.ok()) << Message(ended_);
  EXPECT_EQ(controller_.counted_twice(), 0);
  EXPECT_TRUE(spool_.Waiting()->empty());
}

TEST_F(AgentTest, ARungReportIsSentUntilItIsAnsweredAndAUsedCheckpointIsForgotten) {
  LetTrainersEnd();
  environment_.rung_answer_ms = 60'000;
  controller_.DropRungReplies(2);
  Start();
  v1::Lease lease = TestLease(1);
  lease.set_epochs(2);
  lease.add_rungs(1);
  controller_.Offer(lease);
  const v1::Outcome paused = controller_.WaitForOutcome(1);
  ASSERT_TRUE(paused.has_paused()) << paused.DebugString();
  ASSERT_EQ(controller_.reports().size(), 1u);
  EXPECT_EQ(controller_.reports()[0].worker_id(), "worker");
  lease.set_attempt_id(2);
  lease.set_rung(1);
  *lease.mutable_checkpoint() = paused.paused().checkpoint();
  EXPECT_TRUE(FileExists(lease.checkpoint().path()));
  controller_.Offer(lease);
  EXPECT_TRUE(controller_.WaitForOutcome(2).has_result());
  EXPECT_FALSE(FileExists(lease.checkpoint().path()));
}

TEST_F(AgentTest, AControllerWithoutRoomIsAskedAgainLaterAndGetsEveryResultOnce) {
  constexpr size_t kSlots = 3, kTimes = 3;
  Start(kSlots);
  for (int64_t attempt = 1; attempt <= 3; ++attempt) controller_.Offer(TestLease(attempt));
  for (int64_t attempt = 1; attempt <= 3; ++attempt) controller_.WaitUntilRunning(attempt);
  controller_.SetBusy(true);
  LetTrainersEnd();
  // Three results, and heartbeats.
  const auto refused = controller_.WaitForRefusals(kTimes, kSlots + 1);
  EXPECT_EQ(spool_.Waiting()->size(), kSlots) << "they stay on its disk";
  EXPECT_EQ(controller_.outcomes(), 0u);
  EXPECT_EQ(refused.count("hello"), 0u);
  for (const auto& [kind, times] : refused) {
    if (kind == "heartbeat" || times.size() < kTimes) continue;
    EXPECT_GE(times[1] - times[0], 125) << kind;
    EXPECT_GE(times[2] - times[1], 250) << kind;
  }
  controller_.SetBusy(false);
  for (int64_t attempt = 1; attempt <= 3; ++attempt)
    EXPECT_TRUE(controller_.WaitForOutcome(attempt).has_result());
  EXPECT_EQ(controller_.hellos(), 1u) << "to be greeted anew would be more work for it";
  End();
  EXPECT_EQ(controller_.counted_twice(), 0);
  EXPECT_TRUE(spool_.Waiting()->empty());
}

TEST_F(AgentTest, ARungReportThatFindsNoRoomIsRepeatedWithoutAGreeting) {
  LetTrainersEnd();
  environment_.rung_answer_ms = 60'000;
  controller_.RefuseRungReports(2);
  Start();
  v1::Lease lease = TestLease(1);
  lease.set_epochs(2);
  lease.add_rungs(1);
  controller_.Offer(lease);
  EXPECT_TRUE(controller_.WaitForOutcome(1).has_paused());
  EXPECT_EQ(controller_.reports().size(), 1u);
  EXPECT_EQ(controller_.hellos(), 1u);
}

TEST_F(AgentTest, ALostReplyIsAskedForAgainWithTheSameRequestId) {
  LetTrainersEnd();
  controller_.DropReplies(3);
  Start();
  for (int64_t attempt = 1; attempt <= 3; ++attempt) controller_.Offer(TestLease(attempt));
  for (int64_t attempt = 1; attempt <= 3; ++attempt) controller_.WaitForOutcome(attempt);
  EXPECT_EQ(controller_.counted_twice(), 0);
  EXPECT_EQ(controller_.outcomes(), 3u);
}

TEST_F(AgentTest, AnOutcomeIsOnDiskBeforeItIsSent) {
  LetTrainersEnd();
  std::atomic<int> seen = 0;
  controller_.OnExchange([&](const v1::ExchangeRequest& request) {
    if (!request.has_outcome()) return;
    EXPECT_TRUE(FileExists(SpoolFile(request.outcome())));
    ++seen;
  });
  Start();
  controller_.Offer(TestLease(1));
  controller_.WaitForOutcome(1);
  EXPECT_GE(seen, 1);
}

TEST_F(AgentTest, WhatAnEarlierProcessLeftIsSentFirstAndClaimedTillThen) {
  v1::Outcome left;
  left.set_result_id("left");
  left.set_attempt_id(40);
  left.set_fence(41);
  left.set_database_id("db");
  left.mutable_result();
  ASSERT_TRUE(spool_.Put(left).ok());
  v1::Outcome foreign = left;
  foreign.set_result_id("foreign");
  foreign.set_attempt_id(39);
  foreign.set_database_id("another");
  ASSERT_TRUE(spool_.Put(foreign).ok());
  Start();
  EXPECT_EQ(controller_.WaitForOutcome(40).result_id(), "left");
  const v1::WorkerHelloRequest hello = controller_.WaitForHellos(1)[0];
  ASSERT_EQ(hello.running_size(), 1);
  EXPECT_EQ(hello.running(0).attempt_id(), 40);
  EXPECT_EQ(hello.running(0).fence(), 41);
  EXPECT_EQ(hello.database_id(), "db");
  End();
  EXPECT_TRUE(spool_.Waiting()->empty());
  EXPECT_EQ(controller_.outcomes(), 1u);
  EXPECT_TRUE(FileExists(state_.spool() + "/foreign/foreign.json"));
}

TEST_F(AgentTest, WhatARestoreHasLostIsOfferedAgainOnce) {
  LetTrainersEnd();
  Start();
  v1::Lease lease = TestLease(1);
  lease.set_candidate_hash("a1");
  lease.set_recipe_hash("b2");
  lease.set_replicate(3);
  controller_.Offer(lease);
  const v1::Outcome first = controller_.WaitForOutcome(1);
  controller_.Restore();
  const v1::Outcome again = controller_.WaitForOutcome(1);
  EXPECT_TRUE(google::protobuf::util::MessageDifferencer::Equals(again, first));
  EXPECT_EQ(again.incarnation(), 1) << "of which state it is, the controller has to know";
  EXPECT_EQ(again.candidate_hash(), "a1");
  EXPECT_EQ(again.recipe_hash(), "b2");
  EXPECT_EQ(again.replicate(), 3);
  EXPECT_EQ(again.purpose(), lease.purpose());
  End();
  EXPECT_TRUE(spool_.Waiting()->empty());
  const auto kept = spool_.KeptBefore("db", 3);
  ASSERT_EQ(kept->size(), 1u) << "for the next restore";
  EXPECT_EQ(kept->front().incarnation(), 2);
}

TEST_F(AgentTest, AnAgentThatWasAwayDuringTheRestoreOffersWhatItKept) {
  v1::Outcome kept;
  kept.set_result_id("kept");
  kept.set_attempt_id(40);
  kept.set_database_id("db");
  kept.set_incarnation(1);
  kept.mutable_result();
  ASSERT_TRUE(spool_.Put(kept).ok());
  ASSERT_TRUE(spool_.Keep(kept, 1).ok());
  controller_.Restore();
  Start();
  EXPECT_EQ(controller_.WaitForOutcome(40).result_id(), "kept");
  const v1::WorkerHelloRequest hello = controller_.WaitForHellos(1)[0];
  EXPECT_EQ(hello.running_size(), 0) << "its lease is void";
}

TEST_F(AgentTest, NobodyAsksForWorkBeforeAllThatAnEarlierProcessLeftIsAnswered) {
  for (const int64_t attempt : {1, 2}) {
    v1::Outcome left;
    left.set_result_id("left" + std::to_string(attempt));
    left.set_attempt_id(attempt);
    left.set_database_id("db");
    left.mutable_result();
    ASSERT_TRUE(spool_.Put(left).ok());
  }
  std::atomic<int> asked = 0;
  controller_.OnExchange([&](const v1::ExchangeRequest& request) {
    asked += request.wants_lease() && request.outcome().attempt_id() != 1 ? 1 : 0;
  });
  controller_.HoldBack(1);
  Start(2);
  controller_.WaitForOutcome(2);
  controller_.WaitForHellos(3);  // time for the slot that has sent it
  EXPECT_EQ(asked, 0) << "the controller gives up what the asking slot ran before";
  controller_.HoldBack(0);
  controller_.WaitForOutcome(1);
  LetTrainersEnd();
  for (const int64_t attempt : {3, 4}) controller_.Offer(TestLease(attempt));
  for (const int64_t attempt : {3, 4}) EXPECT_TRUE(controller_.WaitForOutcome(attempt).has_result());
}

TEST_F(AgentTest, AnOutcomeOutlivesAWorkersRefusal) {
  LetTrainersEnd();
  controller_.FailNextOutcome(PermissionDenied("the certificate has expired"));
  Start();
  controller_.Offer(TestLease(1));
  EXPECT_TRUE(controller_.WaitForOutcome(1).has_result());
  EXPECT_GE(controller_.WaitForHellos(2).size(), 2u);
}

TEST_F(AgentTest, AnOutcomeThatTheControllerCannotReadIsKeptForPeople) {
  LetTrainersEnd();
  controller_.FailNextOutcome(InvalidArgument("a metric has no name"));
  Start();
  controller_.Offer(TestLease(1));
  controller_.Offer(TestLease(2));
  EXPECT_TRUE(controller_.WaitForOutcome(2).has_result());
  End();
  EXPECT_EQ(controller_.outcomes(), 1u);
  EXPECT_FALSE(std::filesystem::is_empty(state_.spool() + "/refused"));
}

TEST_F(AgentTest, TrainsOnWithoutItsControllerAndReportsLate) {
  Start();
  controller_.Offer(TestLease(1));
  controller_.WaitUntilRunning(1);
  controller_.SetAway(true);
  LetTrainersEnd();
  while (spool_.Waiting()->empty()) std::this_thread::yield();
  controller_.WaitUntilMissed();
  EXPECT_EQ(controller_.outcomes(), 0u);
  controller_.SetAway(false);
  EXPECT_TRUE(controller_.WaitForOutcome(1).has_result());
  const v1::WorkerHelloRequest hello = controller_.WaitForHellos(2)[1];
  ASSERT_EQ(hello.running_size(), 1) << "the lease is claimed until its outcome is acknowledged";
  EXPECT_EQ(hello.running(0).attempt_id(), 1);
}

TEST_F(AgentTest, SaysHelloAgainWhenItWasForgotten) {
  Start();
  controller_.WaitForHellos(1);
  controller_.Forget();
  controller_.WaitForHellos(2);
}

TEST_F(AgentTest, StopsTheAttemptThatTheControllerNames) {
  Start(2);
  controller_.Offer(TestLease(1));
  controller_.Offer(TestLease(2));
  controller_.WaitUntilRunning(2);
  controller_.StopAttempt(1);
  EXPECT_TRUE(controller_.WaitForOutcome(1).has_cancelled());
  LetTrainersEnd();
  EXPECT_TRUE(controller_.WaitForOutcome(2).has_result());
}

TEST_F(AgentTest, ARefusalAtFirstContactEndsTheAgentWithItsReason) {
  controller_.Refuse(FailedPrecondition("upgrade the agent"));
  Start();
  Join();
  EXPECT_NE(Message(ended_).find("upgrade the agent"), std::string::npos) << Message(ended_);
}

}  // namespace
}  // namespace canopy::agent
