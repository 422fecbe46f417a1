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

uint64_t Park(World& world, const std::string& worker, int64_t slot = 0) {
  static uint64_t token = 2'000'000;
  world.Step(WorkerExchange{++token, worker, "p" + std::to_string(token), slot, {}, true});
  EXPECT_FALSE(world.Answer(token));
  return token;
}

bool Granted(const World& world, uint64_t token) {
  const auto* answer = world.Answer(token);
  return answer != nullptr && answer->ok() && std::get<Exchanged>(**answer).lease.has_value();
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
    Park(world, other.id);
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
  const uint64_t brief = Park(world, "brief");
  world.Step(WorkerHello{0, MakeWorker("longer", 2), {}, 500'000});
  const uint64_t first = Park(world, "longer", 0), second = Park(world, "longer", 1);
  world.Step(CommandCampaign{0, "ada", 1, CampaignVerb::kResume});
  world.AnswerRefills();
  EXPECT_TRUE(Granted(world, first));
  EXPECT_TRUE(Granted(world, second));
  EXPECT_FALSE(Granted(world, brief));
}

TEST(WorkerKinds, AnEndThatMovesKeepsTheWorkersPollInItsOrder) {
  World world;
  Launch(world, World::Campaign(20));
  world.Hello("w", 1);
  world.Report("w", world.Success(*world.Poll("w"), 0.5));
  world.Step(CommandCampaign{0, "ada", 1, CampaignVerb::kPause});
  world.Step(WorkerHello{0, MakeWorker("v", 1), {}, 500'000});
  const uint64_t brief = Park(world, "v");
  world.Step(WorkerHello{0, MakeWorker("u", 1), {}, 400'000});
  const uint64_t longer = Park(world, "u");
  world.Step(WorkerHeartbeat{0, "v", {}, {}, 700});
  world.Step(CommandCampaign{0, "ada", 1, CampaignVerb::kResume});
  world.AnswerRefills();
  EXPECT_TRUE(Granted(world, longer));
  EXPECT_FALSE(Granted(world, brief));
}

TEST(WorkerKinds, APollWaitsBehindNoneThatACrashKeepsFromTheTrial) {
  World world;
  Launch(world, World::Campaign(1));
  world.Hello("w", 1, "h1");
  world.Hello("beside", 2, "h1");
  world.Hello("elsewhere", 1, "h2");
  const auto lease = world.Poll("w");
  const uint64_t beside = Park(world, "beside", 0), also = Park(world, "beside", 1);
  const uint64_t elsewhere = Park(world, "elsewhere");
  world.Report("w", world.Failed(*lease, FailureClass::kTrainerCrash, "signal 11"));
  EXPECT_FALSE(Granted(world, beside));
  EXPECT_FALSE(Granted(world, also));
  EXPECT_TRUE(Granted(world, elsewhere));
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
  ASSERT_EQ(world.core_.Campaigns(world.now_)[0].notices.size(), size_t{kWaiting});
  const int64_t before = world.core_.FitChecks();
  world.Step(Tick{});
  EXPECT_LT(world.core_.FitChecks() - before, 10);
}

}  // namespace
}  // namespace canopy::controller
