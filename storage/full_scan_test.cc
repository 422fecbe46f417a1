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

}  // namespace
}  // namespace canopy::storage
