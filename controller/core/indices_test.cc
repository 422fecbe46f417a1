#include <gtest/gtest.h>

#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/random.h"
#include "controller/core/core_fixture.h"

// What the core's indices must not forget. World checks after every step that they are what a scan finds, and
// that no parked poll could be given work.
namespace canopy::controller {
namespace {

using model::FailureClass;

void Launch(World& world, LaunchCampaign launch = World::Campaign(20)) {
  world.Step(std::move(launch));
  world.AnswerRefills();
}

TEST(Indices, AParkedPollIsServedOnceItsWorkerCanRunTheWork) {
  World world;
  LaunchCampaign launch = World::Campaign(10);
  launch.campaign.settings.numeric_mode = "bf16";
  Launch(world, std::move(launch));
  world.Hello("w", 1);
  const uint64_t token = world.Park("w");
  model::WorkerRecord worker = MakeWorker("w", 1);
  worker.numeric_modes.push_back("bf16");
  world.Step(WorkerHello{0, worker, {}});
  EXPECT_TRUE(world.Granted(token));
}

TEST(Indices, AParkedPollIsServedWhenItsCampaignGoesOn) {
  World world;
  Launch(world);
  world.Hello("w", 1);
  world.Step(CommandCampaign{0, "ada", 1, CampaignVerb::kPause});
  const uint64_t token = world.Park("w");
  world.Step(CommandCampaign{0, "ada", 1, CampaignVerb::kResume});
  EXPECT_TRUE(world.Granted(token));
}

TEST(Indices, AParkedPollIsServedWhenTheProbeHasSettledTheFidelity) {
  World world;
  LaunchCampaign launch = World::Campaign(10);
  launch.campaign.settings.epochs = 0;
  Launch(world, std::move(launch));
  world.Hello("w", 2);
  const auto probe = world.Poll("w", 0);
  const uint64_t token = world.Park("w", 1);
  world.Report("w", world.Success(*probe, 0.5));
  EXPECT_TRUE(world.Granted(token));
}

TEST(Indices, WhatCrashedOnAHostRunsThereAgainWhenTheOtherHostIsForgotten) {
  World world;
  Launch(world, World::Campaign(1));
  world.Hello("w", 1, "h1");
  world.Hello("v", 1, "h2");
  const auto lease = world.Poll("w");
  world.Report("w", world.Failed(*lease, FailureClass::kTrainerCrash, "signal 11"));
  const uint64_t token = world.Park("w");
  world.Pass(119'000);
  EXPECT_FALSE(world.Answer(token)) << "host h2 may still take it";
  world.Pass(2'000);
  EXPECT_TRUE(world.Granted(token));
}

TEST(Indices, OlderPollsComeFirst) {
  World world;
  world.Hello("w", 1);
  world.Hello("v", 1);
  world.Hello("u", 1);
  const uint64_t first = world.Park("w"), second = world.Park("v"), third = world.Park("u");
  world.Step(World::Campaign(2));
  world.AnswerRefills();
  EXPECT_TRUE(world.Granted(first));
  EXPECT_TRUE(world.Granted(second));
  EXPECT_FALSE(world.Answer(third));
}

// Everything that moves trials, attempts, polls, workers and campaigns, in random order.
TEST(Indices, HoldAfterAnySequenceOfEvents) {
  constexpr FailureClass kClasses[] = {FailureClass::kPreempted, FailureClass::kOutOfMemory,
                                       FailureClass::kDiverged,  FailureClass::kTrainerCrash,
                                       FailureClass::kTimeout,   FailureClass::kData,
                                       FailureClass::kWorkerLost};
  Rng rng(7);
  World world;
  std::vector<std::pair<std::string, Lease>> leases;
  int64_t campaigns = 0, accepted = 0;
  const auto below = [&](uint64_t n) { return static_cast<int64_t>(rng.Below(n)); };
  const auto worker = [&] { return "w" + std::to_string(below(6)); };
  for (int step = 0; step < 4'000; ++step) {
    switch (below(14)) {
      case 0: {
        if (campaigns >= 40) break;
        LaunchCampaign launch = World::Campaign(3 + below(12), below(2) * 2);
        launch.campaign.name = "c" + std::to_string(++campaigns);
        launch.campaign.project = "p" + std::to_string(below(3));
        launch.campaign.settings.priority = 1 + below(20);
        launch.campaign.settings.strict = below(3) == 0;
        launch.campaign.settings.epochs = below(2);
        if (below(3) == 0) launch.campaign.settings.numeric_mode = "bf16";
        if (below(3) == 0) launch.campaign.settings.budget_duration_ms = 200'000;
        if (below(3) == 0) launch.campaign.settings.budget_device_ms = 20'000;
        Launch(world, std::move(launch));
        break;
      }
      case 1: {
        model::WorkerRecord record = MakeWorker(worker(), 1 + below(3), "h" + std::to_string(below(3)));
        record.memory_bytes = below(3) * 1'000;
        record.trainer_build = "b" + std::to_string(below(2));
        if (below(2) == 0) record.numeric_modes.push_back("bf16");
        world.Step(WorkerHello{0, record, {}});
        world.AnswerRefills();
        break;
      }
      case 2:
        world.Pass(below(4) == 0 ? 40'000 + below(100'000) : below(2'000));
        break;
      case 3:
        world.Step(CommandCampaign{0, "ada", 1 + below(40),
                                   below(6) == 0   ? CampaignVerb::kCancel
                                   : below(3) == 0 ? CampaignVerb::kPause
                                                   : CampaignVerb::kResume});
        world.AnswerRefills();
        break;
      case 4:
      case 5:
      case 6:
      case 7: {
        const std::string id = worker();
        const auto lease = world.TryPoll(id, below(3));
        if (lease) leases.emplace_back(id, *lease);
        break;
      }
      case 8:
        world.Step(
            DrainWorker{0, "ada", MakeWorker(worker(), 1, "h" + std::to_string(below(3))), below(3) > 0, ""});
        world.AnswerRefills();
        break;
      case 9: {
        WorkerHeartbeat heartbeat{0, worker(), {}, {}};
        if (below(3) > 0) heartbeat.remaining_ms = below(5'000);
        world.Step(std::move(heartbeat));
        world.AnswerRefills();
        break;
      }
      default: {
        if (leases.empty()) break;
        const auto entry = leases.begin() + below(static_cast<uint64_t>(leases.size()));
        const auto [id, lease] = *entry;
        if (below(4) > 0) leases.erase(entry);
        AttemptOutcome outcome = world.Success(lease, static_cast<double>(below(1000)) / 1000);
        outcome.cost.allocated_ms = below(10'000);
        if (below(3) == 0) outcome = world.Failed(lease, kClasses[below(7)], "it " + std::to_string(step));
        accepted += world.TryReport(id, std::move(outcome)) == OutcomeVerdict::kAccepted;
        break;
      }
    }
    ASSERT_FALSE(HasFailure()) << "after step " << step;
  }
  EXPECT_GT(accepted, 200) << "too little happened";
}

}  // namespace
}  // namespace canopy::controller
