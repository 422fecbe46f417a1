#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "controller/core/core_fixture.h"

// What it costs that many workers wait, and that none of them is forgotten because another stands for its
// kind.
namespace canopy::controller {
namespace {

using model::FailureClass;

void Launch(World& world, LaunchCampaign launch) {
  world.Step(std::move(launch));
  world.AnswerRefills();
}

constexpr int kResults = 30;

// How often results and the next leases ask for a worker's fitness while so many that fit nothing wait.
int64_t ChecksOfResults(int waiting) {
  World world;
  Launch(world, World::Campaign(500));
  world.Hello("w", 1);
  auto lease = world.Poll("w");
  for (int i = 0; i < waiting; ++i) {
    model::WorkerRecord other = MakeWorker("other" + std::to_string(i), 1, "h" + std::to_string(i));
    other.numeric_modes = {"bf16"};
    world.Step(WorkerHello{0, other, {}});
    world.AnswerRefills();
    world.Park(other.id);
  }
  const int64_t before = world.core_.FitChecks();
  for (int i = 0; i < kResults; ++i) {
    AttemptOutcome outcome = world.Success(*lease, 0.5);
    outcome.cost.busy_ms = 2'000 - i;  // trials are expected to take less than before: those that end may do
    EXPECT_EQ(world.Report("w", std::move(outcome)), OutcomeVerdict::kAccepted);
    lease = world.Poll("w");
  }
  return world.core_.FitChecks() - before;
}

TEST(WorkerKinds, AResultCostsTheSameHoweverManyWorkersThatFitNothingWait) {
  EXPECT_LE(ChecksOfResults(100), 4 * kResults);
}

TEST(WorkerKinds, WhoLastsLongestIsAskedFirst) {
  World world;
  Launch(world, World::Campaign(20));
  world.Hello("w", 1);
  world.Report("w", world.Success(*world.Poll("w"), 0.5));  // a trial takes a second
  world.Step(CommandCampaign{0, "ada", 1, CampaignVerb::kPause});
  world.Step(WorkerHello{0, MakeWorker("brief", 1), {}, 800});
  const uint64_t brief = world.Park("brief");
  world.Step(WorkerHello{0, MakeWorker("longer", 2), {}, 500'000});
  const uint64_t first = world.Park("longer", 0), second = world.Park("longer", 1);
  world.Step(CommandCampaign{0, "ada", 1, CampaignVerb::kResume});
  world.AnswerRefills();
  EXPECT_TRUE(world.Granted(first));
  EXPECT_TRUE(world.Granted(second));
  EXPECT_FALSE(world.Granted(brief));
}

TEST(WorkerKinds, AnEndThatMovesKeepsTheWorkersPollInItsOrder) {
  World world;
  Launch(world, World::Campaign(20));
  world.Hello("w", 1);
  world.Report("w", world.Success(*world.Poll("w"), 0.5));
  world.Step(CommandCampaign{0, "ada", 1, CampaignVerb::kPause});
  world.Step(WorkerHello{0, MakeWorker("v", 1), {}, 500'000});
  const uint64_t brief = world.Park("v");
  world.Step(WorkerHello{0, MakeWorker("u", 1), {}, 400'000});
  const uint64_t longer = world.Park("u");
  world.Step(WorkerHeartbeat{0, "v", {}, {}, 700});
  world.Step(CommandCampaign{0, "ada", 1, CampaignVerb::kResume});
  world.AnswerRefills();
  EXPECT_TRUE(world.Granted(longer));
  EXPECT_FALSE(world.Granted(brief));
}

TEST(WorkerKinds, APollWaitsBehindNoneThatACrashKeepsFromTheTrial) {
  World world;
  Launch(world, World::Campaign(1));
  world.Hello("w", 1, "h1");
  world.Hello("beside", 2, "h1");
  world.Hello("elsewhere", 1, "h2");
  const auto lease = world.Poll("w");
  const uint64_t beside = world.Park("beside", 0), also = world.Park("beside", 1);
  const uint64_t elsewhere = world.Park("elsewhere");
  world.Report("w", world.Failed(*lease, FailureClass::kTrainerCrash, "signal 11"));
  EXPECT_FALSE(world.Granted(beside));
  EXPECT_FALSE(world.Granted(also));
  EXPECT_TRUE(world.Granted(elsewhere));
}

TEST(WorkerKinds, TheFleetIsCountedAndOneOfEachKindShown) {
  World world;
  Launch(world, World::Campaign(20));
  for (int i = 0; i < 5; ++i) world.Hello("w" + std::to_string(i), 2, "h" + std::to_string(i));
  model::WorkerRecord other = MakeWorker("v", 3);
  other.memory_bytes = 500;
  world.Step(WorkerHello{0, other, {}});
  world.Hello("w4", 5, "h4");
  ASSERT_TRUE(world.Poll("w0"));
  const Core::FleetGlance fleet = world.core_.Fleet();
  EXPECT_EQ(fleet.workers, 6);
  EXPECT_EQ(fleet.slots, 16);
  EXPECT_EQ(fleet.running_attempts, 1);
  ASSERT_EQ(fleet.kinds.size(), 2u);
  EXPECT_EQ(fleet.kinds[0].workers + fleet.kinds[1].workers, 6);
  EXPECT_EQ((fleet.kinds[0].worker.id == "v" ? fleet.kinds[0] : fleet.kinds[1]).workers, 1);
}

TEST(WorkerKinds, APageShowsTheWorkersItAsksFor) {
  World world;
  Launch(world, World::Campaign(20));
  for (const char* id : {"a", "b", "c"}) world.Hello(id, 1);
  const auto lease = world.Poll("b");
  const auto glances = world.core_.Workers(world.now_, {"b", "gone"});
  ASSERT_EQ(glances.size(), 1u);
  EXPECT_EQ(glances[0].worker_id, "b");
  ASSERT_EQ(glances[0].attempts.size(), 1u);
  EXPECT_EQ(glances[0].attempts[0].attempt_id, lease->attempt.id);
  world.Beat("b", {*lease});
  const auto progress = world.core_.Progress({lease->attempt.id, 99});
  ASSERT_EQ(progress.size(), 1u);
  EXPECT_EQ(progress[0].total_steps, 2);
  EXPECT_FALSE(world.core_.Glance(world.now_, 99));
}

TEST(WorkerKinds, WhatWaitsForMemoryAsksOneWorkerOfAKind) {
  constexpr int kWaiting = 20, kWorkers = 60;
  World world;
  Launch(world, World::Campaign(200));
  model::WorkerRecord worker = MakeWorker("w", kWaiting);
  worker.memory_bytes = 1'000;
  world.Step(WorkerHello{0, worker, {}});
  world.AnswerRefills();
  model::WorkerRecord large = MakeWorker("large", 1);
  large.memory_bytes = 2'000;
  world.Step(WorkerHello{0, large, {}});
  world.AnswerRefills();
  ASSERT_TRUE(world.Poll("large")) << "it has no slot for what waits";
  std::vector<Lease> leases;
  for (int slot = 0; slot < kWaiting; ++slot) leases.push_back(*world.Poll("w", slot));
  for (int i = 0; i < kWorkers; ++i) {
    model::WorkerRecord small = MakeWorker("small" + std::to_string(i), 1);
    small.memory_bytes = 500;
    world.Step(WorkerHello{0, small, {}});
  }
  world.AnswerRefills();
  for (size_t i = 0; i < leases.size(); ++i)
    world.Report("w", world.Failed(leases[i], FailureClass::kOutOfMemory, "oom " + std::to_string(i)));
  world.Step(CommandCampaign{0, "ada", 1, CampaignVerb::kResume});  // it has paused, as all failed alike
  world.AnswerRefills();
  const std::vector<std::string> notices = world.core_.Glance(world.now_, 1)->notices;
  ASSERT_EQ(notices.size(), 11u);
  EXPECT_EQ(notices.back(), "10 more trials wait for a worker with more memory");
  const int64_t before = world.core_.FitChecks();
  world.Step(Tick{});
  EXPECT_LT(world.core_.FitChecks() - before, 10);
}

}  // namespace
}  // namespace canopy::controller
