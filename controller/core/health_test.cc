#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "controller/core/core_fixture.h"

namespace canopy::controller {
namespace {

using model::DrainScope;
using model::FailureClass;
using model::TrialState;

model::WorkerRecord OnDevice(const std::string& id, const std::string& host, const std::string& device) {
  model::WorkerRecord worker = MakeWorker(id, 1, host);
  worker.device_uuid = device;
  worker.memory_bytes = 100;
  return worker;
}

// A campaign, and a worker on each of these devices.
class HealthTest : public ::testing::Test {
 protected:
  void Begin(const std::vector<std::pair<std::string, std::string>>& places,
             CoreState state = World::Empty()) {
    world_.emplace(std::move(state));
    world_->Step(World::Campaign(1'000));
    world_->AnswerRefills();
    for (const auto& [host, device] : places) Hello(OnDevice(device, host, device));
  }
  void Hello(const model::WorkerRecord& worker) {
    world_->Step(WorkerHello{0, worker, {}});
    world_->AnswerRefills();
  }
  // The trial fails on the first worker and passes on the second. False: the first is given none.
  bool FailThenPass(const std::string& bad, const std::string& good,
                    FailureClass failure = FailureClass::kTimeout) {
    const auto lease = world_->Poll(bad);
    if (!lease) return false;
    // Another signature each time: it is not the campaign that is at fault.
    world_->Report(bad, world_->Failed(*lease, failure, "case " + std::string(++cases_, 'x')));
    const auto again = world_->Poll(good);
    EXPECT_EQ(again->trial.id, lease->trial.id);
    world_->Report(good, world_->Success(*again, 0.5));
    return true;
  }
  void Pass(const std::string& worker) {
    world_->Report(worker, world_->Success(*world_->Poll(worker), 0.5));
  }
  std::vector<std::string> Drained(DrainScope scope) const {
    std::vector<std::string> names;
    for (const SaveDrain& save : world_->Written<SaveDrain>())
      if (save.drain.scope == scope) names.push_back(save.drain.name);
    return names;
  }

  std::optional<World> world_;
  size_t cases_ = 0;
};

TEST_F(HealthTest, ADeviceWhereThreeTrialsFailThatPassElsewhereIsDrained) {
  Begin({{"h1", "A"}, {"h1", "B"}});
  EXPECT_TRUE(FailThenPass("A", "B"));
  EXPECT_TRUE(FailThenPass("A", "B"));
  EXPECT_TRUE(Drained(DrainScope::kDevice).empty());
  EXPECT_TRUE(FailThenPass("A", "B"));
  EXPECT_EQ(Drained(DrainScope::kDevice), (std::vector<std::string>{"A"}));
  const auto reason = world_->Written<SaveDrain>().at(0).drain.reason;
  EXPECT_EQ(reason, "3 trials failed there that passed elsewhere: c/1, c/2, c/3");
  EXPECT_EQ(world_->Events("device_drained").size(), 1u);
  EXPECT_FALSE(world_->Poll("A"));
  EXPECT_TRUE(Drained(DrainScope::kHost).empty());
}

TEST_F(HealthTest, WhatIsTheCandidatesOrNobodysFaultCountsForNothing) {
  Begin({{"h1", "A"}, {"h1", "B"}});
  for (int i = 0; i < 5; ++i) EXPECT_TRUE(FailThenPass("A", "B", FailureClass::kPreempted));
  EXPECT_TRUE(world_->Written<SaveHealth>().empty());
}

TEST_F(HealthTest, WhatFailsEverywhereCountsForNothing) {
  Begin({{"h1", "A"}, {"h1", "B"}});
  for (int i = 0; i < 4; ++i) {
    for (const char* worker : {"A", "B"}) {
      const auto lease = world_->Poll(worker);
      world_->Report(worker,
                     world_->Failed(*lease, FailureClass::kTimeout, "case " + std::string(++cases_, 'x')));
    }
    Pass("B");
  }
  EXPECT_TRUE(Drained(DrainScope::kDevice).empty());
}

TEST_F(HealthTest, AHostIsDrainedWhenItsDevicesFailTogether) {
  Begin({{"h1", "A"}, {"h1", "B"}, {"h2", "C"}});
  EXPECT_TRUE(FailThenPass("A", "C"));
  EXPECT_TRUE(FailThenPass("B", "C"));
  EXPECT_TRUE(FailThenPass("A", "C"));
  EXPECT_EQ(Drained(DrainScope::kHost), (std::vector<std::string>{"h1"}));
  EXPECT_TRUE(Drained(DrainScope::kDevice).empty());
  EXPECT_FALSE(world_->Poll("B"));
  EXPECT_TRUE(world_->Poll("C"));
}

TEST_F(HealthTest, TheLastWorkerThatACampaignHasIsNeverDrained) {
  Begin({{"h1", "A"}, {"h1", "B"}});
  model::WorkerRecord other = OnDevice("B", "h1", "B");
  for (int i = 0; i < 5; ++i) {
    const auto lease = world_->Poll("A");
    ASSERT_TRUE(lease);
    world_->Report("A", world_->Failed(*lease, FailureClass::kTimeout, "case " + std::string(++cases_, 'x')));
    const auto again = world_->Poll("B");
    // Before it passes there, B says that it is about to lose the campaign's dataset.
    model::WorkerRecord without = other;
    without.datasets.clear();
    world_->Step(WorkerHello{0, without, {{again->attempt.id, again->attempt.fence}}});
    world_->Report("B", world_->Success(*again, 0.5));
    Hello(other);
  }
  EXPECT_TRUE(Drained(DrainScope::kDevice).empty());
  EXPECT_TRUE(world_->Poll("A"));
}

TEST_F(HealthTest, UndoingForgivesWhatSpokeAgainstTheDevice) {
  Begin({{"h1", "A"}, {"h1", "B"}});
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(FailThenPass("A", "B"));
  world_->Step(DrainWorker{7, "ada", OnDevice("A", "h1", "A"), true, ""});
  for (int i = 0; i < 2; ++i) EXPECT_TRUE(FailThenPass("A", "B"));
  EXPECT_EQ(Drained(DrainScope::kDevice).size(), 1u) << "it begins anew";
  EXPECT_TRUE(FailThenPass("A", "B"));
  EXPECT_EQ(Drained(DrainScope::kDevice).size(), 2u);
}

TEST_F(HealthTest, TrialsThatPassForgiveOldFailures) {
  Begin({{"h1", "A"}, {"h1", "B"}});
  for (int i = 0; i < 2; ++i) EXPECT_TRUE(FailThenPass("A", "B"));
  for (int i = 0; i < 50; ++i) Pass("A");
  EXPECT_TRUE(FailThenPass("A", "B"));
  EXPECT_TRUE(Drained(DrainScope::kDevice).empty()) << "one of the first two is forgiven";
  EXPECT_TRUE(FailThenPass("A", "B"));
  EXPECT_EQ(Drained(DrainScope::kDevice).size(), 1u);
}

TEST_F(HealthTest, ATrialThatRanOutOfMemoryWaitsAnHourForAWorkerWithMore) {
  Begin({{"h1", "A"}});
  model::WorkerRecord large = OnDevice("L", "h2", "L");
  large.memory_bytes = 1'000;
  Hello(large);
  const auto lease = world_->Poll("A");
  world_->Report("A", world_->Failed(*lease, FailureClass::kOutOfMemory, "too big"));
  ASSERT_EQ(world_->Trial(lease->trial.id).state, TrialState::kPending);
  // The large one leaves; the small one goes on, and others' trials with it.
  const auto wait = [&](int64_t ms) {
    for (; ms > 0; ms -= 20'000) {
      world_->Pass(20'000);
      world_->Beat("A", {});
    }
  };
  wait(40 * 60'000);
  EXPECT_EQ(world_->Trial(lease->trial.id).state, TrialState::kPending);
  const auto glance = world_->core_.Campaigns(world_->now_).at(0);
  ASSERT_EQ(glance.notices.size(), 1u);
  EXPECT_NE(glance.notices[0].find("c/1 ran out of memory and waits for a worker with more than 100 bytes"),
            std::string::npos)
      << glance.notices[0];
  wait(25 * 60'000);
  EXPECT_EQ(world_->Trial(lease->trial.id).state, TrialState::kInfeasible);
  EXPECT_EQ(world_->Trial(lease->trial.id).failure, FailureClass::kOutOfMemory);
  ASSERT_EQ(world_->Written<InsertResult>().size(), 1u);
  EXPECT_FALSE(world_->Written<InsertResult>()[0].result.feasible);
  EXPECT_TRUE(world_->core_.Campaigns(world_->now_).at(0).notices.empty());
}

TEST_F(HealthTest, ABusyWorkerWithMoreMemoryIsWaitedForAsLongAsItTakes) {
  Begin({{"h1", "A"}});
  model::WorkerRecord large = OnDevice("L", "h2", "L");
  large.memory_bytes = 1'000;
  Hello(large);
  const auto busy = world_->Poll("L");
  const auto lease = world_->Poll("A");
  world_->Report("A", world_->Failed(*lease, FailureClass::kOutOfMemory, "too big"));
  for (int i = 0; i < 200; ++i) {
    world_->Pass(20'000);
    world_->Beat("L", {*busy});
  }
  EXPECT_EQ(world_->Trial(lease->trial.id).state, TrialState::kPending);
  world_->Report("L", world_->Success(*busy, 0.5));
  EXPECT_EQ(world_->Poll("L")->trial.id, lease->trial.id);
}

}  // namespace
}  // namespace canopy::controller
