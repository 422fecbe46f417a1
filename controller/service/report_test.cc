#include "controller/service/report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "base/file.h"
#include "storage/testing/sample_records.h"

namespace canopy::controller {
namespace {

using storage::testing::AddCompletedTrial;
using ::testing::HasSubstr;

// A campaign with two finals' seeds whose finals are written by the test.
class ReportTest : public ::testing::Test {
 protected:
  void AddFinal(int64_t id, int64_t parent_id, int64_t replicate, double objective) {
    model::TrialRecord trial = storage::testing::SampleTrial(id);
    trial.candidate = storage::testing::SampleCandidate(static_cast<int>(parent_id));
    trial.purpose = model::Purpose::kFinal;
    trial.parent_trial_id = parent_id;
    trial.replicate = replicate;
    const model::AttemptRecord attempt = storage::testing::SampleAttempt(id, id);
    const Status status = store_->Transaction([&]() -> Status {
      CANOPY_RETURN_IF_ERROR(store_->InsertTrial(trial));
      CANOPY_RETURN_IF_ERROR(store_->InsertAttempt(attempt));
      CANOPY_RETURN_IF_ERROR(store_->InsertResult(storage::testing::SampleResult(attempt, id, objective)));
      trial.state = model::TrialState::kCompleted;
      return store_->UpdateTrial(trial);
    });
    ASSERT_TRUE(status.ok()) << status;
  }
  v1::CampaignReport Report(const std::string& database_id) {
    const auto reader = *storage::Reader::Open(path_);
    auto report = BuildReport(*reader, *reader->Campaign("1"), database_id);
    EXPECT_TRUE(report.ok()) << report.status();
    return *std::move(report);
  }

  storage::testing::TemporaryDirectory folder_;
  const std::string path_ = folder_.File("canopy.db");
  std::unique_ptr<storage::TrialStore> store_ = storage::testing::StoreWithCampaign(path_);
};

TEST_F(ReportTest, AMeanOverFewerSeedsStandsBelow) {
  ASSERT_TRUE(AddCompletedTrial(*store_, 1, 0.5).ok());
  ASSERT_TRUE(AddCompletedTrial(*store_, 2, 0.5).ok());
  AddFinal(3, 1, 1, 0.6);
  AddFinal(4, 1, 2, 0.6);
  AddFinal(5, 2, 1, 0.9);
  const v1::CampaignReport report = Report("a");
  ASSERT_EQ(report.finalists_size(), 2);
  EXPECT_EQ(report.finalists(0).trial(), "fashion-macro/1");
  EXPECT_THAT(report.result_json(), HasSubstr("\"useful_device_ms\": 240,")) << "of the two searched trials";
}

TEST_F(ReportTest, AnotherDatabasesResultIsReplacedAndOnesOwnKept) {
  const model::CampaignRecord campaign = storage::testing::SampleCampaign(1);
  const std::string state_dir = folder_.File("state");
  const auto path = WriteResult(state_dir, campaign, Report("first"));
  ASSERT_TRUE(path.ok()) << path.status();
  ASSERT_TRUE(WriteResult(state_dir, campaign, Report("second")).ok());
  EXPECT_THAT(*ReadFile(*path), HasSubstr("\"database_id\": \"second\""));
  v1::CampaignReport changed = Report("second");
  changed.set_result_json("{\"database_id\": \"second\", \"campaign_id\": 1}");
  ASSERT_TRUE(WriteResult(state_dir, campaign, changed).ok());
  EXPECT_THAT(*ReadFile(*path), HasSubstr("sentence"));
}

}  // namespace
}  // namespace canopy::controller
