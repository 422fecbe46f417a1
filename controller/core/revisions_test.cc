#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "controller/core/core_fixture.h"

namespace canopy::controller {
namespace {

using model::FailureClass;
using model::TrialState;

// A campaign with one worker of two slots: trials 1 and 2 run, 3 and 4 wait.
class RevisionsTest : public ::testing::Test {
 protected:
  RevisionsTest() {
    world_.Step(World::Campaign(20, 1));
    world_.AnswerRefills();
    world_.Hello("w", 2);
    first_ = world_.Poll("w", 0);
    second_ = world_.Poll("w", 1);
  }

  ReviseCampaign Revision(std::vector<model::SetAside> set_aside) const {
    ReviseCampaign revise;
    revise.token = 7;
    revise.principal = "ada";
    revise.campaign = World::Campaign(20, 1).campaign;
    revise.campaign.id = 1;
    revise.campaign.space_hash = "other";
    revise.reference = MakeCandidate("reference");
    revise.changes_json = "[]";
    revise.new_version = true;
    revise.set_aside = std::move(set_aside);
    revise.next_trial_number = static_cast<int64_t>(world_.Written<InsertTrial>().size()) + 1;
    return revise;
  }
  static Status AnswerOf(const Effects& effects) {
    for (const Reply& reply : effects.replies)
      if (reply.token == 7) return reply.body.status();
    return Internal("no answer");
  }

  World world_;
  std::optional<Lease> first_, second_;
};

TEST_F(RevisionsTest, WhatWaitsIsCancelledAndWhatRunsGoesOnUnseen) {
  const auto waiting = world_.Written<InsertTrial>().back().trial.id;
  ASSERT_EQ(world_.Trial(waiting).state, TrialState::kPending);
  const Effects effects = world_.Step(Revision({{first_->trial.id, "gone"}, {waiting, "gone, too"}}));
  ASSERT_TRUE(AnswerOf(effects).ok()) << AnswerOf(effects);
  EXPECT_EQ(world_.Trial(waiting).state, TrialState::kCancelled);
  EXPECT_EQ(world_.Trial(first_->trial.id).state, TrialState::kLeased);
  world_.AnswerRefills();
  EXPECT_TRUE(world_.Beat("w", {*first_, *second_}).empty());

  const Effects unseen = world_.Step(WorkerExchange{0, "w", "o1", 0, world_.Success(*first_, 0.99), false});
  EXPECT_TRUE(unseen.published.empty());
  const Effects seen = world_.Step(WorkerExchange{0, "w", "o2", 1, world_.Success(*second_, 0.5), false});
  ASSERT_EQ(seen.published.size(), 1u);
  EXPECT_EQ(seen.published[0].result.seq, 2);
  EXPECT_EQ(world_.Written<InsertResult>().size(), 2u) << "both are kept";
  EXPECT_EQ(world_.core_.DurableText().find("0.99"), std::string::npos) << "and one is ranked";
}

TEST_F(RevisionsTest, WhatIsSetAsideIsNotTriedAgain) {
  world_.Step(Revision({{first_->trial.id, "gone"}}));
  world_.AnswerRefills();
  world_.Report("w", world_.Failed(*first_, FailureClass::kTrainerCrash, "SIGSEGV"));
  world_.Report("w", world_.Failed(*second_, FailureClass::kTrainerCrash, "SIGSEGV"));
  EXPECT_EQ(world_.Trial(first_->trial.id).state, TrialState::kCancelled);
  EXPECT_EQ(world_.Trial(second_->trial.id).state, TrialState::kPending);
}

TEST_F(RevisionsTest, ALaterVersionMayCountItAgain) {
  world_.Step(Revision({{first_->trial.id, "gone"}}));
  world_.AnswerRefills();
  ReviseCampaign back = Revision({});
  back.campaign.space_version = 2;
  world_.Step(std::move(back));
  world_.AnswerRefills();
  const Effects effects = world_.Step(WorkerExchange{0, "w", "o1", 0, world_.Success(*first_, 0.9), false});
  EXPECT_EQ(effects.published.size(), 1u);
}

TEST_F(RevisionsTest, ProposalsOfTheVersionBeforeAreNotAccepted) {
  world_.Step(WorkerExchange{99, "w", "o1", 0, world_.Success(*first_, 0.5), true});
  ASSERT_EQ(world_.requests_.size(), 1u);
  const RequestProposals old_request = world_.requests_[0];
  world_.requests_.clear();
  const size_t trials = world_.Written<InsertTrial>().size();
  world_.Step(Revision({}));
  ASSERT_EQ(world_.requests_.size(), 1u);
  EXPECT_EQ(world_.requests_[0].space_version, 2);
  ProposalBatch batch;
  batch.seen_seq = old_request.seen_seq;
  batch.proposals.push_back({Proposal::Verdict::kAccepted, MakeCandidate("old")});
  world_.Step(ProposalsReady{1, old_request.seen_seq, batch, old_request.space_version});
  EXPECT_EQ(world_.Written<InsertTrial>().size(), trials);
  world_.AnswerRefills();
  EXPECT_GT(world_.Written<InsertTrial>().size(), trials);
  EXPECT_EQ(world_.Written<InsertTrial>().back().trial.space_version, 2);
}

TEST_F(RevisionsTest, AnotherStrategyBeginsFromNothing) {
  world_.Step(Revision({}));
  EXPECT_EQ(world_.Written<SaveProposerState>().back().state, "");
  EXPECT_EQ(world_.Written<SaveProposerState>().back().seen_seq, 0);
  ASSERT_EQ(world_.Written<InsertSpaceVersion>().size(), 2u);
  const model::SpaceVersion version = world_.Written<InsertSpaceVersion>()[1].version;
  EXPECT_EQ(version.version, 2);
  EXPECT_EQ(version.principal, "ada");
  ASSERT_EQ(world_.Events("campaign_updated").size(), 1u);
  EXPECT_EQ(version.event_seq, world_.Events("campaign_updated")[0].seq);
}

TEST_F(RevisionsTest, TrialsThatWereNotMappedRefuseTheRevisionAndNothingChanges) {
  ReviseCampaign stale = Revision({});
  --stale.next_trial_number;
  const Effects effects = world_.Step(std::move(stale));
  EXPECT_EQ(AnswerOf(effects).code(), absl::StatusCode::kAborted);
  EXPECT_TRUE(effects.writes.empty());
  ReviseCampaign other = Revision({});
  other.campaign.space_version = 3;
  EXPECT_EQ(AnswerOf(world_.Step(std::move(other))).code(), absl::StatusCode::kAborted);
}

TEST_F(RevisionsTest, AnotherBudgetAloneIsNoVersion) {
  ReviseCampaign revise = Revision({});
  revise.new_version = false;
  revise.next_trial_number = 0;
  revise.campaign.settings.budget_trials = 2;
  ASSERT_TRUE(AnswerOf(world_.Step(std::move(revise))).ok());
  EXPECT_EQ(world_.Written<InsertSpaceVersion>().size(), 1u);
  world_.AnswerRefills();
  // More trials than that are given out: the search is over once none of them waits.
  const size_t trials = world_.Written<InsertTrial>().size();
  world_.Report("w", world_.Success(*first_, 0.5));
  for (int64_t slot = 0; const auto lease = world_.Poll("w", slot);)
    world_.Report("w", world_.Success(*lease, 0.5));
  EXPECT_GE(world_.Progress().finals_stage, 1);
  for (const InsertTrial& added : world_.Written<InsertTrial>())
    EXPECT_TRUE(added.trial.purpose != model::Purpose::kSearch ||
                added.trial.id <= static_cast<int64_t>(trials));
}

TEST_F(RevisionsTest, TheRankingIsTheNewVersions) {
  world_.Report("w", world_.Success(*first_, 0.9));
  world_.Report("w", world_.Success(*second_, 0.5));
  ReviseCampaign revise = Revision({{first_->trial.id, "gone"}});
  revise.best = {{0.5, second_->trial.id, 1000, 500, second_->trial.candidate}};
  world_.Step(std::move(revise));
  ReviseCampaign smaller = Revision({});
  smaller.new_version = false;
  smaller.campaign.space_version = 2;
  smaller.best = {{0.5, second_->trial.id, 1000, 500, second_->trial.candidate}};
  smaller.campaign.settings.budget_trials = 1;
  world_.Step(std::move(smaller));
  for (int i = 0; i < 40; ++i)
    if (const auto lease = world_.Poll("w")) world_.Report("w", world_.Success(*lease, 0.1));
  std::vector<int64_t> finalists;
  for (const InsertTrial& added : world_.Written<InsertTrial>())
    if (added.trial.purpose == model::Purpose::kFinal && added.trial.parent_trial_id != 0)
      finalists.push_back(added.trial.parent_trial_id);
  EXPECT_EQ(finalists, (std::vector<int64_t>{second_->trial.id, second_->trial.id}));
}

TEST_F(RevisionsTest, OnceTheFinalsHaveBegunNothingMayChange) {
  ReviseCampaign smaller = Revision({});
  smaller.new_version = false;
  smaller.campaign.settings.budget_trials = 1;
  world_.Step(std::move(smaller));
  for (int i = 0; i < 10 && world_.Progress().finals_stage == 0; ++i)
    if (const auto lease = world_.Poll("w")) world_.Report("w", world_.Success(*lease, 0.1));
  ASSERT_GE(world_.Progress().finals_stage, 1);
  EXPECT_EQ(AnswerOf(world_.Step(Revision({}))).code(), absl::StatusCode::kFailedPrecondition);
}

}  // namespace
}  // namespace canopy::controller
