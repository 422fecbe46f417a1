#include <gtest/gtest.h>

#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "controller/core/core_fixture.h"

namespace canopy::controller {
namespace {

using model::AttemptState;
using model::FailureClass;
using model::Purpose;
using model::TrialState;

// A core after a restore, with a campaign and the worker "w".
class KeptResults : public ::testing::Test {
 protected:
  static CoreState Restored() {
    CoreState state = World::Empty();
    state.incarnation = 2;
    return state;
  }
  void SetUp() override {
    world_.Step(World::Campaign(10));
    world_.AnswerRefills();
    world_.Hello("w", 1);
    world_.Hello("v", 1);
  }
  // What a worker has kept of incarnation 1 that measured what this lease asks for.
  AttemptOutcome Kept(const Lease& lease, double accuracy) {
    AttemptOutcome outcome = world_.Success(lease, accuracy);
    outcome.attempt_id = 999;
    outcome.fence = 1;
    outcome.candidate_hash = lease.trial.candidate.candidate_hash;
    outcome.purpose = lease.trial.purpose;
    outcome.replicate = lease.trial.replicate;
    outcome.result.recipe_hash = lease.campaign.settings.recipe_hash;
    outcome.result.epochs = lease.epochs;
    outcome.result.numeric_mode = lease.campaign.settings.numeric_mode;
    outcome.result.dataset_digest = "digest";
    outcome.result.seeds_json = nlohmann::json{{"initialization", std::to_string(lease.initialization_seed)},
                                               {"data_order", std::to_string(lease.data_order_seed)},
                                               {"augmentation", std::to_string(lease.augmentation_seed)}}
                                    .dump();
    return outcome;
  }

  World world_{Restored()};
};

TEST_F(KeptResults, WhatTheBackupSawBeginIsChargedOnce) {
  const auto lease = world_.Poll("w");
  ASSERT_TRUE(lease);
  world_.Pass(20'000);
  AttemptOutcome kept = Kept(*lease, 0.8);
  kept.attempt_id = lease->attempt.id;
  kept.fence = lease->attempt.fence;
  kept.cost.allocated_ms = 25'000;
  EXPECT_EQ(world_.Report("w", kept), OutcomeVerdict::kAccepted);
  EXPECT_EQ(world_.Attempt(lease->attempt.id).state, AttemptState::kSuperseded);
  EXPECT_EQ(world_.Attempt(lease->attempt.id).cost.allocated_ms, 0);
  EXPECT_EQ(world_.Attempt(lease->attempt.id + 1).cost.allocated_ms, 25'000);
}

TEST_F(KeptResults, CountOnceAndSupersedeWhatRunsAgain) {
  const auto lease = world_.Poll("v");
  ASSERT_TRUE(lease);
  const AttemptOutcome kept = Kept(*lease, 0.8);
  EXPECT_EQ(world_.Report("w", kept), OutcomeVerdict::kAccepted);
  EXPECT_EQ(world_.Trial(lease->trial.id).state, TrialState::kCompleted);
  const auto results = world_.Written<InsertResult>();
  ASSERT_EQ(results.size(), 1u);
  EXPECT_EQ(results[0].result.result_id, kept.result_id);
  EXPECT_GT(results[0].result.attempt_id, lease->attempt.id) << "an attempt of its own";
  EXPECT_EQ(world_.Attempt(results[0].result.attempt_id).state, AttemptState::kSucceeded);
  EXPECT_EQ(world_.Attempt(results[0].result.attempt_id).worker_id, "w");
  EXPECT_GT(world_.Trial(lease->trial.id).last_fence, lease->attempt.fence);
  EXPECT_EQ(world_.Attempt(lease->attempt.id).state, AttemptState::kSuperseded);
  EXPECT_EQ(world_.Beat("v", {*lease}), std::vector<int64_t>{lease->attempt.id});
  AttemptOutcome late = world_.Success(*lease, 0.9);
  late.incarnation = 2;
  EXPECT_EQ(world_.Report("v", late), OutcomeVerdict::kArchived);
  EXPECT_EQ(world_.Report("w", kept), OutcomeVerdict::kDuplicate);
  EXPECT_EQ(world_.Written<InsertResult>().size(), 1u);
}

TEST_F(KeptResults, CountForATrialThatWaits) {
  const auto lease = world_.Poll("v");
  AttemptOutcome failed = world_.Failed(*lease, FailureClass::kTimeout, "slow");
  failed.incarnation = 2;
  ASSERT_EQ(world_.Report("v", failed), OutcomeVerdict::kAccepted);
  ASSERT_EQ(world_.Trial(lease->trial.id).state, TrialState::kPending);
  EXPECT_EQ(world_.Report("w", Kept(*lease, 0.8)), OutcomeVerdict::kAccepted);
  EXPECT_EQ(world_.Trial(lease->trial.id).state, TrialState::kCompleted);
}

TEST_F(KeptResults, WhatTheBackupHasSeenIsADuplicate) {
  const auto lease = world_.Poll("v");
  AttemptOutcome kept = Kept(*lease, 0.8);
  kept.known = model::KnownOutcome::kCounted;
  EXPECT_EQ(world_.Report("w", kept), OutcomeVerdict::kDuplicate);
  EXPECT_TRUE(world_.Written<ArchiveOutcome>().empty());
}

TEST_F(KeptResults, OfSomethingElseAreArchivedWhateverTheirFence) {
  const auto lease = world_.Poll("w");
  const std::vector<std::function<void(AttemptOutcome&)>> others = {
      [](AttemptOutcome& outcome) { outcome.candidate_hash = "other"; },
      [](AttemptOutcome& outcome) { outcome.candidate_hash = ""; },
      [](AttemptOutcome& outcome) { outcome.purpose = Purpose::kFinal; },
      [](AttemptOutcome& outcome) { outcome.replicate = 1; },
      [](AttemptOutcome& outcome) { outcome.result.recipe_hash = "other"; },
      [](AttemptOutcome& outcome) { outcome.result.epochs = 1; },
      [](AttemptOutcome& outcome) { outcome.result.numeric_mode = "bf16"; },
      [](AttemptOutcome& outcome) { outcome.result.dataset_digest = "other"; },
      [](AttemptOutcome& outcome) { outcome.result.seeds_json = "{}"; },
      [](AttemptOutcome& outcome) { outcome.trial_id = 4711; },
      [](AttemptOutcome& outcome) { outcome.incarnation = 3; },
      [](AttemptOutcome& outcome) { outcome.database_id = "other"; },
      [](AttemptOutcome& outcome) {
        outcome.succeeded = false;
        outcome.failure = FailureClass::kTimeout;
      },
  };
  for (size_t i = 0; i < others.size(); ++i) {
    AttemptOutcome kept = Kept(*lease, 0.8);
    // The stale lease had the numbers that the new one has.
    kept.attempt_id = lease->attempt.id;
    kept.fence = lease->attempt.fence;
    others[i](kept);
    EXPECT_EQ(world_.Report("w", kept), OutcomeVerdict::kArchived) << "difference " << i;
  }
  EXPECT_TRUE(world_.Written<InsertResult>().empty());
  EXPECT_EQ(world_.Written<ArchiveOutcome>().size(), others.size());
  AttemptOutcome own = world_.Success(*lease, 0.7);
  own.incarnation = 2;
  EXPECT_EQ(world_.Report("w", own), OutcomeVerdict::kAccepted) << "the lease still stands";
}

}  // namespace
}  // namespace canopy::controller
