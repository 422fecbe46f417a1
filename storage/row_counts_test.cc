#include <functional>
#include <memory>
#include <string>

#include "gtest/gtest.h"
#include "storage/database_check.h"
#include "storage/sqlite_trial_store.h"
#include "storage/testing/sample_records.h"

namespace canopy::storage {
namespace {

using namespace canopy::storage::testing;  // NOLINT: the sample records

// A database with a running campaign.
class RowCountsTest : public ::testing::Test {
 protected:
  Status Write(const std::function<Status()>& body) { return store_->Transaction(body); }
  TrialStore::LiveRows Live() {
    auto live = store_->LoadLiveCampaigns();
    EXPECT_TRUE(live.ok()) << live.status();
    return live->at(0);
  }

  TemporaryDirectory directory_;
  const std::string path_ = directory_.File("canopy.db");
  std::unique_ptr<TrialStore> store_ = StoreWithCampaign(path_);
};

TEST_F(RowCountsTest, CountsAreThoseOfTheRowsAfterARollbackToo) {
  ASSERT_TRUE(AddCompletedTrial(*store_, 1, 0.5).ok());
  EXPECT_FALSE(Write([&]() -> Status {
                 CANOPY_RETURN_IF_ERROR(store_->InsertTrial(SampleTrial(2)));
                 CANOPY_RETURN_IF_ERROR(store_->InsertAttempt(SampleAttempt(2, 2)));
                 return Internal("on purpose");
               }).ok());
  ASSERT_TRUE(AddCompletedTrial(*store_, 3, 0.6).ok());
  const auto checks = CheckDatabase(path_, false);
  ASSERT_TRUE(checks.ok()) << checks.status();
  int counts = 0;
  for (const CheckResult& check : *checks) {
    if (check.name.find("the counts of") == std::string::npos) continue;
    ++counts;
    EXPECT_EQ(check.violations, 0) << check.name;
  }
  EXPECT_EQ(counts, 4);
}

TEST_F(RowCountsTest, DeviceTimeIsThatOfAllAttemptsAndOfThoseThatResultsComeFrom) {
  model::AttemptRecord attempt = SampleAttempt(1, 1);
  attempt.device_share = 0.25;
  const auto end = [&](model::AttemptState state, int64_t allocated_ms) {
    attempt.state = state;
    attempt.cost.allocated_ms = allocated_ms;
    return Write([&] { return store_->UpdateAttempt(attempt); });
  };
  ASSERT_TRUE(Write([&]() -> Status {
                CANOPY_RETURN_IF_ERROR(store_->InsertTrial(SampleTrial(1)));
                return store_->InsertAttempt(attempt);
              }).ok());
  ASSERT_TRUE(end(model::AttemptState::kExpired, 1'001).ok());
  EXPECT_EQ(Live().device_ms, 501) << "two devices, a quarter of each, rounded";
  ASSERT_TRUE(end(model::AttemptState::kRunning, 0).ok());
  EXPECT_EQ(Live().device_ms, 0) << "it goes on after all";
  ASSERT_TRUE(end(model::AttemptState::kFailed, 3'000).ok());
  ASSERT_TRUE(AddCompletedTrial(*store_, 2, 0.5).ok());
  EXPECT_EQ(Live().device_ms, 1'620);
  EXPECT_EQ(Live().search_device_ms, 120);
}

}  // namespace
}  // namespace canopy::storage
