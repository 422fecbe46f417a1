#include <gtest/gtest.h>

#include <string>
#include <utility>

#include "controller/core/core_fixture.h"

namespace canopy::controller {
namespace {

TEST(Explain, ATrialThatWaitsNamesEachWorkerAndWhatKeepsItThere) {
  World world;
  world.Step(World::Campaign(10));
  world.AnswerRefills();
  world.Hello("busy", 1);
  world.Hello("sick", 1);
  model::WorkerRecord without = MakeWorker("without", 1);
  without.datasets.clear();
  world.Step(WorkerHello{0, without, {}});
  world.Step(DrainWorker{7, "ada", MakeWorker("sick", 1), false, "fan"});
  world.AnswerRefills();
  const auto running = world.Poll("busy");
  const int64_t next = running->trial.id + 2;
  const auto outlook = world.core_.Explain(world.now_, next);
  EXPECT_TRUE(outlook.live);
  EXPECT_EQ(outlook.campaign_state, "RUNNING");
  EXPECT_EQ(outlook.trials_before, 1);
  ASSERT_EQ(outlook.workers.size(), 3u);
  EXPECT_TRUE(outlook.workers[0].eligible);
  EXPECT_FALSE(outlook.workers[0].free);
  EXPECT_EQ(outlook.workers[1].why, "worker sick is drained: fan");
  EXPECT_EQ(outlook.workers[2].why, "no connected worker has verified dataset fashion-mnist");
}

TEST(Explain, CampaignsWhoseTurnComesFirstAreNamed) {
  World world;
  LaunchCampaign first = World::Campaign(10), second = World::Campaign(10);
  first.campaign.name = "first";
  second.campaign.name = "second";
  second.campaign.project = first.campaign.project = "p";
  world.Step(std::move(first));
  world.Step(std::move(second));
  world.AnswerRefills();
  world.Hello("w", 1);
  const auto lease = world.Poll("w");
  ASSERT_EQ(lease->campaign.name, "first");
  int64_t waiting_of_first = 0;
  for (const InsertTrial& insert : world.Written<InsertTrial>())
    if (insert.trial.campaign_id == lease->campaign.id) waiting_of_first = insert.trial.id;
  const auto outlook = world.core_.Explain(world.now_, waiting_of_first);
  ASSERT_EQ(outlook.before.size(), 1u);
  EXPECT_EQ(outlook.before[0].campaign, "p/second");
}

TEST(Explain, OfThousandsOfWorkersOneOfEachKindIsNamed) {
  World world;
  world.Step(World::Campaign(500));
  world.AnswerRefills();
  world.Hello("busy", 1);
  const int64_t next = world.Poll("busy")->trial.id + 2;
  for (int i = 0; i < 220; ++i) {
    model::WorkerRecord without = MakeWorker("without" + std::to_string(i), 1);
    without.datasets.clear();
    world.Step(WorkerHello{0, without, {}});
  }
  world.AnswerRefills();
  const auto outlook = world.core_.Explain(world.now_, next);
  ASSERT_EQ(outlook.workers.size(), 2u);
  const bool busy_first = outlook.workers[0].worker_id == "busy";
  const auto &busy = outlook.workers[busy_first ? 0 : 1], &without = outlook.workers[busy_first ? 1 : 0];
  EXPECT_TRUE(busy.eligible);
  EXPECT_EQ(busy.workers, 1);
  EXPECT_EQ(without.workers, 220);
  EXPECT_EQ(without.why, "no connected worker has verified dataset fashion-mnist");
}

TEST(Explain, WhatHasEndedOrNeverWasIsNotLive) {
  World world;
  world.Step(World::Campaign(10));
  world.AnswerRefills();
  world.Hello("w", 1);
  const auto lease = world.Poll("w");
  world.Report("w", world.Success(*lease, 0.5));
  EXPECT_FALSE(world.core_.Explain(world.now_, lease->trial.id).live);
  EXPECT_FALSE(world.core_.Explain(world.now_, 99).live);
}

}  // namespace
}  // namespace canopy::controller
