#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "controller/core/core_fixture.h"

namespace canopy::controller {
namespace {

using model::DrainScope;
using model::TrialState;

void Launch(World& world, LaunchCampaign launch = World::Campaign(10)) {
  world.Step(std::move(launch));
  world.AnswerRefills();
}

void Drain(World& world, const std::string& worker, const std::string& reason = "maintenance") {
  world.Step(DrainWorker{7, "ada", MakeWorker(worker, 1), false, reason});
  world.AnswerRefills();
}
void Undrain(World& world, const model::WorkerRecord& worker) {
  world.Step(DrainWorker{8, "ada", worker, true, ""});
  world.AnswerRefills();
}

TEST(Fleet, ADrainedWorkerEndsWhatItRunsAndGetsNothingNew) {
  World world;
  Launch(world);
  world.Hello("w", 2);
  const auto lease = world.Poll("w");
  Drain(world, "w");
  EXPECT_TRUE(world.Beat("w", {*lease}).empty());
  EXPECT_FALSE(world.Poll("w", 1));
  EXPECT_EQ(world.Report("w", world.Success(*lease, 0.5)), OutcomeVerdict::kAccepted);
  EXPECT_FALSE(world.Poll("w"));
  ASSERT_EQ(world.Events("worker_drained").size(), 1u);
  EXPECT_EQ(world.Events("worker_drained")[0].principal, "ada");
  Undrain(world, MakeWorker("w", 2));
  EXPECT_EQ(world.Events("worker_undrained").size(), 1u);
  EXPECT_TRUE(world.Poll("w"));
}

TEST(Fleet, AParkedPollIsServedWhenItsWorkerIsNoLongerDrained) {
  World world;
  Launch(world);
  world.Hello("w", 1);
  Drain(world, "w");
  EXPECT_FALSE(world.Poll("w"));
  Undrain(world, MakeWorker("w", 1));
  EXPECT_EQ(world.Written<InsertAttempt>().size(), 1u);
}

TEST(Fleet, ADrainOutlivesTheWorkersRestartAndTheControllers) {
  CoreState state = World::Empty();
  state.drains = {{DrainScope::kWorker, "w", "bad fan", "ada", 5}};
  World world(state);
  Launch(world);
  world.Hello("w", 1);
  EXPECT_FALSE(world.Poll("w"));
  for (int i = 0; i < 8; ++i) {
    world.Pass(10'000);
    world.Beat("w", {});
  }
  EXPECT_EQ(world.core_.Campaigns(world.now_).at(0).waiting_reason, "worker w is drained: bad fan");
}

TEST(Fleet, UndoingFreesTheWorkersDeviceAndHostToo) {
  model::WorkerRecord worker = MakeWorker("w", 1);
  worker.device_uuid = "GPU-1";
  CoreState state = World::Empty();
  state.drains = {{DrainScope::kDevice, "GPU-1", "sick", "controller", 5},
                  {DrainScope::kHost, "h1", "sick", "controller", 5},
                  {DrainScope::kHost, "h2", "sick", "controller", 5}};
  World world(state);
  Launch(world);
  world.Step(WorkerHello{0, worker, {}});
  EXPECT_FALSE(world.Poll("w"));
  Undrain(world, worker);
  EXPECT_TRUE(world.Poll("w"));
  EXPECT_EQ(world.Written<RemoveDrain>().size(), 2u);
}

TEST(Fleet, ADrainedWorkersSlotsAskForNoProposals) {
  World world;
  Launch(world, World::Campaign(100));
  world.Hello("w", 8);
  Drain(world, "w");
  world.Hello("v", 1);
  for (int i = 0; i < 7; ++i) world.Report("v", world.Success(*world.Poll("v"), 0.5));
  // Eight waited when the drain came: as long as one still does, none is proposed.
  EXPECT_EQ(world.Written<InsertTrial>().size(), 8u);
}

TEST(Fleet, AWorkerGetsOnlyWhatIsExpectedToEndInItsTime) {
  World world;
  Launch(world);
  world.Hello("w", 1);
  world.Report("w", world.Success(*world.Poll("w"), 0.5));  // takes 1000 ms
  world.Step(WorkerHello{0, MakeWorker("v", 1), {}, 1'100});
  EXPECT_FALSE(world.Poll("v"));
  const auto glance = world.core_.Workers(world.now_, {"v"}).at(0);
  EXPECT_EQ(glance.worker_id, "v");
  EXPECT_LT(glance.remaining_ms.value_or(0), 1'100);
  world.Step(WorkerHello{0, MakeWorker("v", 1), {}, 2'000});
  EXPECT_TRUE(world.Poll("v"));
}

TEST(Fleet, AnEndIsNotAnotherOneForTheJitterOfItsCountdown) {
  World world;
  Launch(world);
  world.Step(WorkerHello{0, MakeWorker("w", 1), {}, 100'000});
  const auto end_ms = [&] {
    return world.now_.monotonic_ms + world.core_.Workers(world.now_, {"w"}).at(0).remaining_ms.value_or(0);
  };
  const int64_t first = end_ms();
  world.Step(WorkerHeartbeat{0, "w", {}, {}, 99'500});
  EXPECT_EQ(end_ms(), first);
  world.Step(WorkerHeartbeat{0, "w", {}, {}, 50'000});
  EXPECT_LT(end_ms(), first - 40'000);
}

TEST(Fleet, AnEndThatIsNoLongerKnownIsForgotten) {
  World world;
  Launch(world);
  world.Step(WorkerHello{0, MakeWorker("v", 1), {}, 0});
  EXPECT_FALSE(world.Poll("v"));
  world.Step(WorkerHello{0, MakeWorker("v", 1), {}, std::nullopt});
  EXPECT_TRUE(world.Poll("v"));
}

TEST(Fleet, WhatALeavingWorkerHoldsIsGivenOnAtOnce) {
  World world;
  Launch(world);
  world.Hello("w", 2);
  world.Hello("v", 2);
  const auto first = world.Poll("w", 0), second = world.Poll("w", 1);
  WorkerHeartbeat leaving{9, "w", {{second->attempt.id, second->attempt.fence, 1, 2}}, {}, 0};
  world.Step(std::move(leaving));
  EXPECT_EQ(world.Attempt(first->attempt.id).failure, model::FailureClass::kPreempted);
  EXPECT_EQ(world.Trial(second->trial.id).state, TrialState::kLeased) << "it said that this one goes on";
  EXPECT_EQ(world.Poll("v")->trial.id, first->trial.id);
  EXPECT_EQ(world.Trial(first->trial.id).interruptions, 1);
  EXPECT_FALSE(world.Poll("w", 0)) << "it is given nothing new";
}

}  // namespace
}  // namespace canopy::controller
