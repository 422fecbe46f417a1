#include <gtest/gtest.h>

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "controller/core/core_fixture.h"

namespace canopy::controller {
namespace {

// Campaigns that share workers; what each is given is counted by its name.
class SharesTest : public ::testing::Test {
 protected:
  explicit SharesTest(std::map<std::string, int64_t> shares = {{"big", 3}}) {
    CoreLimits limits;
    limits.project_shares = std::move(shares);
    world_.emplace(World::Empty(), limits);
  }
  void Launch(const std::string& name, const std::string& project, int64_t priority = 10,
              const model::Placement& placement = {}) {
    LaunchCampaign launch = World::Campaign(10'000);
    launch.campaign.name = name;
    launch.campaign.project = project;
    launch.campaign.settings.priority = priority;
    launch.campaign.settings.placement = placement;
    world_->Step(std::move(launch));
    world_->AnswerRefills();
  }
  // One slot that is given a trial after another.
  std::map<std::string, int> OneByOne(const std::string& worker, int count) {
    std::map<std::string, int> given;
    for (int i = 0; i < count; ++i) {
      const auto lease = world_->Poll(worker);
      ++given[lease->campaign.name];
      world_->Report(worker, world_->Success(*lease, 0.5));
    }
    return given;
  }
  // Slots that are all taken at once.
  std::map<std::string, int> AtOnce(const std::string& worker, int slots) {
    std::map<std::string, int> given;
    for (int slot = 0; slot < slots; ++slot)
      if (const auto lease = world_->Poll(worker, slot)) ++given[lease->campaign.name];
    return given;
  }

  std::optional<World> world_;
};

using Given = std::map<std::string, int>;

TEST_F(SharesTest, CampaignsOfOneProjectTakeTurnsOnASingleSlot) {
  Launch("a", "p");
  Launch("b", "p");
  Launch("c", "p");
  world_->Hello("w", 1);
  EXPECT_EQ(OneByOne("w", 30), (Given{{"a", 10}, {"b", 10}, {"c", 10}}));
}

TEST_F(SharesTest, PriorityIsAProportionAndNobodyStarves) {
  Launch("a", "p", 30);
  Launch("b", "p", 10);
  world_->Hello("w", 1);
  EXPECT_EQ(OneByOne("w", 40), (Given{{"a", 30}, {"b", 10}}));
}

TEST_F(SharesTest, SlotsAtOnceAreSharedAlike) {
  Launch("a", "p", 30);
  Launch("b", "p", 10);
  world_->Hello("w", 8);
  EXPECT_EQ(AtOnce("w", 8), (Given{{"a", 6}, {"b", 2}}));
}

TEST_F(SharesTest, AProjectsShareIsItsOwnHoweverManyCampaignsItHas) {
  for (const char* name : {"a", "b", "c", "d"}) Launch(name, "crowd");
  Launch("e", "lone");
  world_->Hello("w", 1);
  const Given given = OneByOne("w", 80);
  EXPECT_EQ(given.at("e"), 40);
  EXPECT_EQ(given.at("a"), 10);
}

TEST_F(SharesTest, AProjectWithALargerShareGetsMore) {
  Launch("a", "big");
  Launch("b", "small");
  world_->Hello("w", 8);
  EXPECT_EQ(AtOnce("w", 8), (Given{{"a", 6}, {"b", 2}}));
}

TEST_F(SharesTest, AProjectThatRunsNothingGoesFirst) {
  Launch("a", "p");
  world_->Hello("w", 4);
  EXPECT_EQ(AtOnce("w", 3), (Given{{"a", 3}}));
  Launch("b", "q");
  const auto lease = world_->Poll("w", 3);
  EXPECT_EQ(lease->campaign.name, "b");
}

TEST_F(SharesTest, WhoCouldRunNothingForLongIsOwedNothing) {
  model::Placement elsewhere;
  elsewhere.labels = {{"room", "other"}};
  Launch("a", "p");
  Launch("b", "p", 10, elsewhere);
  world_->Hello("w", 1);
  OneByOne("w", 50);
  model::WorkerRecord other = MakeWorker("v", 1);
  other.labels_json = R"({"room":"other"})";
  world_->Step(WorkerHello{0, other, {}});
  world_->AnswerRefills();
  const Given given = OneByOne("v", 20);
  EXPECT_EQ(given.at("a"), 10);
  EXPECT_EQ(given.at("b"), 10);
}

TEST_F(SharesTest, PlacementAsksForLabelsDeviceAndMemory) {
  model::Placement placement;
  placement.labels = {{"gpu", "a100"}};
  placement.device_kind = "cuda";
  placement.min_memory = 1'000;
  Launch("a", "p", 10, placement);
  model::WorkerRecord worker = MakeWorker("w", 1);
  const auto hello = [&] {
    world_->Step(WorkerHello{0, worker, {}});
    world_->AnswerRefills();
    return world_->Poll("w").has_value();
  };
  worker.labels_json = R"({"gpu":"v100","room":"1"})";
  worker.device_kind = "cuda";
  worker.memory_bytes = 1'000;
  EXPECT_FALSE(hello());
  worker.labels_json = R"({"gpu":"a100","room":"1"})";
  worker.device_kind = "cpu";
  EXPECT_FALSE(hello());
  worker.device_kind = "cuda";
  worker.memory_bytes = 999;
  EXPECT_FALSE(hello());
  for (int i = 0; i < 8; ++i) {
    world_->Pass(10'000);
    world_->Beat("w", {});
  }
  EXPECT_EQ(world_->core_.Campaigns(world_->now_).at(0).waiting_reason,
            "no connected worker has 1,000 bytes of memory, which the campaign's placement asks for");
  worker.memory_bytes = 1'000;
  EXPECT_TRUE(hello());
}

}  // namespace
}  // namespace canopy::controller
