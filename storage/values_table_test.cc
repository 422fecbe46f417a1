#include "storage/values_table.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "storage/database.h"
#include "storage/sqlite_trial_store.h"
#include "storage/testing/sample_records.h"

namespace canopy::storage {
namespace {

using ::testing::HasSubstr;
using Type = TrialStore::Column::Type;
using namespace canopy::storage::testing;  // NOLINT: the sample records

class ValuesTableTest : public ::testing::Test {
 protected:
  Status Launch(const std::string& project, const std::string& name,
                std::vector<TrialStore::Column> decisions = {},
                std::vector<TrialStore::Column> metrics = SampleMetrics()) {
    model::CampaignRecord campaign = SampleCampaign(next_id_++, name);
    campaign.project = project;
    return store_->Transaction(
        [&] { return store_->InsertCampaign(campaign, SampleProgress(), std::nullopt, decisions, metrics); });
  }

  TemporaryDirectory directory_;
  const std::string path_ = directory_.File("canopy.db");
  std::unique_ptr<TrialStore> store_ = StoreWithCampaign(path_);
  int64_t next_id_ = 2;
};

TEST_F(ValuesTableTest, ViewAnswersInOneLine) {
  ASSERT_TRUE(AddCompletedTrial(*store_, 1, 0.5).ok());
  ASSERT_TRUE(AddCompletedTrial(*store_, 2, 0.9).ok());
  ASSERT_TRUE(store_->Transaction([&] { return store_->InsertTrial(SampleTrial(3)); }).ok());
  auto database = Database::Open(path_, Database::Mode::kReadOnly);
  auto rows = (*database)->Query(
      "SELECT trial, val_accuracy, learning_rate, stem_kernel, width, name, state, params, epochs, worker, "
      "useful_busy_ms, wasted_busy_ms, created_at, inactive, test_accuracy FROM default__fashion_macro "
      "ORDER BY val_accuracy DESC");
  ASSERT_TRUE(rows.ok()) << rows.status();
  ASSERT_TRUE(*rows->Next());
  EXPECT_EQ(rows->Int(0), 2);
  EXPECT_EQ(rows->Real(1), 0.9);
  EXPECT_EQ(rows->Real(2), 0.25);
  EXPECT_EQ(rows->Text(3), "conv2");
  EXPECT_EQ(rows->Int(4), 2);
  EXPECT_EQ(rows->Text(5), "fashion-macro/2");
  EXPECT_EQ(rows->Text(6), "COMPLETED");
  EXPECT_EQ(rows->Int(7), 2'000);
  EXPECT_EQ(rows->Int(8), 2);
  EXPECT_EQ(rows->Text(9), "worker-1");
  EXPECT_EQ(rows->Int(10), 100);
  EXPECT_EQ(rows->Int(11), 0);
  EXPECT_EQ(rows->Text(12), "2025-10-09T08:53:20.000Z");
  EXPECT_TRUE(rows->IsNull(13));
  EXPECT_TRUE(rows->IsNull(14));
  ASSERT_TRUE(*rows->Next());
  EXPECT_EQ(rows->Int(0), 1);
  ASSERT_TRUE(*rows->Next());
  EXPECT_EQ(rows->Int(0), 3);
  EXPECT_EQ(rows->Text(6), "PENDING");
  EXPECT_TRUE(rows->IsNull(1));
}

TEST_F(ValuesTableTest, ColumnsHaveTheTypesOfTheirDecisions) {
  auto database = Database::Open(path_, Database::Mode::kReadOnly);
  EXPECT_EQ(*(*database)->QueryInt(
                "SELECT COUNT(*) FROM pragma_table_info('campaign_1_values') WHERE (name, type) IN "
                "(VALUES ('stem_kernel', 'TEXT'), ('width', 'INTEGER'), ('learning_rate', 'REAL'), "
                "('val_accuracy', 'REAL'))"),
            4);
}

TEST_F(ValuesTableTest, NamesThatAreTakenAreRefusedAndLeaveNothing) {
  EXPECT_EQ(Launch("default", "fashion-macro").code(), absl::StatusCode::kAlreadyExists);
  EXPECT_TRUE(Launch("other", "fashion-macro").ok());
  ASSERT_TRUE(Launch("a--b", "c").ok());
  const Status status = Launch("a", "b--c");
  EXPECT_EQ(status.code(), absl::StatusCode::kAlreadyExists);
  EXPECT_THAT(Message(status), HasSubstr("a__b__c"));
  EXPECT_EQ(store_->CheckNewCampaign("a", "b--c").code(), absl::StatusCode::kAlreadyExists);
  EXPECT_TRUE(store_->CheckNewCampaign("a", "c").ok());
  EXPECT_EQ(store_->LoadLiveCampaigns()->size(), 3u);
  EXPECT_FALSE(Launch("sqlite-x", "c").ok());
}

TEST_F(ValuesTableTest, CollidingColumnsAreRefused) {
  EXPECT_THAT(Message(Launch("p", "a", {{"val_loss", Type::kReal}})), HasSubstr("metric 'val_loss'"));
  EXPECT_THAT(Message(Launch("p", "b", {{"state", Type::kText}})), HasSubstr("every campaign's view"));
  EXPECT_THAT(Message(Launch("p", "c", {{"x", Type::kText}, {"x", Type::kText}})), HasSubstr("decision 'x'"));
  EXPECT_THAT(Message(Launch("p", "d", {{"a b", Type::kText}})), HasSubstr("'a b'"));
  EXPECT_TRUE(Launch("p", "e", {{"order", Type::kText}}).ok()) << "a word of SQL is a name like others";
}

TEST_F(ValuesTableTest, AChangedSpaceAddsColumnsAndWidensTypes) {
  ASSERT_TRUE(AddCompletedTrial(*store_, 2, 0.5).ok());
  const std::vector<TrialStore::Column> decisions = {{"width", Type::kReal},
                                                     {"learning_rate", Type::kText},
                                                     {"stem_kernel", Type::kInteger},
                                                     {"added", Type::kText}};
  EXPECT_TRUE(store_->CheckDecisions(1, decisions).ok());
  ASSERT_TRUE(store_
                  ->Transaction([&]() -> Status {
                    CANOPY_RETURN_IF_ERROR(
                        store_->ChangeCampaign(SampleCampaign(1), SampleCandidate(50), decisions));
                    model::TrialRecord trial = SampleTrial(3);
                    trial.candidate.candidate_json =
                        R"({"width":2.5,"learning_rate":"linear","stem_kernel":7,"added":"new"})";
                    return store_->InsertTrial(trial);
                  })
                  .ok());
  auto database = Database::Open(path_, Database::Mode::kReadOnly);
  const auto count = [&](const std::string& condition) {
    return *(*database)->QueryInt("SELECT COUNT(*) FROM default__fashion_macro WHERE " + condition);
  };
  EXPECT_EQ(count("trial = 2 AND width = 2 AND learning_rate = '0.25' AND stem_kernel = 'conv2' AND added IS "
                  "NULL AND val_accuracy = 0.5"),
            1);
  EXPECT_EQ(
      count("trial = 3 AND width = 2.5 AND learning_rate = 'linear' AND stem_kernel = '7' AND added = 'new'"),
      1);
}

TEST_F(ValuesTableTest, WhatAChangedSpaceCannotHaveIsRefused) {
  EXPECT_THAT(Message(store_->CheckDecisions(1, {{"val_loss", Type::kReal}})), HasSubstr("val_loss"));
  std::vector<TrialStore::Column> decisions;
  for (size_t i = 0; i < kMaxValueColumns - SampleMetrics().size(); ++i)
    decisions.push_back({"d" + std::to_string(i), Type::kInteger});
  EXPECT_FALSE(store_->CheckDecisions(1, decisions).ok()) << "the columns of removed decisions stay";
}

TEST_F(ValuesTableTest, AViewThatIsMissingOrAnotherReleasesIsMadeAtTheStart) {
  ASSERT_TRUE(AddCompletedTrial(*store_, 2, 0.5).ok());
  ASSERT_TRUE(Launch("p", "other", SampleDecisions()).ok());
  store_.reset();
  {
    const auto database = *Database::Open(path_, Database::Mode::kReadWrite);
    ASSERT_TRUE(database
                    ->RunScript("DROP VIEW p__other; DROP VIEW default__fashion_macro; "
                                "CREATE VIEW default__fashion_macro AS SELECT 1 AS one")
                    .ok());
  }
  store_ = *SqliteTrialStore::Open(path_);
  const auto database = *Database::Open(path_, Database::Mode::kReadOnly);
  EXPECT_EQ(*database->QueryInt("SELECT COUNT(*) FROM default__fashion_macro WHERE trial = 2"), 1);
  EXPECT_EQ(*database->QueryInt("SELECT COUNT(*) FROM p__other"), 0);
}

TEST_F(ValuesTableTest, AsManyColumnsAsDocumentedFit) {
  std::vector<TrialStore::Column> decisions;
  for (size_t i = 0; i < kMaxValueColumns - SampleMetrics().size(); ++i)
    decisions.push_back({"d" + std::to_string(i), Type::kInteger});
  EXPECT_TRUE(Launch("p", "wide", decisions).ok());
  decisions.push_back({"one_more", Type::kInteger});
  EXPECT_THAT(Message(Launch("p", "wider", decisions)), HasSubstr("1500"));
}

}  // namespace
}  // namespace canopy::storage
