#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "controller/core/core_fixture.h"

namespace canopy::controller {
namespace {

using model::AttemptState;
using model::FailureClass;
using model::Purpose;
using model::TrialState;

void Launch(World& world, LaunchCampaign launch = World::Campaign(10)) {
  world.Step(std::move(launch));
  world.AnswerRefills();
}

void Hello(World& world, const model::WorkerRecord& worker) {
  world.Step(WorkerHello{0, worker, {}});
  world.AnswerRefills();
}

TEST(Leases, OnlyAWorkerThatHasTheSpacesOperatorsGetsItsTrials) {
  World world;
  LaunchCampaign launch = World::Campaign(10);
  launch.campaign.settings.operators = {"gate", "mixer"};
  Launch(world, std::move(launch));
  model::WorkerRecord worker = MakeWorker("w", 1);
  worker.operators = {"gate"};
  Hello(world, worker);
  EXPECT_FALSE(world.Poll("w"));
  for (int i = 0; i < 8; ++i) {
    world.Pass(10'000);
    world.Beat("w", {});
  }
  const std::string reason = world.core_.Campaigns(world.now_).at(0).waiting_reason;
  EXPECT_NE(reason.find("has the space's operator 'mixer'"), std::string::npos) << reason;
  worker.operators = {"gate", "mixer", "other"};
  Hello(world, worker);
  EXPECT_TRUE(world.Poll("w"));
}

TEST(Leases, ALateResultOfAnotherWorkerIsArchived) {
  World world;
  Launch(world);
  world.Hello("w", 1);
  world.Hello("v", 1);
  const auto lease = world.Poll("w");
  world.Pass(60'000);
  EXPECT_EQ(world.Report("v", world.Success(*lease, 0.8)), OutcomeVerdict::kArchived);
  EXPECT_EQ(world.Report("w", world.Success(*lease, 0.8)), OutcomeVerdict::kAccepted);
}

TEST(Leases, ALateResultAfterAFailureIsArchived) {
  World world;
  Launch(world);
  world.Hello("w", 1);
  const auto lease = world.Poll("w");
  world.Report("w", world.Failed(*lease, FailureClass::kTimeout, "slow"));
  EXPECT_EQ(world.Report("w", world.Success(*lease, 0.8)), OutcomeVerdict::kArchived);
}

TEST(Leases, ALateResultIsARepeatOfItsOwnSlot) {
  World world;
  Launch(world);
  world.Hello("w", 2);
  const auto other = world.Poll("w", 0);
  const AttemptOutcome of_slot_0 = world.Success(*other, 0.7);
  world.Report("w", of_slot_0);
  const auto lease = world.Poll("w", 1);
  world.Pass(60'000);
  EXPECT_EQ(world.Report("w", world.Success(*lease, 0.8)), OutcomeVerdict::kAccepted);
  EXPECT_EQ(world.Report("w", of_slot_0), OutcomeVerdict::kDuplicate);
}

TEST(Leases, APartitionLongerThanTheLeaseCostsNothingWhereNobodyTookTheTrial) {
  World world;
  Launch(world);
  world.Hello("w", 1);
  const auto lease = world.Poll("w");
  world.Pass(60'000);
  ASSERT_EQ(world.Trial(lease->trial.id).state, TrialState::kPending);
  EXPECT_TRUE(world.Beat("w", {*lease}).empty());
  EXPECT_EQ(world.Trial(lease->trial.id).state, TrialState::kLeased);
  EXPECT_EQ(world.Trial(lease->trial.id).interruptions, 0);
  EXPECT_EQ(world.Attempt(lease->attempt.id).state, AttemptState::kRunning);
  EXPECT_EQ(world.Report("w", world.Success(*lease, 0.8)), OutcomeVerdict::kAccepted);
}

TEST(Leases, WorkersThatSpokeAtOnceAreToldToSpeakAtOtherTimes) {
  World world;
  std::set<int64_t> intervals;
  for (int i = 0; i < 20; ++i) {
    const std::string id = "w" + std::to_string(i);
    world.Hello(id, 1);
    world.Step(WorkerHeartbeat{static_cast<uint64_t>(1'000 + i), id, {}, {}});
    const auto& answer = std::get<HeartbeatAnswered>(**world.Answer(static_cast<uint64_t>(1'000 + i)));
    EXPECT_LE(answer.interval_ms, CoreLimits().heartbeat_interval_ms);
    EXPECT_GE(answer.interval_ms, CoreLimits().heartbeat_interval_ms * 4 / 5);
    intervals.insert(answer.interval_ms);
  }
  EXPECT_GT(intervals.size(), 10u);
}

TEST(Leases, AControllerThatStoodStillTakesNobodyForLost) {
  World world;
  Launch(world);
  world.Hello("w", 1);
  const auto lease = world.Poll("w");
  world.Pass(1'000);
  world.now_.monotonic_ms += 3'600'000;
  world.Pass(100);
  EXPECT_EQ(world.Trial(lease->trial.id).state, TrialState::kLeased) << "no heartbeat could be heard";
  EXPECT_LT(world.core_.Workers(world.now_, {"w"}).at(0).silent_ms, 1'000)
      << "its checkpoints are waited for";
  world.Pass(2 * CoreLimits().lease_ttl_ms + 1'000);
  EXPECT_EQ(world.Trial(lease->trial.id).state, TrialState::kPending);
}

TEST(Leases, AHelloBringsAnExpiredAttemptBackToo) {
  World world;
  Launch(world);
  world.Hello("w", 1);
  const auto lease = world.Poll("w");
  world.Pass(60'000);
  world.Step(WorkerHello{0, MakeWorker("w", 1), {{lease->attempt.id, lease->attempt.fence}}});
  EXPECT_EQ(world.Trial(lease->trial.id).state, TrialState::kLeased);
}

TEST(Leases, AnAttemptWhoseTrialWasGivenOnIsSupersededAndStops) {
  World world;
  Launch(world);
  world.Hello("w", 1);
  world.Hello("v", 1);
  const auto lease = world.Poll("w");
  world.Pass(60'000);
  ASSERT_EQ(world.Poll("v")->trial.id, lease->trial.id);
  EXPECT_EQ(world.Attempt(lease->attempt.id).state, AttemptState::kSuperseded);
  EXPECT_EQ(world.Beat("w", {*lease}), (std::vector<int64_t>{lease->attempt.id}));
}

TEST(Leases, ATrialWhoseWeightsLieOnOneWorkerIsTriedThereAgainAfterACrash) {
  World world;
  Launch(world, World::Campaign(1, 1));
  world.Hello("w", 1, "h1");
  std::optional<Lease> lease;
  while ((lease = world.Poll("w")) && lease->trial.purpose != Purpose::kTest)
    world.Report("w", world.Success(*lease, 0.9));
  ASSERT_TRUE(lease);
  world.Hello("v", 1, "h2");
  world.Report("w", world.Failed(*lease, FailureClass::kTrainerCrash, "SIGSEGV"));
  const auto again = world.Poll("w");
  ASSERT_TRUE(again);
  EXPECT_EQ(again->trial.id, lease->trial.id);
  world.Report("w", world.Failed(*again, FailureClass::kTrainerCrash, "SIGSEGV"));
  EXPECT_EQ(world.Trial(lease->trial.id).state, TrialState::kQuarantined) << "no second host could run it";
}

TEST(Leases, LostWeightsEndTheirTrialAndLeaveTheDatasetAlone) {
  World world;
  Launch(world, World::Campaign(1, 1));
  world.Hello("w", 1);
  std::optional<Lease> lease;
  while ((lease = world.Poll("w")) && lease->trial.purpose != Purpose::kTest)
    world.Report("w", world.Success(*lease, 0.9));
  ASSERT_TRUE(lease);
  world.Report("w", world.Failed(*lease, FailureClass::kData, "the weights are gone"));
  EXPECT_EQ(world.Trial(lease->trial.id).state, TrialState::kFailed);
  EXPECT_EQ(world.Trial(lease->trial.id).reason, "DATA: the weights are gone");
  while ((lease = world.Poll("w"))) world.Report("w", world.Success(*lease, 0.9));
  EXPECT_EQ(world.Progress().state, model::CampaignState::kCompleted);
}

TEST(Leases, DataErrorsAreTriedAgainABoundedNumberOfTimes) {
  World world;
  Launch(world);
  world.Hello("w", 1);
  const int64_t trial_id = world.Poll("w")->trial.id;
  world.Hello("w", 1);
  int tries = 0;
  for (; world.Trial(trial_id).state != TrialState::kFailed && tries < 100; ++tries) {
    const auto lease = world.Poll("w");
    ASSERT_TRUE(lease);
    ASSERT_EQ(lease->trial.id, trial_id);
    const std::string message = "damaged, says try " + std::string(1, static_cast<char>('a' + tries));
    world.Report("w", world.Failed(*lease, FailureClass::kData, message));
    world.Hello("w", 1);  // it has looked again and found the dataset
  }
  EXPECT_EQ(tries, 11);
}

TEST(Leases, MemoryIsTriedOnceOnAWorkerWithMore) {
  World world;
  Launch(world);
  model::WorkerRecord small = MakeWorker("w", 1), large = MakeWorker("v", 1);
  small.memory_bytes = 1;
  large.memory_bytes = 2;
  Hello(world, small);
  Hello(world, large);
  const auto lease = world.Poll("w");
  world.Report("w", world.Failed(*lease, FailureClass::kOutOfMemory, "oom"));
  EXPECT_NE(world.Poll("w")->trial.id, lease->trial.id);
  const auto again = world.Poll("v");
  ASSERT_EQ(again->trial.id, lease->trial.id);
  world.Report("v", world.Failed(*again, FailureClass::kOutOfMemory, "oom"));
  EXPECT_EQ(world.Trial(lease->trial.id).state, TrialState::kInfeasible);
}

TEST(Leases, TheFirstWorkersDatasetIsThatOfAllLaterOnes) {
  World world;
  Launch(world);
  world.Hello("w", 1);
  model::WorkerRecord other = MakeWorker("v", 1);
  other.datasets[0].digest = "other";
  Hello(world, other);
  const auto lease = world.Poll("w");
  ASSERT_TRUE(lease);
  EXPECT_EQ(lease->campaign.settings.task.dataset_digest, "digest");
  EXPECT_EQ(world.Progress().pinned_dataset_digest, "digest");
  EXPECT_FALSE(world.Poll("v"));
}

TEST(Leases, AStrictCampaignStaysOnTheBuildAndDeviceThatItBeganWith) {
  for (const bool strict : {false, true}) {
    World world;
    LaunchCampaign launch = World::Campaign(10);
    launch.campaign.settings.strict = strict;
    Launch(world, std::move(launch));
    model::WorkerRecord first = MakeWorker("w", 1), build = MakeWorker("v", 1), device = MakeWorker("u", 1);
    first.trainer_build = device.trainer_build = "t1";
    build.trainer_build = "t2";
    device.device_model = "another";
    for (const model::WorkerRecord& worker : {first, build, device}) Hello(world, worker);
    ASSERT_TRUE(world.Poll("w"));
    EXPECT_EQ(world.Poll("v").has_value(), !strict);
    EXPECT_EQ(world.Poll("u").has_value(), !strict);
  }
}

TEST(Leases, ASlotThatTheWorkerDoesNotHaveIsRefused) {
  World world;
  Launch(world);
  world.Hello("w", 2);
  for (const int64_t slot : {int64_t{-1}, int64_t{2}})
    EXPECT_EQ(world.Ask("w", slot).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_TRUE(world.Ask("w", 1).ok());
}

TEST(Leases, WhatTheDatabaseHasOfAnOutcomeIsAnsweredAgainAndChangesNothing) {
  World world;
  Launch(world);
  world.Hello("w", 1);
  const auto lease = world.Poll("w");
  AttemptOutcome outcome = world.Success(*lease, 0.5);
  const size_t before = world.writes().size();
  outcome.known = model::KnownOutcome::kCounted;
  EXPECT_EQ(world.Report("w", outcome), OutcomeVerdict::kDuplicate);
  outcome.known = model::KnownOutcome::kArchived;
  EXPECT_EQ(world.Report("w", outcome), OutcomeVerdict::kArchived);
  EXPECT_EQ(world.writes().size(), before);
}

TEST(Leases, RunningTimeIsSavedAsItPasses) {
  World world;
  Launch(world);
  world.Hello("w", 1);
  const auto lease = world.Poll("w");
  for (int i = 0; i < 30; ++i) {
    world.Pass(1'000);
    world.Beat("w", {*lease});
  }
  EXPECT_GE(world.Progress().active_ms, 20'000);
}

TEST(Leases, WorkersThatAreBusyAreNoReasonToLookForOthers) {
  World world;
  Launch(world);
  Launch(world, World::Campaign(10));
  world.Hello("w", 1);
  const auto lease = world.Poll("w");
  for (int i = 0; i < 10; ++i) {
    world.Pass(10'000);
    world.Beat("w", {*lease});
  }
  const auto glances = world.core_.Campaigns(world.now_);
  ASSERT_EQ(glances.size(), 2u);
  EXPECT_EQ(glances[1].waiting_reason, "the workers that could run it are busy");
  EXPECT_EQ(world.core_.Workers(world.now_, {"w"})[0].last_seen_us, world.now_.wall_us);
}

TEST(Leases, AResultsEventTellsWhatTheStrategySaw) {
  World world;
  Launch(world);
  world.Hello("w", 1);
  const auto first = world.Poll("w");
  world.Report("w", world.Success(*first, 0.5));
  const auto second = world.Poll("w");
  AttemptOutcome without = world.Success(*second, 0);
  without.result.metrics.clear();
  world.Report("w", without);
  EXPECT_EQ(world.Attempt(second->attempt.id).state, AttemptState::kFailed);
  EXPECT_EQ(world.Attempt(second->attempt.id).failure, FailureClass::kDiverged);
  const auto events = world.Events("result_accepted");
  ASSERT_EQ(events.size(), 2u);
  EXPECT_EQ(nlohmann::json::parse(events[0].payload_json),
            (nlohmann::json{{"seq", 1}, {"feasible", true}, {"objective", 0.5}, {"candidate_hash", "c1"}}));
  EXPECT_EQ(
      nlohmann::json::parse(events[1].payload_json),
      (nlohmann::json{{"seq", 2}, {"feasible", false}, {"objective", nullptr}, {"candidate_hash", "c2"}}));
  EXPECT_EQ(events[0].principal, "worker:w");
  EXPECT_EQ(world.Events("attempt_ended")[0].principal, "worker:w");
}

TEST(Leases, ACandidateCountsOnceAmongThoseThatFailAlike) {
  World world;
  Launch(world, World::Campaign(100));
  world.Hello("w", 1);
  world.Report("w", world.Success(*world.Poll("w"), 0.5));
  // Two candidates that crash twice each, then one that does well: of five attempts four fail, of three
  // candidates two.
  for (int i = 0; i < 90; ++i) {
    const auto lease = world.Poll("w");
    ASSERT_TRUE(lease) << i;
    if (i % 5 == 4)
      world.Report("w", world.Success(*lease, 0.5));
    else
      world.Report("w", world.Failed(*lease, FailureClass::kTrainerCrash, "SIGSEGV"));
  }
  EXPECT_EQ(world.Progress().state, model::CampaignState::kRunning);
}

TEST(Leases, CancellingDuringTheProbeSettlesNothing) {
  World world;
  LaunchCampaign launch = World::Campaign(10);
  launch.campaign.settings.epochs = 0;
  Launch(world, std::move(launch));
  world.Hello("w", 1);
  ASSERT_TRUE(world.Poll("w"));
  world.Step(CommandCampaign{5, "ada", 1, CampaignVerb::kCancel});
  EXPECT_TRUE(world.Events("fidelity_settled").empty());
  EXPECT_EQ(world.Progress().state, model::CampaignState::kCancelled);
}

}  // namespace
}  // namespace canopy::controller
