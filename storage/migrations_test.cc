#include "storage/migrations.h"

#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "base/file.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "storage/sqlite_trial_store.h"
#include "storage/testing/sample_records.h"

namespace canopy::storage {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr Migration kFirst{1, "001_first",
                           "CREATE TABLE note (text TEXT) STRICT; INSERT INTO note VALUES ('kept')"};
constexpr Migration kSecond{2, "002_second", "ALTER TABLE note ADD COLUMN stars INTEGER"};

class MigrationsTest : public ::testing::Test {
 protected:
  Status Migrated(std::vector<Migration> migrations) {
    auto database = Database::Open(path_, Database::Mode::kCreate);
    if (!database.ok()) return database.status();
    return Migrate(**database, path_, directory_.File("backups"), migrations);
  }
  int64_t Count(const std::string& path, const std::string& sql) {
    auto database = Database::Open(path, Database::Mode::kReadOnly);
    EXPECT_TRUE(database.ok()) << database.status();
    const auto count = (*database)->QueryInt(sql);
    return count.ok() ? *count : -1;
  }

  testing::TemporaryDirectory directory_;
  const std::string path_ = directory_.File("canopy.db");
};

TEST_F(MigrationsTest, OlderDatabaseIsBackedUpThenMigrated) {
  ASSERT_TRUE(Migrated({kFirst}).ok());
  EXPECT_FALSE(FileExists(directory_.File("backups"))) << "a new database has nothing to lose";
  ASSERT_TRUE(Migrated({kFirst, kSecond}).ok());
  EXPECT_EQ(Count(path_, "SELECT COUNT(*) FROM note WHERE text = 'kept' AND stars IS NULL"), 1);
  const std::string backup = directory_.File("backups/canopy-v1.db");
  EXPECT_EQ(Count(backup, "SELECT COUNT(*) FROM note WHERE text = 'kept'"), 1);
  EXPECT_EQ(Count(backup, "PRAGMA user_version"), 1);
}

TEST_F(MigrationsTest, FailedMigrationLeavesTheVersionBefore) {
  ASSERT_TRUE(Migrated({kFirst}).ok());
  const Migration broken{2, "002_broken", "INSERT INTO note VALUES ('half'); SELECT nonsense FROM nowhere"};
  const Status status = Migrated({kFirst, broken});
  EXPECT_THAT(Message(status), HasSubstr("002_broken"));
  EXPECT_EQ(Count(path_, "PRAGMA user_version"), 1);
  EXPECT_EQ(Count(path_, "SELECT COUNT(*) FROM note"), 1);
}

TEST_F(MigrationsTest, NewerSchemaIsRefusedNamingVersionsAndRemedy) {
  ASSERT_TRUE(Migrated({kFirst, kSecond}).ok());
  const Status status = Migrated({kFirst});
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(Message(status),
              AllOf(HasSubstr("schema version 2"), HasSubstr("up to 1"), HasSubstr("newer canopy")));
}

TEST_F(MigrationsTest, FilesOfOthersAreRefused) {
  {
    auto other = Database::Open(path_, Database::Mode::kCreate);
    ASSERT_TRUE((*other)->RunScript("CREATE TABLE theirs (x)").ok());
  }
  EXPECT_THAT(Message(Migrated({kFirst})), HasSubstr("another program's"));
  std::ofstream(directory_.File("text.db"))
      << "this is no database, whatever its name says, and is long enough "
         "to be taken for one if nobody looks at its first bytes at all.";
  const auto store = SqliteTrialStore::Open(directory_.File("text.db"));
  EXPECT_EQ(store.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(Message(store.status()), HasSubstr("is not an SQLite database"));
}

// Adds a row whose columns hold 1 or 'x', but for those in `values`.
Status AddRow(Database& database, const std::string& table,
              const std::map<std::string, std::string>& values) {
  std::string names, row;
  auto columns = database.Query("SELECT name, type FROM pragma_table_info(?)", {table});
  if (!columns.ok()) return columns.status();
  while (*columns->Next()) {
    const std::string name = columns->Text(0);
    const auto given = values.find(name);
    names += (names.empty() ? "" : ", ") + name;
    row += (row.empty() ? "" : ", ") + (given != values.end()        ? given->second
                                        : columns->Text(1) == "TEXT" ? "'x'"
                                                                     : "1");
  }
  return database.RunScript("INSERT INTO " + table + " (" + names + ") VALUES (" + row + ")");
}

TEST_F(MigrationsTest, ADatabaseFromBeforeSpaceVersionsKeepsItsTrials) {
  ASSERT_TRUE(Migrated({Migrations()[0]}).ok());
  {
    auto opened = Database::Open(path_, Database::Mode::kReadWrite);
    ASSERT_TRUE(opened.ok()) << opened.status();
    Database& database = **opened;
    ASSERT_TRUE(
        database.RunScript("INSERT INTO meta VALUES ('database_id', 'id'), ('incarnation', '1')").ok());
    ASSERT_TRUE(AddRow(database, "candidate", {}).ok());
    ASSERT_TRUE(AddRow(database, "campaign",
                       {{"project", "'default'"},
                        {"name", "'old'"},
                        {"state", "'RUNNING'"},
                        {"objective_goal", "'maximize'"},
                        {"duplicates", "'cached'"},
                        {"constraints_json", "'[\"depth > 1\"]'"},
                        {"input_shape_json", "'[1]'"},
                        {"seed", "'1'"},
                        {"validation_seed", "'1'"},
                        {"winner_trial_id", "NULL"}})
                    .ok());
    ASSERT_TRUE(
        AddRow(database, "event", {{"seq", "5"}, {"kind", "'campaign_launched'"}, {"principal", "'ada'"}})
            .ok());
    ASSERT_TRUE(AddRow(database, "trial",
                       {{"purpose", "'SEARCH'"},
                        {"replicate", "0"},
                        {"state", "'PENDING'"},
                        {"failure", "NULL"},
                        {"crash_hosts_json", "'[]'"},
                        {"parent_trial_id", "NULL"}})
                    .ok());
    ASSERT_TRUE(
        database
            .RunScript("CREATE TABLE campaign_1_values (trial_id INTEGER PRIMARY KEY REFERENCES trial "
                       "(id), width INTEGER) STRICT; INSERT INTO campaign_1_values VALUES (1, 8); "
                       "INSERT INTO campaign_column VALUES (1, 0, 'width', 'decision', 'INTEGER'); "
                       "CREATE VIEW default__old AS SELECT t.number AS trial FROM trial t")
            .ok());
  }
  const auto store = SqliteTrialStore::Open(path_);
  ASSERT_TRUE(store.ok()) << store.status();
  EXPECT_EQ(Count(directory_.File("backups/canopy-v1.db"), "PRAGMA user_version"), 1);
  const auto live = (*store)->LoadLiveCampaigns();
  ASSERT_TRUE(live.ok()) << live.status();
  ASSERT_EQ(live->at(0).trials.size(), 1u);
  EXPECT_EQ(live->at(0).trials[0].space_version, 1);
  EXPECT_EQ(live->at(0).search_trials, 1);
  EXPECT_EQ(Count(path_, "SELECT COUNT(*) FROM pragma_foreign_key_check"), 0);
  EXPECT_EQ(Count(path_, "SELECT width FROM default__old WHERE space_version = 1 AND set_aside IS NULL"), 8);
  EXPECT_EQ(Count(path_,
                  "SELECT COUNT(*) FROM space_version WHERE version = 1 AND event_seq = 5 AND principal "
                  "= 'ada' AND constraints_json = '[\"depth > 1\"]' AND space_text = 'x'"),
            1);
  EXPECT_EQ(Count(path_,
                  "SELECT COUNT(*) FROM sqlite_schema WHERE tbl_name = 'trial' AND name IN ('trial_live', "
                  "'trial_purpose', 'trial_failed', 'trial_count_insert', 'trial_count_update')"),
            5);
}

TEST_F(MigrationsTest, EmbeddedMigrationsAreNumberedFromOne) {
  ASSERT_FALSE(Migrations().empty());
  for (size_t i = 0; i < Migrations().size(); ++i)
    EXPECT_EQ(Migrations()[i].version, static_cast<int64_t>(i) + 1);
}

}  // namespace
}  // namespace canopy::storage
