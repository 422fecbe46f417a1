#include "controller/core/core.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "controller/core/core_fixture.h"

namespace canopy::controller {
namespace {

using model::FailureClass;
using model::Purpose;
using model::TrialState;

TEST(Core, WithOneSlotAStrategyLagsByExactlyOneResult) {
  World world;
  world.Step(World::Campaign(10));
  world.AnswerRefills();
  world.Hello("w", 1);
  std::vector<int64_t> seen;
  for (int i = 0; i < 5; ++i) {
    const auto lease = world.Poll("w");
    ASSERT_TRUE(lease);
    seen.push_back(lease->trial.seen_seq);
    EXPECT_EQ(world.Report("w", world.Success(*lease, 0.9)), OutcomeVerdict::kAccepted);
  }
  EXPECT_EQ(seen, (std::vector<int64_t>{0, 0, 1, 2, 3}));
}

TEST(Core, WhatSlotsTakeWhileAStrategyProposesIsAskedForAhead) {
  World world;
  world.Step(World::Campaign(1'000));
  world.Hello("w", 8);
  const auto waiting = [&] { return world.core_.Campaigns(world.now_).at(0).pending; };
  ASSERT_EQ(waiting(), 8) << "one for each slot";
  for (int64_t slot = 0; slot < 4; ++slot) ASSERT_TRUE(world.Ask("w", slot).ok());
  ASSERT_EQ(world.requests_.size(), 1u);
  EXPECT_EQ(world.requests_[0].count, 1);
  world.AnswerRefills();
  EXPECT_EQ(waiting(), 11) << "three more, as three were taken meanwhile";
  for (int64_t slot = 4; slot < 6; ++slot) ASSERT_TRUE(world.Ask("w", slot).ok());
  EXPECT_TRUE(world.requests_.empty()) << "not for each that is taken";
}

TEST(Core, TheRestOfABudgetIsAskedForHoweverFewTrialsItIs) {
  World world;
  world.Step(World::Campaign(26));
  world.Hello("w", 8);
  int64_t ended = 0;
  for (int round = 0; round < 6; ++round) {
    std::vector<Lease> leases;
    for (int64_t slot = 0; slot < 8; ++slot)
      if (const auto lease = world.TryPollUnanswered("w", slot)) leases.push_back(*lease);
    world.AnswerRefills();
    for (const Lease& lease : leases)
      ended += world.Report("w", world.Success(lease, 0.5)) == OutcomeVerdict::kAccepted;
  }
  EXPECT_EQ(ended, 26);
}

TEST(Core, ABatchThatComesAfterItWasGivenUpLeavesNothingOpen) {
  World world;
  world.Step(World::Campaign(100));
  world.Hello("w", 2);
  const auto first = world.Poll("w", 0);
  ASSERT_TRUE(world.Ask("w", 1).ok());
  ASSERT_EQ(world.requests_.size(), 1u);
  const RequestProposals late = world.requests_[0];
  world.Step(ProposalsReady{late.campaign_id, late.seen_seq, DeadlineExceeded("late"), late.space_version});
  world.AnswerRefills();  // and then it came
  ASSERT_EQ(world.Progress().state, model::CampaignState::kPaused);
  world.Report("w", world.Success(*first, 0.5));
  world.Step(CommandCampaign{900, "ada", 1, CampaignVerb::kResume});
  ASSERT_LE(world.requests_.size(), 1u) << "one at a time";
  for (const RequestProposals& request : world.requests_) EXPECT_GT(request.count, 0);
  world.AnswerRefills();
  EXPECT_TRUE(world.TryPoll("w", 0));
  EXPECT_TRUE(world.TryPoll("w", 1));
}

TEST(Core, ALostTrialIsLeasedAgainBeforeNewOnesAndProposalsStayTheSame) {
  World world;
  world.Step(World::Campaign(10));
  world.AnswerRefills();
  world.Hello("w", 1);
  const auto first = world.Poll("w");
  world.Hello("w", 1);  // the agent restarted: it claims nothing
  const auto again = world.Poll("w");
  ASSERT_TRUE(again);
  EXPECT_EQ(again->trial.id, first->trial.id);
  EXPECT_GT(again->attempt.fence, first->attempt.fence);
  world.Report("w", world.Success(*again, 0.9));
  const auto second = world.Poll("w");
  EXPECT_EQ(second->trial.seen_seq, 0);
  world.Report("w", world.Success(*second, 0.9));
  EXPECT_EQ(world.Poll("w")->trial.seen_seq, 1);
}

TEST(Core, AStaleFenceChangesNothing) {
  World world;
  world.Step(World::Campaign(10));
  world.AnswerRefills();
  world.Hello("w", 1);
  world.Hello("v", 1, "h2");
  const auto first = world.Poll("w");
  world.Pass(60'000);
  const auto second = world.Poll("v");
  ASSERT_TRUE(second);
  ASSERT_EQ(second->trial.id, first->trial.id);
  EXPECT_EQ(world.Report("w", world.Success(*first, 0.1)), OutcomeVerdict::kArchived);
  EXPECT_TRUE(world.Written<InsertResult>().empty());
  EXPECT_EQ(world.Report("v", world.Success(*second, 0.9)), OutcomeVerdict::kAccepted);
  ASSERT_EQ(world.Written<InsertResult>().size(), 1u);
  EXPECT_EQ(*world.Written<InsertResult>()[0].result.objective, 0.9);
}

TEST(Core, LateResultIsAcceptedWhenNobodyElseHoldsTheTrial) {
  World world;
  world.Step(World::Campaign(10));
  world.AnswerRefills();
  world.Hello("w", 1);
  const auto lease = world.Poll("w");
  world.Pass(60'000);
  EXPECT_EQ(world.Trial(lease->trial.id).state, TrialState::kPending);
  EXPECT_EQ(world.Report("w", world.Success(*lease, 0.8)), OutcomeVerdict::kAccepted);
  EXPECT_EQ(world.Trial(lease->trial.id).state, TrialState::kCompleted);
}

TEST(Core, ARepeatedOutcomeIsCountedOnce) {
  World world;
  world.Step(World::Campaign(10));
  world.AnswerRefills();
  world.Hello("w", 1);
  const auto lease = world.Poll("w");
  const AttemptOutcome outcome = world.Success(*lease, 0.8);
  EXPECT_EQ(world.Report("w", outcome), OutcomeVerdict::kAccepted);
  EXPECT_EQ(world.Report("w", outcome), OutcomeVerdict::kDuplicate);
  EXPECT_EQ(world.Written<InsertResult>().size(), 1u);
}

TEST(Core, ARepeatedRequestGetsTheSameLease) {
  World world;
  world.Step(World::Campaign(10));
  world.AnswerRefills();
  world.Hello("w", 1);
  const auto first = world.Poll("w", 0, "same");
  const auto again = world.Poll("w", 0, "same");
  ASSERT_TRUE(again);
  EXPECT_EQ(again->attempt.id, first->attempt.id);
  EXPECT_EQ(again->attempt.fence, first->attempt.fence);
  EXPECT_EQ(world.Written<InsertAttempt>().size(), 1u);
}

TEST(Core, AnotherDatabaseOrIncarnationIsArchived) {
  World world;
  world.Step(World::Campaign(10));
  world.AnswerRefills();
  world.Hello("w", 1);
  const auto lease = world.Poll("w");
  AttemptOutcome outcome = world.Success(*lease, 0.8);
  outcome.incarnation = 0;
  EXPECT_EQ(world.Report("w", outcome), OutcomeVerdict::kArchived);
  EXPECT_TRUE(world.Written<InsertResult>().empty());
}

TEST(Core, ADivergedTrialIsInfeasibleAndTheStrategyHearsOfIt) {
  World world;
  world.Step(World::Campaign(10));
  world.AnswerRefills();
  world.Hello("w", 1);
  const auto lease = world.Poll("w");
  world.Report("w", world.Failed(*lease, FailureClass::kDiverged, "loss is NaN at step 3"));
  EXPECT_EQ(world.Trial(lease->trial.id).state, TrialState::kInfeasible);
  EXPECT_EQ(world.Trial(lease->trial.id).reason, "DIVERGED: loss is NaN at step 3");
  ASSERT_EQ(world.Written<InsertResult>().size(), 1u);
  EXPECT_FALSE(world.Written<InsertResult>()[0].result.feasible);
}

TEST(Core, WhatCrashesTwiceIsQuarantined) {
  World world;
  world.Step(World::Campaign(10));
  world.AnswerRefills();
  world.Hello("w", 1);
  const auto first = world.Poll("w");
  world.Report("w", world.Failed(*first, FailureClass::kTrainerCrash, "SIGSEGV"));
  const auto second = world.Poll("w");
  ASSERT_EQ(second->trial.id, first->trial.id);
  world.Report("w", world.Failed(*second, FailureClass::kTrainerCrash, "SIGSEGV"));
  EXPECT_EQ(world.Trial(first->trial.id).state, TrialState::kQuarantined);
}

TEST(Core, ACrashIsTriedAgainOnAnotherHost) {
  World world;
  world.Step(World::Campaign(10));
  world.AnswerRefills();
  world.Hello("w", 1, "h1");
  world.Hello("v", 1, "h2");
  const auto first = world.Poll("w");
  world.Report("w", world.Failed(*first, FailureClass::kTrainerCrash, "SIGSEGV"));
  EXPECT_NE(world.Poll("w")->trial.id, first->trial.id);
  EXPECT_EQ(world.Poll("v")->trial.id, first->trial.id);
}

TEST(Core, FiveFirstAttemptsThatFailAlikePauseTheCampaignUntilItIsResumed) {
  World world;
  world.Step(World::Campaign(100));
  world.AnswerRefills();
  world.Hello("w", 1);
  for (int i = 0; i < 5; ++i) {
    const auto lease = world.Poll("w");
    ASSERT_TRUE(lease);
    world.Report("w", world.Failed(*lease, FailureClass::kInvalidCandidate, "no such operator"));
  }
  EXPECT_EQ(world.Progress().state, model::CampaignState::kPaused);
  EXPECT_NE(world.Progress().reason.find("no such operator"), std::string::npos);
  EXPECT_FALSE(world.Poll("w"));
  world.Step(CommandCampaign{5, "ada", 1, CampaignVerb::kResume});
  world.AnswerRefills();
  EXPECT_EQ(world.Progress().state, model::CampaignState::kRunning);
}

TEST(Core, FinalsChooseByMeanValidationBeforeTheTestSplitIsRead) {
  World world;
  world.Step(World::Campaign(4, 2));
  world.AnswerRefills();
  world.Hello("w", 1);
  std::vector<std::string> final_hashes;
  bool test_before_choice = false;
  int tests = 0, measures = 0;
  while (const auto lease = world.Poll("w")) {
    const std::string& hash = lease->trial.candidate.candidate_hash;
    double accuracy = hash == "reference" ? 0.95 : 0.5 + 0.1 * (hash.back() - '0');
    if (lease->trial.purpose == Purpose::kFinal) final_hashes.push_back(hash);
    // c3 is second in the search and first in the finals.
    if (lease->trial.purpose == Purpose::kFinal && hash == "c3") accuracy = 0.93;
    tests += lease->trial.purpose == Purpose::kTest;
    measures += lease->trial.purpose == Purpose::kMeasure;
    if (lease->trial.purpose == Purpose::kTest) test_before_choice |= !world.Progress().winner_committed;
    ASSERT_EQ(world.Report("w", world.Success(*lease, accuracy)), OutcomeVerdict::kAccepted);
  }
  EXPECT_EQ(final_hashes, (std::vector<std::string>{"reference", "reference", "c4", "c4", "c3", "c3"}));
  EXPECT_FALSE(test_before_choice);
  EXPECT_EQ(world.Trial(world.Progress().winner_trial_id).candidate.candidate_hash, "c3");
  EXPECT_EQ(tests, 4);
  EXPECT_EQ(measures, 3);
  EXPECT_EQ(world.Progress().test_reads, 4);
  EXPECT_EQ(world.Progress().state, model::CampaignState::kCompleted);
}

TEST(Core, TheBudgetsLastTrialIsTriedAgainWhenItsWorkerIsLost) {
  World world;
  world.Step(World::Campaign(1));
  world.AnswerRefills();
  world.Hello("w", 1);
  const auto first = world.Poll("w");
  world.Pass(10);
  EXPECT_EQ(world.Progress().state, model::CampaignState::kFinalizing);
  world.Hello("w", 1);
  const auto again = world.Poll("w");
  ASSERT_TRUE(again);
  EXPECT_EQ(again->trial.id, first->trial.id);
  world.Report("w", world.Success(*again, 0.9));
  EXPECT_EQ(world.Progress().state, model::CampaignState::kCompleted);
}

TEST(Core, ADeadlineKeepsRoomForTheFinals) {
  World world;
  LaunchCampaign launch = World::Campaign(0, 1);
  launch.campaign.settings.budget_duration_ms = 100'000;
  world.Step(std::move(launch));
  world.AnswerRefills();
  world.Hello("w", 1);
  int64_t searches = 0, finals = 0;
  int64_t search_end = 0;
  const int64_t start = world.now_.monotonic_ms;
  while (const auto lease = world.Poll("w")) {
    world.Step(WorkerHeartbeat{0, "w", {{lease->attempt.id, lease->attempt.fence, 1, 2}}, {}});
    const bool trains = lease->trial.purpose == Purpose::kSearch || lease->trial.purpose == Purpose::kFinal;
    world.Pass(trains ? 5'000 : 1'000);
    AttemptOutcome outcome = world.Success(*lease, 0.9);
    outcome.cost.busy_ms = trains ? 5'000 : 1'000;
    world.Report("w", outcome);
    searches += lease->trial.purpose == Purpose::kSearch;
    finals += lease->trial.purpose == Purpose::kFinal;
    if (lease->trial.purpose == Purpose::kSearch) search_end = world.now_.monotonic_ms - start;
    ASSERT_LT(searches, 100);
  }
  EXPECT_GE(searches, 5);
  EXPECT_EQ(finals, 4);
  EXPECT_LE(search_end, 100'000 - 4 * 5'000);
  EXPECT_LE(world.now_.monotonic_ms - start, 101'000);
  EXPECT_EQ(world.Progress().state, model::CampaignState::kCompleted);
}

TEST(Core, CancellingStopsEverythingAndArchivesWhatComesLater) {
  World world;
  world.Step(World::Campaign(10));
  world.AnswerRefills();
  world.Hello("w", 1);
  const auto lease = world.Poll("w");
  world.Step(CommandCampaign{5, "ada", 1, CampaignVerb::kCancel});
  EXPECT_EQ(world.Progress().state, model::CampaignState::kCancelled);
  EXPECT_EQ(world.Trial(lease->trial.id).state, TrialState::kCancelled);
  EXPECT_EQ(world.Report("w", world.Success(*lease, 0.8)), OutcomeVerdict::kArchived);
}

TEST(Core, AFailingStrategyPausesItsCampaignAndResumingAsksAgain) {
  World world;
  world.Step(World::Campaign(10));
  ASSERT_EQ(world.requests_.size(), 1u);
  const RequestProposals request = world.requests_[0];
  world.requests_.clear();
  world.Step(ProposalsReady{request.campaign_id, request.seen_seq, Internal("bad")});
  EXPECT_EQ(world.Progress().state, model::CampaignState::kPaused);
  world.Step(CommandCampaign{5, "ada", 1, CampaignVerb::kResume});
  ASSERT_EQ(world.requests_.size(), 1u);
  EXPECT_EQ(world.requests_[0].seen_seq, request.seen_seq);
}

TEST(Core, APauseKeepsItsReasonWhenTheStrategyHasNoMoreCandidates) {
  World world;
  world.Step(World::Campaign(100));
  const RequestProposals request = world.requests_.at(0);
  world.requests_.clear();
  world.Step(CommandCampaign{0, "ada", 1, CampaignVerb::kPause});
  ProposalBatch batch;
  batch.seen_seq = request.seen_seq;
  batch.ended = "the space has no further candidates";
  world.Step(ProposalsReady{1, request.seen_seq, std::move(batch), request.space_version});
  EXPECT_EQ(world.Progress().state, model::CampaignState::kPaused);
  EXPECT_EQ(world.Progress().reason, "paused by ada");
  EXPECT_TRUE(world.Progress().strategy_exhausted);
  world.Step(CommandCampaign{0, "ada", 1, CampaignVerb::kResume});
  const auto closed = world.Events("campaign_finalizing");
  ASSERT_EQ(closed.size(), 1u);
  EXPECT_NE(closed[0].payload_json.find("the strategy has no more candidates"), std::string::npos);
}

}  // namespace
}  // namespace canopy::controller
