#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "controller/core/core_fixture.h"

namespace canopy::controller {
namespace {

using model::AttemptState;
using model::FailureClass;
using model::SegmentEnd;
using model::TrialState;
using ::testing::HasSubstr;

// Trainings that a worker was told to end, and that go on from the checkpoint that they left on its disk.
class Preemption : public TwoWorkers {
 protected:
  AttemptOutcome Preempted(const Lease& lease, int64_t step, int64_t busy_ms = 1000) {
    AttemptOutcome outcome = world_.Failed(lease, FailureClass::kPreempted, "the agent was told to end");
    outcome.cost.busy_ms = busy_ms;
    if (step > 0) outcome.checkpoint = {"", "/c" + std::to_string(step), "5ha", step / 10, step};
    return outcome;
  }
  void Preempt(const Lease& lease, int64_t step, int64_t busy_ms = 1000) {
    EXPECT_EQ(world_.Report(lease.attempt.worker_id, Preempted(lease, step, busy_ms)),
              OutcomeVerdict::kAccepted);
  }
  // Time in which those workers are heard of.
  void Pass(int64_t ms, const std::vector<std::string>& workers) {
    for (int64_t passed = 0; passed < ms; passed += 5'000) {
      for (const std::string& worker : workers) world_.Beat(worker, {});
      world_.Pass(5'000);
    }
  }
  std::string WhyGivenUp() const {
    const auto events = world_.Events("checkpoint_given_up");
    return events.empty() ? "" : events.back().payload_json;
  }
};

TEST_F(Preemption, ATrialGoesOnWhereItsWorkerLeftIt) {
  Launch();
  const Lease first = Take("w");
  Preempt(first, 37);
  const model::AttemptRecord attempt = world_.Attempt(first.attempt.id);
  EXPECT_EQ(attempt.state, AttemptState::kFailed);
  EXPECT_EQ(attempt.failure, FailureClass::kPreempted);
  EXPECT_EQ(attempt.segment, SegmentEnd::kPreempted);
  EXPECT_EQ(attempt.cost.busy_ms, 1000) << "it is charged";
  EXPECT_EQ(Trial(first).state, TrialState::kPending);
  const model::TrialCheckpoint left = {"w", "/c37", "5ha", 3, 37};
  EXPECT_EQ(Trial(first).checkpoint, left);

  EXPECT_NE(Take("v").trial.id, first.trial.id) << "the checkpoint lies on w";
  const Lease second = Take("w");
  ASSERT_EQ(second.trial.id, first.trial.id);
  EXPECT_EQ(second.trial.checkpoint, left);
  // Preempted before it has written another, it has the one that it had.
  Preempt(second, 0);
  EXPECT_EQ(world_.Attempt(second.attempt.id).segment, std::nullopt);
  const Lease third = Take("w");
  EXPECT_EQ(third.trial.checkpoint, left);
  Preempt(third, 52);
  const Lease fourth = Take("w");
  EXPECT_EQ(fourth.trial.checkpoint.step, 52);
  EXPECT_EQ(world_.Report("w", world_.Success(fourth, 0.9)), OutcomeVerdict::kAccepted);
  EXPECT_EQ(Trial(first).state, TrialState::kCompleted);
  EXPECT_EQ(Trial(first).busy_ms, 3000) << "of the parts that it consists of";
  EXPECT_EQ(Trial(first).interruptions, 3);
}

TEST_F(Preemption, AFinalGoesOnToo) {
  Launch(World::Campaign(1, 1));
  EXPECT_EQ(world_.Report("w", world_.Success(Take("w"), 0.9)), OutcomeVerdict::kAccepted);
  const Lease first = Take("w");
  ASSERT_EQ(first.trial.purpose, model::Purpose::kFinal);
  Preempt(first, 8);
  const Lease second = Take("w");
  EXPECT_EQ(second.trial.id, first.trial.id);
  EXPECT_EQ(second.trial.checkpoint.step, 8);
}

TEST_F(Preemption, AWorkerThatComesBackInTimeFindsItsTrial) {
  Launch();
  const Lease first = Take("w");
  Preempt(first, 37);
  WorkerHeartbeat goodbye{1, "w", {}, {}};
  goodbye.remaining_ms = 0;
  world_.Step(std::move(goodbye));
  Pass(20'000, {"v"});
  EXPECT_EQ(WhyGivenUp(), "");
  world_.Hello("w", 2, "h1");
  EXPECT_EQ(Take("w").trial.id, first.trial.id);
}

TEST_F(Preemption, WithoutItsWorkerATrialBeginsAnewAfterALeasesTimeToLive) {
  Launch();
  const Lease first = Take("w");
  Preempt(first, 37, 3'600'000);
  WorkerHeartbeat goodbye{1, "w", {}, {}};
  goodbye.remaining_ms = 0;
  world_.Step(std::move(goodbye));
  Pass(40'000, {"v"});
  EXPECT_THAT(WhyGivenUp(), HasSubstr("is gone"));
  const Lease anew = Take("v");
  EXPECT_EQ(anew.trial.id, first.trial.id);
  EXPECT_EQ(anew.trial.checkpoint, model::TrialCheckpoint());
}

TEST_F(Preemption, ATrialWaitsForABusyWorkerNoLongerThanWhatItWouldLose) {
  Launch();
  const Lease first = Take("w");
  Preempt(first, 37, 100'000);
  // Worker w is heard of and takes nothing.
  Pass(90'000, {"w", "v"});
  EXPECT_EQ(WhyGivenUp(), "");
  EXPECT_EQ(world_.core_.Explain(world_.now_, first.trial.id).checkpoint_patience_ms / 10'000, 0);
  EXPECT_NE(Take("v").trial.id, first.trial.id);
  Pass(20'000, {"w"});
  EXPECT_THAT(WhyGivenUp(), HasSubstr("had no place"));
  world_.Hello("u", 1, "h3");
  const Lease anew = Take("u");
  EXPECT_EQ(anew.trial.id, first.trial.id);
  EXPECT_EQ(anew.trial.checkpoint, model::TrialCheckpoint());
}

TEST_F(Preemption, AWorkerThatEndsSoonIsGivenWhatIsLeftOfATraining) {
  Launch();
  AttemptOutcome whole = world_.Success(Take("v"), 0.9);
  whole.cost.busy_ms = 100'000;  // with a fifth more, 120 s are expected
  world_.Report("v", whole);
  const Lease first = Take("w");
  Preempt(first, 37, 90'000);
  WorkerHello again{2, MakeWorker("w", 2, "h1"), {}};
  again.remaining_ms = 40'000;
  world_.Step(std::move(again));
  const auto rest = world_.Poll("w", 0);
  ASSERT_TRUE(rest);
  EXPECT_EQ(rest->trial.id, first.trial.id);
  EXPECT_FALSE(world_.Poll("w", 1)) << "no other trial ends in that time";
}

TEST_F(Preemption, WhatMayHaveFailedForItsCheckpointBeginsAnew) {
  Launch();
  const Lease first = Take("w");
  Preempt(first, 37);
  const Lease second = Take("w");
  world_.Report("w", world_.Failed(second, FailureClass::kTimeout, "no step"));
  EXPECT_EQ(Trial(first).checkpoint, model::TrialCheckpoint());
}

TEST_F(Preemption, APauseStandsAndItsTrialGoesOnFromTheCheckpointOnceItIsPromoted) {
  LaunchCampaign launch = World::Campaign(10);
  launch.campaign.settings.epochs = 3;
  launch.campaign.settings.fidelity_kind = "halving";
  launch.campaign.settings.fidelity_json = R"({"rungs": [1], "group": 2, "keep": 1, "floor": 0.2})";
  Launch(std::move(launch));
  const Lease lease = Take("w");
  EXPECT_EQ(*world_.Reach(lease, 1, 0.8), model::RungAction::kPause);
  // The answer has not reached the trainer.
  Preempt(lease, 12);
  EXPECT_EQ(Trial(lease).state, TrialState::kPaused);
  const Lease other = Take("v");
  EXPECT_EQ(*world_.Reach(other, 1, 0.5), model::RungAction::kPause);
  world_.Report("v", world_.Segment(other, SegmentEnd::kPaused, 1));
  const Lease resumed = Take("w");
  ASSERT_EQ(resumed.trial.id, lease.trial.id);
  EXPECT_EQ(resumed.trial.checkpoint.step, 12);
  EXPECT_EQ(resumed.trial.rung, 1) << "and does not report it again";
}

// An agent that stops its trainers sends no heartbeats.
TEST_F(Preemption, ALateCheckpointIsTakenWhereNobodyWasGivenTheTrial) {
  Launch();
  const Lease first = Take("w");
  Pass(40'000, {"v"});
  EXPECT_EQ(world_.Attempt(first.attempt.id).state, AttemptState::kExpired);
  EXPECT_EQ(world_.TryReport("w", Preempted(first, 0)), OutcomeVerdict::kArchived);
  Preempt(first, 37);
  EXPECT_EQ(world_.Attempt(first.attempt.id).segment, SegmentEnd::kPreempted);
  const Lease second = Take("w");
  EXPECT_EQ(second.trial.id, first.trial.id);
  EXPECT_EQ(second.trial.checkpoint.step, 37);
}

TEST_F(Preemption, ALatePreemptionOfATrialThatAnotherHasChangesNothing) {
  Launch();
  const Lease first = Take("w");
  Pass(40'000, {"v"});
  const Lease second = Take("v");
  ASSERT_EQ(second.trial.id, first.trial.id);
  EXPECT_EQ(world_.TryReport("w", Preempted(first, 37)), OutcomeVerdict::kArchived);
  EXPECT_EQ(Trial(first).checkpoint, model::TrialCheckpoint());
}

}  // namespace
}  // namespace canopy::controller
