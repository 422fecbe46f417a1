#include "controller/engine/restore.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/random.h"
#include "controller/core/core_fixture.h"
#include "controller/engine/apply_write.h"
#include "storage/sqlite_trial_store.h"

namespace canopy::engine {
namespace {

using controller::Lease;
using controller::World;
using model::FailureClass;
using model::Purpose;

constexpr char kSpace[] = R"(canopy: 1
name: tiny
input: {shape: [1, 8, 8], classes: 4}
network:
  - conv2d: {out_channels: {int: [1, 64], name: width}, kernel: 3}
  - global_avg_pool
  - linear: {features: classes}
)";

// A core whose writes go to a database, and the core that a restart makes of it.
class RestoreTest : public ::testing::Test {
 protected:
  RestoreTest() {
    std::filesystem::create_directories(folder_);
    store_ = *storage::SqliteTrialStore::Open(folder_ + "/canopy.db");
    world_.planned_ = {{"c1", 0}, {"c2", 0}, {"c1", 1}};
    Launch("first", "full");
  }
  void Launch(const std::string& name, const std::string& fidelity_kind) {
    controller::LaunchCampaign launch = World::Campaign(4, 2);
    launch.campaign.name = name;
    launch.campaign.settings.epochs = 3;
    launch.campaign.settings.fidelity_kind = fidelity_kind;
    launch.campaign.settings.fidelity_json = R"({"rungs": [1, 2], "group": 2, "keep": 1, "floor": 0.2})";
    launch.campaign.project = "default";
    launch.campaign.labels_json = "{}";
    launch.campaign.overrides_json = "[]";
    launch.campaign.space_text = kSpace;
    launch.campaign.space_file_name = "tiny.yaml";
    launch.campaign.settings.priority = 7;
    launch.campaign.settings.duplicates = model::DuplicatePolicy::kEvaluate;
    world_.Step(std::move(launch));
    world_.AnswerRefills();
  }
  ~RestoreTest() override {
    store_.reset();
    std::filesystem::remove_all(folder_);
  }

  // Memory and database after what has happened so far.
  void ExpectAgreement() {
    const Status status = store_->Transaction([&]() -> Status {
      for (; written_ < world_.writes().size(); ++written_)
        CANOPY_RETURN_IF_ERROR(ApplyWrite(world_.writes()[written_], *store_));
      return absl::OkStatus();
    });
    ASSERT_TRUE(status.ok()) << status;
    auto state = LoadCoreState(*store_);
    ASSERT_TRUE(state.ok()) << state.status();
    const controller::Core restored(*std::move(state), {}, controller::MakeTestSchedule, world_.now_);
    EXPECT_EQ(restored.DurableText(), world_.core_.DurableText());
  }

  const std::string folder_ = ::testing::TempDir() + "restore-" + NewUuid();
  World world_;
  size_t written_ = 0;
  std::unique_ptr<storage::TrialStore> store_;
};

TEST_F(RestoreTest, TwoSlotsThatEndInAnyOrderAreRestoredAsTheyWere) {
  world_.Hello("w", 2);
  double accuracy = 0.5;
  while (true) {
    std::vector<Lease> leases;
    for (int64_t slot = 0; slot < 2; ++slot)
      if (const auto lease = world_.Poll("w", slot)) leases.push_back(*lease);
    if (leases.empty()) break;
    ExpectAgreement();
    // The younger one ends first.
    for (; !leases.empty(); leases.pop_back()) {
      world_.now_.wall_us += 1'000;
      world_.Report("w", world_.Success(leases.back(), accuracy += 0.01));
      ExpectAgreement();
    }
  }
  EXPECT_EQ(world_.Progress().state, model::CampaignState::kCompleted);
}

TEST_F(RestoreTest, LostAndFailedAttemptsAreRestoredAsTheyWere) {
  world_.Hello("w", 2);
  const auto first = world_.Poll("w", 0), second = world_.Poll("w", 1);
  world_.Pass(60'000);
  ExpectAgreement();
  world_.Beat("w", {*first});
  ExpectAgreement();
  world_.Report("w", world_.Failed(*first, FailureClass::kTrainerCrash, "SIGSEGV"));
  ExpectAgreement();
  world_.Hello("v", 1, "h2");
  ASSERT_EQ(world_.Poll("v")->trial.id, first->trial.id);
  ExpectAgreement();
  world_.Report("w", world_.Success(*second, 0.5));
  ExpectAgreement();
}

TEST_F(RestoreTest, DrainsAreRestoredAsTheyAre) {
  world_.Hello("w", 1);
  world_.Step(controller::DrainWorker{5, "ada", controller::MakeWorker("w", 1), false, "noisy"});
  world_.Step(controller::DrainWorker{6, "ada", controller::MakeWorker("v", 1), false, ""});
  world_.Step(controller::DrainWorker{7, "ada", controller::MakeWorker("w", 1), false, "noisier"});
  ExpectAgreement();
  EXPECT_EQ(store_->LoadDrains()->size(), 2u);
  world_.Step(controller::DrainWorker{8, "ada", controller::MakeWorker("v", 1), true, ""});
  ExpectAgreement();
  EXPECT_EQ(store_->LoadDrains()->size(), 1u);
}

TEST_F(RestoreTest, WhatSpeaksAgainstDevicesIsRestored) {
  model::WorkerRecord bad = controller::MakeWorker("w", 1), good = controller::MakeWorker("v", 1);
  bad.device_uuid = "A";
  good.device_uuid = "B";
  world_.Step(controller::WorkerHello{0, bad, {}});
  world_.Step(controller::WorkerHello{0, good, {}});
  world_.AnswerRefills();
  for (int i = 0; i < 3; ++i) {
    const auto lease = world_.Poll("w");
    ASSERT_TRUE(lease);
    world_.Report("w", world_.Failed(*lease, FailureClass::kTimeout, "case " + std::string(i + 1, 'x')));
    ExpectAgreement();
    world_.Report("v", world_.Success(*world_.Poll("v"), 0.5));
    ExpectAgreement();
  }
  EXPECT_EQ(store_->LoadHealth()->at(0).blames.size(), 3u);
  EXPECT_EQ(store_->LoadDrains()->at(0).name, "A");
  world_.Step(controller::DrainWorker{8, "ada", bad, true, ""});
  ExpectAgreement();
  EXPECT_TRUE(store_->LoadHealth()->empty());
}

TEST_F(RestoreTest, ARevisedCampaignIsRestoredAsItIs) {
  world_.Hello("w", 2);
  const auto first = world_.Poll("w", 0), second = world_.Poll("w", 1);
  world_.Report("w", world_.Success(*first, 0.9));
  const auto third = world_.Poll("w", 0);
  ExpectAgreement();
  controller::ReviseCampaign revise;
  revise.campaign = LoadCoreState(*store_)->campaigns.at(0).campaign;
  revise.campaign.space_hash = "other";
  revise.campaign.settings.constraints = {"params < 100"};
  revise.campaign.settings.finals_top = 5;
  revise.reference = controller::MakeCandidate("reference");
  revise.changes_json = "[]";
  revise.new_version = true;
  revise.set_aside = {{first->trial.id, "gone"}, {third->trial.id, "gone, too"}};
  revise.next_trial_number = static_cast<int64_t>(world_.Written<controller::InsertTrial>().size()) + 1;
  revise.best = RankedOf(*store_->LoadBest(revise.campaign, &revise.set_aside.trials()));
  world_.Step(std::move(revise));
  ASSERT_EQ(world_.Events("campaign_updated").size(), 1u);
  ExpectAgreement();
  world_.AnswerRefills();
  ExpectAgreement();
  world_.Report("w", world_.Success(*third, 0.8));
  ExpectAgreement();
  world_.Report("w", world_.Success(*second, 0.5));
  ExpectAgreement();
}

TEST_F(RestoreTest, RungsAndPausesAreRestoredAsTheyAre) {
  world_.Step(controller::CommandCampaign{0, "ada", 1, controller::CampaignVerb::kCancel});
  Launch("halving", "halving");
  world_.Hello("w", 2);
  const auto take = [&](int64_t slot) { return *world_.Poll("w", slot); };
  const auto pause = [&](const Lease& lease, int64_t rung, double accuracy) {
    EXPECT_TRUE(world_.Reach(lease, rung, accuracy).ok());
    ExpectAgreement();
    world_.Report("w", world_.Segment(lease, model::SegmentEnd::kPaused, rung));
    ExpectAgreement();
  };
  const Lease a = take(0), b = take(1);
  pause(a, 1, 0.8);
  // The pause stands though the attempt is lost; what it wrote comes late.
  EXPECT_TRUE(world_.Reach(b, 1, 0.9).ok());
  world_.Pass(60'000);
  ExpectAgreement();
  world_.Report("w", world_.Segment(b, model::SegmentEnd::kPaused, 1));
  ExpectAgreement();
  EXPECT_EQ(world_.Trial(a.trial.id).state, model::TrialState::kStopped);
  const Lease on = take(0);
  EXPECT_EQ(on.trial.id, b.trial.id);
  ExpectAgreement();
  pause(on, 2, 0.91);
  // Preempted between two rungs, it leaves a checkpoint.
  const Lease left = take(0);
  controller::AttemptOutcome preempted = world_.Failed(left, FailureClass::kPreempted, "told to end");
  preempted.checkpoint = {"", "/c", "5ha", 1, 17};
  world_.Report("w", preempted);
  ExpectAgreement();
  const Lease c = take(0);
  EXPECT_EQ(c.trial.id, left.trial.id);
  EXPECT_EQ(*world_.Reach(c, 1, 0.1), model::RungAction::kStop);
  ExpectAgreement();
  world_.Report("w", world_.Segment(c, model::SegmentEnd::kStopped, 1));
  ExpectAgreement();
  // The last of the budget; whatever waits then is judged, trained on and ends.
  for (int i = 0; i < 40 && !model::IsTerminal(world_.Progress().state); ++i) {
    const auto lease = world_.Poll("w", 0);
    if (!lease) break;
    ExpectAgreement();
    if (!lease->rungs.empty() && lease->trial.rung < 2) {
      pause(*lease, lease->trial.rung + 1, 0.7);
    } else {
      world_.Report("w", world_.Success(*lease, 0.95));
      ExpectAgreement();
    }
  }
  EXPECT_EQ(world_.Progress().state, model::CampaignState::kCompleted);
}

}  // namespace
}  // namespace canopy::engine
