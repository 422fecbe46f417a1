#include <functional>
#include <memory>
#include <string>

#include "gtest/gtest.h"
#include "storage/reader.h"
#include "storage/sqlite_trial_store.h"
#include "storage/testing/sample_records.h"

namespace canopy::storage {
namespace {

using testing::AddCompletedTrial;
using testing::SampleAttempt;
using testing::SampleResult;
using testing::SampleTrial;

// A database with a running campaign.
class RungReportsTest : public ::testing::Test {
 protected:
  Status Write(const std::function<Status()>& body) { return store_->Transaction(body); }
  void Reopen() {
    store_.reset();
    auto store = SqliteTrialStore::Open(path_);
    ASSERT_TRUE(store.ok()) << store.status();
    store_ = *std::move(store);
  }
  TrialStore::LiveRows Live() {
    auto live = store_->LoadLiveCampaigns();
    EXPECT_TRUE(live.ok()) << live.status();
    return live->at(0);
  }

  testing::TemporaryDirectory directory_;
  const std::string path_ = directory_.File("canopy.db");
  std::unique_ptr<TrialStore> store_ = testing::StoreWithCampaign(path_);
};

TEST_F(RungReportsTest, RungReportsAreWrittenOnceAndFoundInTheOrderOfTheirEvents) {
  model::RungReportRecord late{.trial_id = 1,
                               .rung = 1,
                               .campaign_id = 1,
                               .attempt_id = 1,
                               .fence = 101,
                               .epoch = 4,
                               .objective = 0.5,
                               .metrics = {{"val_accuracy", 0.5}},
                               .action = model::RungAction::kContinue,
                               .event_seq = 9,
                               .received_us = 3};
  model::RungReportRecord newest = late;
  newest.rung = 2;
  newest.objective.reset();
  newest.action = model::RungAction::kStop;
  newest.event_seq = 8;
  model::TrialRecord trial = SampleTrial(1);
  ASSERT_TRUE(Write([&]() -> Status {
                CANOPY_RETURN_IF_ERROR(store_->InsertTrial(trial));
                CANOPY_RETURN_IF_ERROR(store_->InsertAttempt(SampleAttempt(1, 1)));
                CANOPY_RETURN_IF_ERROR(store_->InsertRungReport(newest));
                CANOPY_RETURN_IF_ERROR(store_->InsertRungReport(late));
                trial.rung = 2;
                return store_->UpdateTrial(trial);
              }).ok());
  EXPECT_EQ(Write([&] { return store_->InsertRungReport(late); }).code(), absl::StatusCode::kAlreadyExists);
  Reopen();
  const TrialStore::LiveRows live = Live();
  ASSERT_EQ(live.reports.size(), 1u);
  EXPECT_EQ(live.reports[0].rung, 2);
  ASSERT_EQ(live.rung_scores.size(), 2u);
  EXPECT_EQ(live.rung_scores[0].rung, 2);
  EXPECT_FALSE(live.rung_scores[0].objective);
  EXPECT_EQ(live.rung_scores[1].objective, 0.5);
  const auto found = store_->FindRungReport(1, 1);
  ASSERT_TRUE(found.ok() && *found);
  EXPECT_EQ((*found)->metrics, late.metrics);
  EXPECT_EQ((*found)->fence, 101);
  EXPECT_FALSE(store_->FindRungReport(1, 3)->has_value());
}

TEST_F(RungReportsTest, WhatWasStoppedAtARungIsNotAmongTheBest) {
  ASSERT_TRUE(AddCompletedTrial(*store_, 1, 0.5).ok());
  model::TrialRecord trial = SampleTrial(2);
  model::AttemptRecord attempt = SampleAttempt(2, 2);
  model::ResultRecord result = SampleResult(attempt, 2, 0.9);
  result.rung = 1;
  ASSERT_TRUE(Write([&]() -> Status {
                CANOPY_RETURN_IF_ERROR(store_->InsertTrial(trial));
                CANOPY_RETURN_IF_ERROR(store_->InsertAttempt(attempt));
                return store_->InsertResult(result);
              }).ok());
  const TrialStore::LiveRows live = Live();
  ASSERT_EQ(live.best.size(), 1u);
  EXPECT_EQ(live.best[0].trial.id, 1);
  const auto reader = Reader::Open(path_);
  ASSERT_TRUE(reader.ok());
  EXPECT_EQ((*reader)->Best(1, 5)->size(), 1u);
}

}  // namespace
}  // namespace canopy::storage
