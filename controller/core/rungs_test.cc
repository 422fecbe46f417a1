#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "controller/core/core_fixture.h"

namespace canopy::controller {
namespace {

using model::AttemptState;
using model::FailureClass;
using model::RungAction;
using model::SegmentEnd;
using model::TrialState;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

// Campaigns whose trainings report after the first of three epochs, and the workers "w" and "v" of two hosts.
class Rungs : public TwoWorkers {
 protected:
  static constexpr char kPairs[] = R"({"rungs": [1], "group": 2, "keep": 1, "floor": 0.2})";

  void Launch(int64_t trials, const std::string& fidelity = kPairs, int64_t top = 0) {
    LaunchCampaign launch = World::Campaign(trials, top);
    launch.campaign.settings.epochs = 3;
    launch.campaign.settings.fidelity_kind = "halving";
    launch.campaign.settings.fidelity_json = fidelity;
    TwoWorkers::Launch(std::move(launch));
  }
  // It reaches rung 1 and pauses there.
  void PauseAt(const Lease& lease, double accuracy, int64_t rung = 1) {
    EXPECT_EQ(*world_.Reach(lease, rung, accuracy), RungAction::kPause);
    EXPECT_EQ(world_.Report(lease.attempt.worker_id, world_.Segment(lease, SegmentEnd::kPaused, rung)),
              OutcomeVerdict::kAccepted);
  }
  std::vector<model::ResultRecord> Results() const {
    std::vector<model::ResultRecord> results;
    for (const InsertResult& write : world_.Written<InsertResult>()) results.push_back(write.result);
    return results;
  }
  void Expire() {
    world_.Pass(31'000);
    world_.Pass(1'000);
  }
};

TEST_F(Rungs, TheBestOfAGroupGoesOnWhereItPausedAndTheOthersStop) {
  Launch(10);
  const Lease good = Take("w", 0), bad = Take("v");
  EXPECT_EQ(good.rungs, std::vector<int64_t>{1});
  EXPECT_EQ(good.epochs, 3);
  PauseAt(good, 0.8);
  EXPECT_EQ(Trial(good).state, TrialState::kPaused);
  EXPECT_EQ(world_.Attempt(good.attempt.id).state, AttemptState::kSucceeded);
  EXPECT_EQ(world_.Attempt(good.attempt.id).segment, SegmentEnd::kPaused);
  EXPECT_THAT(Results(), IsEmpty());
  PauseAt(bad, 0.6);
  EXPECT_EQ(Trial(bad).state, TrialState::kStopped);
  ASSERT_EQ(Results().size(), 1u);
  EXPECT_EQ(Results()[0].trial_id, bad.trial.id);
  EXPECT_EQ(Results()[0].objective, 0.6);
  EXPECT_EQ(Results()[0].rung, 1);
  EXPECT_EQ(Results()[0].epochs, 1);

  EXPECT_EQ(Trial(good).state, TrialState::kPending);
  const auto elsewhere = world_.Poll("v");
  ASSERT_TRUE(elsewhere);
  EXPECT_NE(elsewhere->trial.id, good.trial.id) << "the checkpoint lies on w";
  const Lease resumed = Take("w", 0);
  EXPECT_EQ(resumed.trial.id, good.trial.id);
  EXPECT_EQ(resumed.trial.rung, 1);
  EXPECT_EQ(resumed.trial.checkpoint.worker_id, "w");
  EXPECT_EQ(resumed.trial.checkpoint.epoch, 1);
  EXPECT_GT(resumed.attempt.fence, good.attempt.fence);
  EXPECT_EQ(world_.Report("w", world_.Success(resumed, 0.9)), OutcomeVerdict::kAccepted);
  EXPECT_EQ(Trial(good).state, TrialState::kCompleted);
  EXPECT_EQ(Results()[1].rung, 0);
  EXPECT_EQ(Trial(good).busy_ms, 2000) << "of both segments";
  EXPECT_EQ(world_.Events("rung_reported").size(), 2u);
  EXPECT_EQ(world_.Events("trial_promoted").size(), 1u);
}

TEST_F(Rungs, AReportCountsOnceAndARepeatGetsItsAnswer) {
  Launch(10);
  const Lease lease = Take("w");
  EXPECT_EQ(*world_.Reach(lease, 1, 0.8), RungAction::kPause);
  EXPECT_EQ(*world_.Reach(lease, 1, 0.8), RungAction::kPause);
  EXPECT_EQ(world_.Reach(lease, 1, 0.7).status().code(), absl::StatusCode::kInvalidArgument);
  Lease stale = lease;
  --stale.attempt.fence;
  EXPECT_EQ(*world_.Reach(stale, 1, 0.8), RungAction::kStop);
  Lease anothers = lease;
  anothers.attempt.worker_id = "v";
  EXPECT_EQ(*world_.Reach(anothers, 1, 0.8), RungAction::kStop);
  EXPECT_EQ(world_.Written<InsertRungReport>().size(), 1u);
  EXPECT_EQ(world_.Written<InsertRungReport>()[0].report.objective, 0.8);
}

TEST_F(Rungs, WhatIsNoRungOfTheLeaseIsRefused) {
  Launch(10);
  Lease lease = Take("w");
  lease.rungs = {2, 3};
  EXPECT_THAT(Message(world_.Reach(lease, 1, 0.8).status()), HasSubstr("no rung 1 after epoch 2"));
  EXPECT_EQ(world_.Reach(lease, 2, 0.8).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(world_.Written<InsertRungReport>(), IsEmpty());
}

TEST_F(Rungs, AStopIsTheTrialsEndWithTheFiguresOfItsRung) {
  Launch(10);
  const Lease lease = Take("w");
  EXPECT_EQ(*world_.Reach(lease, 1, 0.1), RungAction::kStop);
  EXPECT_EQ(Trial(lease).state, TrialState::kLeased) << "until its attempt has ended";
  AttemptOutcome outcome = world_.Segment(lease, SegmentEnd::kStopped, 1);
  outcome.result.split_hash = "sp1it";
  EXPECT_EQ(world_.Report("w", outcome), OutcomeVerdict::kAccepted);
  EXPECT_EQ(Trial(lease).state, TrialState::kStopped);
  ASSERT_EQ(Results().size(), 1u);
  EXPECT_EQ(Results()[0].objective, 0.1);
  EXPECT_EQ(Results()[0].split_hash, "sp1it");
  EXPECT_EQ(Results()[0].result_id, outcome.result_id);
}

TEST_F(Rungs, AStopStandsThoughItsWorkerIsLost) {
  Launch(10);
  const Lease lease = Take("w");
  EXPECT_EQ(*world_.Reach(lease, 1, 0.1), RungAction::kStop);
  Expire();
  EXPECT_EQ(Trial(lease).state, TrialState::kStopped);
  EXPECT_EQ(world_.Report("w", world_.Segment(lease, SegmentEnd::kStopped, 1)), OutcomeVerdict::kArchived);
  ASSERT_EQ(Results().size(), 1u);
  EXPECT_EQ(Results()[0].objective, 0.1);
}

TEST_F(Rungs, WhoDidNotHearTheStopHearsItWithTheHeartbeat) {
  Launch(10);
  const Lease lease = Take("w");
  EXPECT_THAT(world_.Beat("w", {lease}), IsEmpty());
  EXPECT_EQ(*world_.Reach(lease, 1, 0.1), RungAction::kStop);
  EXPECT_EQ(world_.Beat("w", {lease}), std::vector<int64_t>{lease.attempt.id});
  AttemptOutcome cancelled = world_.Failed(lease, FailureClass::kWorkerLost, "");
  cancelled.failure.reset();
  cancelled.cancelled = true;
  EXPECT_EQ(world_.Report("w", cancelled), OutcomeVerdict::kAccepted);
  EXPECT_EQ(Trial(lease).state, TrialState::kStopped);
}

TEST_F(Rungs, WhoDidNotHearThePauseGoesOnAndItsResultCounts) {
  Launch(10, R"({"rungs": [1, 2], "group": 2, "keep": 1})");
  const Lease lease = Take("w");
  EXPECT_EQ(*world_.Reach(lease, 1, 0.4), RungAction::kPause);
  EXPECT_EQ(*world_.Reach(lease, 2, 0.5), RungAction::kPause);
  EXPECT_EQ(*world_.Reach(lease, 1, 0.4), RungAction::kPause) << "as it was answered";
  EXPECT_EQ(world_.Report("w", world_.Success(lease, 0.6)), OutcomeVerdict::kAccepted);
  EXPECT_EQ(Trial(lease).state, TrialState::kCompleted);
  EXPECT_EQ(Results()[0].objective, 0.6);
}

TEST_F(Rungs, AReportThatComesAfterTheNextOneIsRecordedAndDecidesNothing) {
  Launch(10, R"({"rungs": [1, 2], "group": 2, "keep": 1})");
  const Lease lease = Take("w");
  EXPECT_EQ(*world_.Reach(lease, 2, 0.5), RungAction::kPause);
  EXPECT_EQ(*world_.Reach(lease, 1, 0.4), RungAction::kContinue);
  EXPECT_EQ(Trial(lease).rung, 2);
  EXPECT_EQ(Trial(lease).rung_action, RungAction::kPause);
  EXPECT_EQ(world_.Written<InsertRungReport>().size(), 2u);
}

TEST_F(Rungs, APauseStandsThoughItsWorkerIsLostAndALateCheckpointIsTaken) {
  Launch(10);
  const Lease lost = Take("w");
  EXPECT_EQ(*world_.Reach(lost, 1, 0.8), RungAction::kPause);
  Expire();
  EXPECT_EQ(Trial(lost).state, TrialState::kPaused);
  EXPECT_EQ(Trial(lost).checkpoint.worker_id, "");
  EXPECT_EQ(world_.Report("w", world_.Segment(lost, SegmentEnd::kPaused, 1)), OutcomeVerdict::kAccepted);
  EXPECT_EQ(Trial(lost).state, TrialState::kPaused);
  EXPECT_EQ(Trial(lost).checkpoint.worker_id, "w");
  EXPECT_EQ(Trial(lost).interruptions, 1);
}

TEST_F(Rungs, WithoutItsCheckpointATrialBeginsAnewAndPassesTheRungsThatItReported) {
  Launch(10);
  const Lease first = Take("w");
  PauseAt(first, 0.8);
  PauseAt(Take("v"), 0.6);
  ASSERT_EQ(Trial(first).state, TrialState::kPending);
  // Worker w is not heard of again.
  for (int i = 0; i < 4; ++i) {
    world_.Pass(10'000);
    world_.Beat("v", {});
  }
  EXPECT_EQ(world_.Events("checkpoint_given_up").size(), 1u);
  const Lease anew = Take("v");
  EXPECT_EQ(anew.trial.id, first.trial.id);
  EXPECT_EQ(anew.trial.checkpoint, model::TrialCheckpoint());
  EXPECT_EQ(*world_.Reach(anew, 1, 0.7), RungAction::kContinue);
  EXPECT_EQ(world_.Written<InsertRungReport>().size(), 2u) << "the first report stands";
  EXPECT_EQ(world_.Report("v", world_.Success(anew, 0.9)), OutcomeVerdict::kAccepted);
  EXPECT_EQ(Trial(first).state, TrialState::kCompleted);
}

TEST_F(Rungs, WhatIsLostAfterItsCheckpointGoesOnFromThereAndAfterACrashItBeginsAnew) {
  Launch(10);
  const Lease first = Take("w");
  PauseAt(first, 0.8);
  PauseAt(Take("v"), 0.6);
  const Lease second = Take("w", 0);
  ASSERT_EQ(second.trial.id, first.trial.id);
  AttemptOutcome preempted = world_.Failed(second, FailureClass::kPreempted, "the host is taken away");
  EXPECT_EQ(world_.Report("w", preempted), OutcomeVerdict::kAccepted);
  const Lease third = Take("w", 0);
  ASSERT_EQ(third.trial.id, first.trial.id);
  EXPECT_EQ(third.trial.checkpoint.worker_id, "w");
  EXPECT_EQ(world_.Report("w", world_.Failed(third, FailureClass::kTrainerCrash, "signal 11")),
            OutcomeVerdict::kAccepted);
  const Lease fourth = Take("v");
  EXPECT_EQ(fourth.trial.id, first.trial.id) << "on another host";
  EXPECT_EQ(fourth.trial.checkpoint, model::TrialCheckpoint());
}

TEST_F(Rungs, ATrainerThatAlwaysPausesIsNotTriedForEver) {
  Launch(1, R"({"rungs": [1], "group": 1, "keep": 1})");
  Lease lease = Take("w");
  PauseAt(lease, 0.8);
  int leases = 1;
  while (Trial(lease).state == TrialState::kPending && leases < 100) {
    lease = Take("w");
    ++leases;
    ASSERT_EQ(world_.Report("w", world_.Segment(lease, SegmentEnd::kPaused, 1)), OutcomeVerdict::kAccepted);
  }
  EXPECT_EQ(Trial(lease).state, TrialState::kFailed);
  EXPECT_LT(leases, 60);
}

TEST_F(Rungs, AnObjectiveThatIsNoNumberStopsTheTrialAsDiverged) {
  Launch(10);
  const Lease lease = Take("w");
  EXPECT_EQ(*world_.Reach(lease, 1, kNan), RungAction::kStop);
  EXPECT_EQ(world_.Report("w", world_.Segment(lease, SegmentEnd::kStopped, 1)), OutcomeVerdict::kAccepted);
  EXPECT_EQ(Trial(lease).state, TrialState::kInfeasible);
  ASSERT_EQ(Results().size(), 1u);
  EXPECT_FALSE(Results()[0].feasible);
  EXPECT_FALSE(Results()[0].objective);
}

TEST_F(Rungs, WorkersThatKnowNoRungsAreGivenOtherCampaignsAlone) {
  Launch(10);
  model::WorkerRecord old = MakeWorker("old", 1);
  old.rungs = false;
  world_.Step(WorkerHello{0, old, {}});
  EXPECT_FALSE(world_.Poll("old"));
  const auto outlook = world_.core_.Explain(world_.now_, 1);
  bool explained = false;
  for (const auto& verdict : outlook.workers)
    explained |= verdict.worker_id == "old" && verdict.why.find("rungs") != std::string::npos;
  EXPECT_TRUE(explained);
  LaunchCampaign plain = World::Campaign(3);
  plain.campaign.name = "plain";
  world_.Step(std::move(plain));
  world_.AnswerRefills();
  const auto lease = world_.Poll("old");
  ASSERT_TRUE(lease);
  EXPECT_EQ(lease->campaign.name, "plain");
  EXPECT_THAT(lease->rungs, IsEmpty());
}

TEST_F(Rungs, WhenTheSearchIsOverTheRestIsJudgedAndTheCampaignEnds) {
  Launch(3);
  const Lease a = Take("w", 0), b = Take("w", 1), c = Take("v");
  PauseAt(a, 0.8);
  PauseAt(b, 0.7);
  EXPECT_EQ(Trial(b).state, TrialState::kStopped);
  PauseAt(c, 0.6);
  EXPECT_EQ(Trial(c).state, TrialState::kPaused) << "a still runs";
  const Lease again = Take("w", 0);
  ASSERT_EQ(again.trial.id, a.trial.id);
  world_.Report("w", world_.Success(again, 0.9));
  EXPECT_EQ(Trial(c).state, TrialState::kPending) << "alone, it is the best of its group";
  world_.Report("v", world_.Success(Take("v"), 0.7));
  EXPECT_EQ(world_.Progress().state, model::CampaignState::kCompleted);
  EXPECT_EQ(Results().size(), 3u);
}

TEST_F(Rungs, WhatNobodyPromotesInTheEndIsStopped) {
  Launch(1, R"({"rungs": [1], "group": 2, "keep": 0})");
  const Lease lease = Take("w");
  PauseAt(lease, 0.8);
  EXPECT_EQ(Trial(lease).state, TrialState::kStopped);
  EXPECT_EQ(world_.Progress().state, model::CampaignState::kCompleted);
}

TEST_F(Rungs, CancellingStopsWhatWaitsWithTheFiguresThatItHas) {
  Launch(10);
  const Lease paused = Take("w", 0), running = Take("w", 1);
  PauseAt(paused, 0.8);
  world_.Step(CommandCampaign{0, "ada", 1, CampaignVerb::kCancel});
  EXPECT_EQ(Trial(paused).state, TrialState::kStopped);
  EXPECT_EQ(Trial(running).state, TrialState::kCancelled);
  ASSERT_EQ(Results().size(), 1u);
  EXPECT_EQ(world_.Progress().last_result_seq, 1);
  EXPECT_EQ(world_.Progress().state, model::CampaignState::kCancelled);
}

TEST_F(Rungs, FinalsTakeOnlyWhatWasTrainedInFull) {
  Launch(2, R"({"rungs": [1], "group": 2, "keep": 1})", 1);
  const Lease a = Take("w", 0), b = Take("w", 1);
  PauseAt(a, 0.95);
  PauseAt(b, 0.96);
  EXPECT_EQ(Trial(a).state, TrialState::kStopped);
  const Lease resumed = Take("w", 0);
  ASSERT_EQ(resumed.trial.id, b.trial.id);
  world_.Report("w", world_.Success(resumed, 0.5));
  std::vector<int64_t> parents;
  for (const InsertTrial& write : world_.Written<InsertTrial>())
    if (write.trial.purpose == model::Purpose::kFinal && write.trial.parent_trial_id > 0)
      parents.push_back(write.trial.parent_trial_id);
  EXPECT_EQ(parents, (std::vector<int64_t>{b.trial.id, b.trial.id}));
  const auto final = world_.Poll("v");
  ASSERT_TRUE(final);
  EXPECT_THAT(final->rungs, IsEmpty()) << "finals are trained in full";
}

TEST_F(Rungs, ExplainSaysWhatATrialWaitsFor) {
  Launch(10);
  const Lease lease = Take("w");
  PauseAt(lease, 0.8);
  const auto outlook = world_.core_.Explain(world_.now_, lease.trial.id);
  EXPECT_TRUE(outlook.live);
  EXPECT_EQ(outlook.rung, 1);
  EXPECT_GT(outlook.rung_since_us, 0);
  EXPECT_EQ(outlook.rung_awaits, "1 of 2 reports");
  EXPECT_EQ(world_.core_.Campaigns(world_.now_)[0].paused, 1);
}

}  // namespace
}  // namespace canopy::controller
