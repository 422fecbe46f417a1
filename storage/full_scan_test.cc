#include <sqlite3.h>

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "storage/reader.h"
#include "storage/sqlite_trial_store.h"
#include "storage/testing/sample_records.h"

// What the controller does at every result, and at its start, costs the same at a thousand trials and at ten
// million: none of its statements reads a table from end to end.
namespace canopy::storage {
namespace {

using namespace canopy::storage::testing;  // NOLINT: the sample records

sqlite3* connection = nullptr;

int Capture(sqlite3* opened, const char**, const sqlite3_api_routines*) {
  connection = opened;
  return SQLITE_OK;
}

// Statements of the newest connection that stepped through a whole table since they were asked last.
std::vector<std::string> FullScans() {
  std::vector<std::string> scans;
  for (sqlite3_stmt* statement = sqlite3_next_stmt(connection, nullptr); statement != nullptr;
       statement = sqlite3_next_stmt(connection, statement))
    if (sqlite3_stmt_status(statement, SQLITE_STMTSTATUS_FULLSCAN_STEP, /*resetFlg=*/1) > 0)
      scans.emplace_back(sqlite3_sql(statement));
  return scans;
}

TEST(FullScan, NoStatementOfAResultARestartOrAHelloReadsAWholeTable) {
  const auto extension = reinterpret_cast<void (*)()>(&Capture);
  ASSERT_EQ(sqlite3_auto_extension(extension), SQLITE_OK);
  const TemporaryDirectory folder;
  const std::unique_ptr<TrialStore> store = StoreWithCampaign(folder.File("canopy.db"));
  for (int id = 1; id <= 30; ++id) ASSERT_TRUE(AddCompletedTrial(*store, id, 0.01 * id).ok());
  FullScans();

  for (int id = 31; id <= 60; ++id) ASSERT_TRUE(AddCompletedTrial(*store, id, 0.01 * id).ok());
  EXPECT_THAT(FullScans(), ::testing::IsEmpty()) << "at each result";

  model::TrialRecord waiting = SampleTrial(61), final = SampleTrial(62);
  waiting.last_attempt_id = 61;
  model::AttemptRecord expired = SampleAttempt(61, 61);
  expired.state = model::AttemptState::kExpired;
  final.purpose = model::Purpose::kFinal;
  ASSERT_TRUE(store
                  ->Transaction([&]() -> Status {
                    CANOPY_RETURN_IF_ERROR(store->InsertTrial(waiting));
                    CANOPY_RETURN_IF_ERROR(store->InsertAttempt(expired));
                    CANOPY_RETURN_IF_ERROR(store->UpdateTrial(waiting));
                    return store->InsertTrial(final);
                  })
                  .ok());
  FullScans();
  ASSERT_TRUE(store->LoadLiveCampaigns().ok());
  ASSERT_TRUE(store->FindOutcome("w", 1, "r").ok());
  ASSERT_TRUE(store->HasOutcome(1, "w", "r").ok());
  ASSERT_TRUE(store->LoadProposer(1, 60).ok());
  EXPECT_THAT(FullScans(), ::testing::IsEmpty()) << "at the start";
  ASSERT_TRUE(store->Transaction([&] { return store->UpsertWorker(SampleWorker()); }).ok());
  EXPECT_THAT(FullScans(), ::testing::IsEmpty()) << "at the Hello of a worker that has attempts";
  sqlite3_cancel_auto_extension(extension);
}

// Rows that the newest connection's statements stepped through because no index led to them.
int64_t ScannedRows() {
  int64_t rows = 0;
  for (sqlite3_stmt* statement = sqlite3_next_stmt(connection, nullptr); statement != nullptr;
       statement = sqlite3_next_stmt(connection, statement))
    rows += sqlite3_stmt_status(statement, SQLITE_STMTSTATUS_FULLSCAN_STEP, /*resetFlg=*/1);
  return rows;
}

TEST(FullScan, AStartReadsTheSchemaOnceHoweverManyCampaignsThereAre) {
  constexpr int kCampaigns = 60;
  const TemporaryDirectory folder;
  {
    const std::unique_ptr<TrialStore> store = StoreWithCampaign(folder.File("canopy.db"));
    ASSERT_TRUE(store
                    ->Transaction([&]() -> Status {
                      for (int id = 2; id <= kCampaigns; ++id)
                        CANOPY_RETURN_IF_ERROR(store->InsertCampaign(
                            SampleCampaign(id, "c" + std::to_string(id)), SampleProgress(),
                            SampleCandidate(50), SampleDecisions(), SampleMetrics()));
                      return {};
                    })
                    .ok());
  }
  const auto extension = reinterpret_cast<void (*)()>(&Capture);
  ASSERT_EQ(sqlite3_auto_extension(extension), SQLITE_OK);
  const auto store = SqliteTrialStore::Open(folder.File("canopy.db"));
  sqlite3_cancel_auto_extension(extension);
  ASSERT_TRUE(store.ok());
  const int64_t rows = ScannedRows();
  EXPECT_GT(rows, kCampaigns) << "the schema has been read";
  EXPECT_LT(rows, 10 * kCampaigns);
}

TEST(FullScan, APageOfTrialsIsNotSorted) {
  const TemporaryDirectory folder;
  const std::unique_ptr<TrialStore> store = StoreWithCampaign(folder.File("canopy.db"));
  for (int id = 1; id <= 30; ++id) ASSERT_TRUE(AddCompletedTrial(*store, id, 0.01 * id).ok());
  const auto extension = reinterpret_cast<void (*)()>(&Capture);
  ASSERT_EQ(sqlite3_auto_extension(extension), SQLITE_OK);
  const auto reader = *Reader::Open(folder.File("canopy.db"));
  sqlite3_cancel_auto_extension(extension);
  const auto page = reader->Trials(1, {}, 10, 5);
  ASSERT_EQ(page->trials.size(), 5u);
  EXPECT_EQ(page->trials[0].trial.id, 11);
  int statements = 0;
  for (sqlite3_stmt* statement = sqlite3_next_stmt(connection, nullptr); statement != nullptr;
       statement = sqlite3_next_stmt(connection, statement), ++statements)
    EXPECT_EQ(sqlite3_stmt_status(statement, SQLITE_STMTSTATUS_SORT, 0), 0) << sqlite3_sql(statement);
  EXPECT_GT(statements, 0);
}

// How SQLite runs the statement, a line for each step.
std::string PlanOf(const std::string& sql) {
  sqlite3_stmt* statement = nullptr;
  EXPECT_EQ(sqlite3_prepare_v2(connection, ("EXPLAIN QUERY PLAN " + sql).c_str(), -1, &statement, nullptr),
            SQLITE_OK);
  std::string plan;
  while (sqlite3_step(statement) == SQLITE_ROW)
    plan += std::string(reinterpret_cast<const char*>(sqlite3_column_text(statement, 3))) + "\n";
  sqlite3_finalize(statement);
  return plan;
}

// The plans of the newest connection's statements that have `text`.
std::vector<std::string> PlansOfStatementsWith(const std::string& text) {
  std::vector<std::string> statements;
  for (sqlite3_stmt* statement = sqlite3_next_stmt(connection, nullptr); statement != nullptr;
       statement = sqlite3_next_stmt(connection, statement))
    if (std::string sql = sqlite3_sql(statement); sql.find(text) != std::string::npos)
      statements.push_back(std::move(sql));
  std::vector<std::string> plans;
  for (const std::string& sql : statements) plans.push_back(PlanOf(sql));
  return plans;
}

// A ranking skips what is set aside, and a restart reads all reports at rungs: neither may read the rows.
TEST(FullScan, RankingsAndRungScoresAreReadFromIndices) {
  using ::testing::Each;
  using ::testing::HasSubstr;
  using ::testing::SizeIs;
  const auto extension = reinterpret_cast<void (*)()>(&Capture);
  ASSERT_EQ(sqlite3_auto_extension(extension), SQLITE_OK);
  const TemporaryDirectory folder;
  const std::unique_ptr<TrialStore> store = StoreWithCampaign(folder.File("canopy.db"));
  for (int id = 1; id <= 3; ++id) ASSERT_TRUE(AddCompletedTrial(*store, id, 0.1 * id).ok());
  ASSERT_TRUE(store->LoadLiveCampaigns().ok());
  const std::vector<model::SetAside> set_aside = {{3, "gone"}};
  ASSERT_TRUE(store->LoadBest(SampleCampaign(1), &set_aside).ok());
  EXPECT_THAT(PlansOfStatementsWith("SELECT r.trial_id FROM result r"),
              ::testing::AllOf(SizeIs(2), Each(HasSubstr("SEARCH r USING COVERING INDEX result_ranked"))));
  EXPECT_THAT(PlansOfStatementsWith("SELECT r.trial_id FROM result r"), Each(HasSubstr("skipped=?")));
  EXPECT_THAT(PlansOfStatementsWith("FROM rung_report WHERE"),
              ::testing::AllOf(SizeIs(1), Each(HasSubstr("USING COVERING INDEX rung_report_score"))));
  const auto reader = *Reader::Open(folder.File("canopy.db"));
  sqlite3_cancel_auto_extension(extension);
  ASSERT_EQ(reader->Best(1, 2)->size(), 2u);
  EXPECT_THAT(PlansOfStatementsWith("SELECT r.trial_id FROM result r"),
              ::testing::AllOf(SizeIs(1), Each(HasSubstr("SEARCH r USING COVERING INDEX result_ranked"))));
  ASSERT_TRUE(reader->SpaceVersions(1).ok());
  EXPECT_THAT(PlansOfStatementsWith("FROM space_version"),
              ::testing::AllOf(SizeIs(1), Each(::testing::Not(HasSubstr("trial")))))
      << "versions count nothing";
}

}  // namespace
}  // namespace canopy::storage
