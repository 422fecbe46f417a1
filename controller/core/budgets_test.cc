#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "controller/core/core_fixture.h"

namespace canopy::controller {
namespace {

using model::AttemptState;
using model::CampaignState;
using model::FailureClass;
using model::Purpose;
using model::TrialState;

constexpr int64_t kDayUs = 86'400'000'000;

// A world whose worker "w" has two slots of one device.
class BudgetsTest : public ::testing::Test {
 protected:
  void Launch(LaunchCampaign launch) {
    world_.Step(std::move(launch));
    world_.AnswerRefills();
    world_.Hello("w", 2);
  }
  static LaunchCampaign DeviceTime(int64_t ms, int64_t top = 0) {
    LaunchCampaign launch = World::Campaign(0, top);
    launch.campaign.settings.budget_device_ms = ms;
    return launch;
  }
  void Beat(const Lease& lease) { world_.Beat("w", {lease}); }
  // The attempt succeeds, or fails, after so much time on its worker.
  void End(const Lease& lease, int64_t ms, std::optional<FailureClass> failure = std::nullopt) {
    AttemptOutcome outcome = failure ? world_.Failed(lease, *failure, "it fell") : world_.Success(lease, 0.9);
    outcome.cost.busy_ms = outcome.cost.allocated_ms = ms;
    ASSERT_EQ(world_.Report("w", std::move(outcome)), OutcomeVerdict::kAccepted);
  }
  int64_t DeviceLeftMs() { return world_.core_.Campaigns(world_.now_).at(0).device_left_ms; }
  // What ended attempts are charged for.
  int64_t Charged() const {
    std::map<int64_t, int64_t> charged;
    for (const UpdateAttempt& update : world_.Written<UpdateAttempt>())
      charged[update.attempt.id] = update.attempt.DeviceMs();
    int64_t sum = 0;
    for (const auto& [id, ms] : charged) sum += ms;
    return sum;
  }

  World world_;
};

TEST_F(BudgetsTest, DeviceTimeIsChargedByShareWhateverCameOfIt) {
  Launch(DeviceTime(1'000'000));
  const auto failed = world_.Poll("w", 0);
  End(*failed, 30'000, FailureClass::kPreempted);
  EXPECT_EQ(DeviceLeftMs(), 985'000) << "half of the device";
  const auto lost = world_.Poll("w", 0);
  world_.Pass(20'000);
  EXPECT_NEAR(static_cast<double>(DeviceLeftMs()), 975'000, 100) << "what runs is counted";
  world_.Hello("w", 2);  // it has restarted without its attempt
  EXPECT_EQ(world_.Attempt(lost->attempt.id).state, AttemptState::kExpired);
  EXPECT_NEAR(static_cast<double>(DeviceLeftMs()), 975'000, 100);
  // It comes after all: charged once, by the worker's clock.
  End(*lost, 40'000);
  EXPECT_EQ(DeviceLeftMs(), 965'000);
  EXPECT_EQ(Charged(), 35'000);
}

TEST_F(BudgetsTest, TheSearchLeavesDeviceTimeForTheFinals) {
  Launch(DeviceTime(100'000, 1));
  std::map<Purpose, int64_t> done;
  while (const auto lease = world_.Poll("w", 0)) {
    const bool trains = lease->trial.purpose == Purpose::kSearch || lease->trial.purpose == Purpose::kFinal;
    const int64_t ms = trains ? 10'000 : 1'000;
    Beat(*lease);
    world_.Pass(ms);
    End(*lease, ms);
    ASSERT_LT(++done[lease->trial.purpose], 30);
  }
  EXPECT_EQ(world_.Progress().state, CampaignState::kCompleted);
  EXPECT_EQ(done[Purpose::kFinal], 4);
  EXPECT_GE(done[Purpose::kSearch], 12);
  EXPECT_LE(Charged(), 100'000);
  EXPECT_EQ(world_.Events("campaign_finalizing").at(0).payload_json,
            R"({"reason":"the rest of the 1 m 40 s of device time is kept for the finals"})");
}

TEST_F(BudgetsTest, FinalsThatTakeMoreThanForeseenEndWithOneFinalist) {
  Launch(DeviceTime(100'000, 3));
  std::map<Purpose, int64_t> done;
  while (const auto lease = world_.Poll("w", 0)) {
    const int64_t ms = lease->trial.purpose == Purpose::kFinal ? 12'000 : 4'000;
    Beat(*lease);
    world_.Pass(ms);
    ASSERT_LT(++done[lease->trial.purpose], 50);
    // One that is dispensable is stopped where nothing is left.
    if (world_.Attempt(lease->attempt.id).state != AttemptState::kCancelled) End(*lease, ms);
  }
  EXPECT_EQ(world_.Progress().state, CampaignState::kCompleted);
  EXPECT_GE(done[Purpose::kFinal], 2);
  EXPECT_LT(done[Purpose::kFinal], 8);
  EXPECT_LE(Charged(), 100'000 + 6'000 + 3'000) << "the last of the one finalist, and tests";
}

TEST_F(BudgetsTest, WhatRunsIsExpectedToTakeItsPartAndWhatItLeavesIsGivenOut) {
  Launch(DeviceTime(12'000));
  End(*world_.Poll("w", 0), 10'000);
  const auto first = world_.Poll("w", 0);
  ASSERT_TRUE(first);
  world_.Step(WorkerExchange{900, "w", "waits", 1, {}, true});
  world_.AnswerRefills();
  ASSERT_EQ(world_.Answer(900), nullptr) << "the first is expected to take 5 s of the 7 that are left";
  EXPECT_EQ(world_.Progress().state, CampaignState::kRunning);
  const int64_t waiting = first->trial.id + 1;
  EXPECT_TRUE(world_.core_.Explain(world_.now_, waiting).budget_is_taken);
  End(*first, 1'000);
  ASSERT_NE(world_.Answer(900), nullptr);
  EXPECT_EQ(std::get<Exchanged>(**world_.Answer(900)).lease->trial.id, waiting);
}

TEST_F(BudgetsTest, WhatNobodySawWhileNoControllerRanIsNotCharged) {
  CoreState state = World::Empty();
  LiveCampaign live;
  live.campaign = DeviceTime(1'000'000).campaign;
  live.campaign.id = 1;
  live.progress.epochs = 2;
  live.progress.served_ms = 21'000;
  for (const int64_t id : {7, 8}) {
    model::TrialRecord trial;
    trial.id = trial.number = trial.last_attempt_id = trial.last_fence = id;
    trial.campaign_id = 1;
    trial.state = TrialState::kLeased;
    trial.candidate = MakeCandidate("c" + std::to_string(id));
    live.trials.push_back(trial);
    model::AttemptRecord attempt;
    attempt.id = attempt.trial_id = attempt.fence = id;
    attempt.campaign_id = 1;
    attempt.worker_id = "w";
    attempt.slot = id - 7;
    attempt.device_share = 0.5;
    attempt.began_ms = 1'000;
    live.attempts.push_back(attempt);
  }
  state.campaigns.push_back(live);
  Now now{5'000'000, 3'601'000'000};  // an hour later
  Core core(state, {}, MakeTestSchedule, now);
  EXPECT_EQ(core.Campaigns(now).at(0).device_left_ms, 1'000'000 - 20'000) << "20 s of two halves";
  WorkerHello hello{0, MakeWorker("w", 2), {{7, 7}}};
  now.monotonic_ms += 1'000;
  now.wall_us += 1'000'000;
  // One goes on, and its worker will say for how long it has had its slot; of the other nothing is known.
  const Effects effects = core.Step(now, std::move(hello));
  for (const Write& write : effects.writes)
    if (const auto* update = std::get_if<UpdateAttempt>(&write); update && update->attempt.id == 8) {
      EXPECT_EQ(update->attempt.cost.allocated_ms, 20'000);
    }
  EXPECT_EQ(core.IndexErrors(), "");
  EXPECT_EQ(core.Campaigns(now).at(0).device_running_ms, 21'000 / 2);
}

TEST_F(BudgetsTest, AControllerThatStoodStillChargesNobodyForIt) {
  Launch(DeviceTime(1'000'000));
  const auto lost = world_.Poll("w", 0);
  ASSERT_TRUE(lost);
  world_.Pass(4'000);
  world_.now_.monotonic_ms += 8 * 3'600'000;
  world_.now_.wall_us += 8 * 3'600'000'000LL;
  world_.Step(Tick{});
  EXPECT_EQ(world_.Progress().state, CampaignState::kRunning);
  EXPECT_NEAR(static_cast<double>(DeviceLeftMs()), 998'000, 100);
}

TEST_F(BudgetsTest, ASearchDoesNotEndBecauseARestartKnowsNoSlotsYet) {
  CoreState state = World::Empty();
  LiveCampaign live;
  live.campaign = World::Campaign(0, 1).campaign;
  live.campaign.id = 1;
  live.campaign.settings.budget_duration_ms = 3'600'000;
  live.reference = MakeCandidate("reference");
  live.progress.epochs = 2;
  live.progress.active_ms = 1'800'000;
  live.search_completed = 1;
  live.search_busy_ms = 600'000;  // four finals, on one slot: 40 min, on eight: 10
  live.best = {{0.9, 5, 600'000, 75'000, MakeCandidate("c5")}};
  state.campaigns.push_back(live);
  Now now{5'000'000, 3'601'000'000};
  Core core(state, {}, MakeTestSchedule, now);
  const auto ended = [&](Event event, int64_t after_ms) {
    now.monotonic_ms += after_ms;
    now.wall_us += after_ms * 1000;
    const Effects effects = core.Step(now, std::move(event));
    return std::any_of(effects.writes.begin(), effects.writes.end(), [](const Write& write) {
      const auto* append = std::get_if<AppendEvent>(&write);
      return append != nullptr && append->event.kind == "campaign_finalizing";
    });
  };
  EXPECT_FALSE(ended(Tick{}, 500));
  EXPECT_FALSE(ended(WorkerHello{0, MakeWorker("a", 1), {}}, 500)) << "the others are still to come";
  EXPECT_FALSE(ended(WorkerHello{0, MakeWorker("b", 7), {}}, 500));
  for (int i = 0; i < 20; ++i) {
    EXPECT_FALSE(ended(WorkerHeartbeat{0, "a", {}, {}}, 2'000));
    EXPECT_FALSE(ended(WorkerHeartbeat{0, "b", {}, {}}, 2'000));
    EXPECT_FALSE(ended(Tick{}, 500));
  }
}

TEST_F(BudgetsTest, ADateEndsTheSearchWhetherAControllerRanOrNot) {
  LaunchCampaign launch = World::Campaign(0, 1);
  launch.campaign.settings.budget_until_us = world_.now_.wall_us + 600'000'000;
  Launch(std::move(launch));
  const auto lease = world_.Poll("w", 0);
  End(*lease, 10'000);
  world_.Step(CommandCampaign{0, "ada", 1, CampaignVerb::kPause});
  world_.Pass(560'000);
  EXPECT_EQ(world_.Progress().state, CampaignState::kPaused);
  world_.Step(CommandCampaign{0, "ada", 1, CampaignVerb::kResume});
  world_.AnswerRefills();
  world_.Hello("w", 2);
  world_.Pass(30'000);
  EXPECT_EQ(world_.Progress().state, CampaignState::kFinalizing);
  EXPECT_EQ(world_.Progress().reason,
            "the rest of the time until 1970-01-01T00:10:01.000000Z is kept for the finals");
}

TEST_F(BudgetsTest, AStepOfTheWallClockCountsOnceItHasLasted) {
  LaunchCampaign launch = World::Campaign(0);
  launch.campaign.settings.budget_until_us = world_.now_.wall_us + 600'000'000;
  Launch(std::move(launch));
  world_.now_.wall_us += kDayUs;
  world_.Pass(50'000);
  EXPECT_EQ(world_.Progress().state, CampaignState::kRunning);
  world_.now_.wall_us -= kDayUs;
  world_.Pass(50'000);
  EXPECT_EQ(world_.Progress().state, CampaignState::kRunning);
  world_.now_.wall_us += kDayUs;
  world_.Pass(70'000);
  EXPECT_TRUE(model::IsTerminal(world_.Progress().state));
}

TEST_F(BudgetsTest, ALargerBudgetGivesOutWhatWaited) {
  LaunchCampaign launch = DeviceTime(12'000);
  Launch(launch);
  End(*world_.Poll("w", 0), 10'000);
  ASSERT_TRUE(world_.Poll("w", 0));
  world_.Step(WorkerExchange{900, "w", "waits", 1, {}, true});
  world_.AnswerRefills();
  ASSERT_EQ(world_.Answer(900), nullptr);
  ReviseCampaign revise;
  revise.campaign = launch.campaign;
  revise.campaign.id = 1;
  revise.campaign.settings.budget_device_ms = 60'000;
  revise.changes_json = "[]";
  world_.Step(std::move(revise));
  EXPECT_NE(world_.Answer(900), nullptr);
}

}  // namespace
}  // namespace canopy::controller
