#include "storage/migrations.h"

#include <sqlite3.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <string>
#include <vector>

#include "base/file.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "storage/database_check.h"
#include "storage/sqlite_trial_store.h"
#include "storage/testing/sample_records.h"

namespace canopy::storage {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr int64_t kNowUs = 1'772'366'400'000'000;  // 2026-03-01T12:00:00Z
constexpr char kAt[] = "-20260301T120000Z.db";

constexpr Migration kFirst{1, "001_first",
                           "CREATE TABLE note (text TEXT) STRICT; INSERT INTO note VALUES ('kept')"};
constexpr Migration kSecond{2, "002_second", "ALTER TABLE note ADD COLUMN stars INTEGER"};

class MigrationsTest : public ::testing::Test {
 protected:
  Status Migrated(std::vector<Migration> migrations) {
    auto database = Database::Open(path_, Database::Mode::kCreate);
    if (!database.ok()) return database.status();
    return Migrate(**database, path_, directory_.File("backups"), migrations, kNowUs);
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
  const std::string backup = directory_.File("backups/before-migration-2" + std::string(kAt));
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

// A database of the first version with a campaign and a trial that waits.
Status MakeFirstVersion(const std::string& path) {
  auto opened = Database::Open(path, Database::Mode::kCreate);
  if (!opened.ok()) return opened.status();
  Database& database = **opened;
  CANOPY_RETURN_IF_ERROR(database.RunScript("PRAGMA journal_mode = WAL"));
  CANOPY_RETURN_IF_ERROR(Migrate(database, path, path + ".none", Migrations().first(1), kNowUs));
  CANOPY_RETURN_IF_ERROR(
      database.RunScript("INSERT INTO meta VALUES ('database_id', 'id'), ('incarnation', '1')"));
  CANOPY_RETURN_IF_ERROR(AddRow(database, "candidate", {}));
  CANOPY_RETURN_IF_ERROR(AddRow(database, "campaign",
                                {{"project", "'default'"},
                                 {"name", "'old'"},
                                 {"state", "'RUNNING'"},
                                 {"objective_goal", "'maximize'"},
                                 {"duplicates", "'cached'"},
                                 {"constraints_json", "'[\"depth > 1\"]'"},
                                 {"input_shape_json", "'[1]'"},
                                 {"seed", "'1'"},
                                 {"validation_seed", "'1'"},
                                 {"last_result_seq", "0"},
                                 {"winner_trial_id", "NULL"}}));
  CANOPY_RETURN_IF_ERROR(
      AddRow(database, "event", {{"seq", "5"}, {"kind", "'campaign_launched'"}, {"principal", "'ada'"}}));
  CANOPY_RETURN_IF_ERROR(AddRow(database, "trial",
                                {{"purpose", "'SEARCH'"},
                                 {"replicate", "0"},
                                 {"state", "'PENDING'"},
                                 {"failure", "NULL"},
                                 {"crash_hosts_json", "'[]'"},
                                 {"parent_trial_id", "NULL"}}));
  CANOPY_RETURN_IF_ERROR(AddRow(database, "worker", {{"id", "'w'"}}));
  CANOPY_RETURN_IF_ERROR(AddRow(database, "attempt",
                                {{"worker_id", "'w'"},
                                 {"state", "'FAILED'"},
                                 {"failure", "'PREEMPTED'"},
                                 {"signature_seq", "NULL"},
                                 {"allocated_ms", "101"},
                                 {"device_share", "0.5"}}));
  return database.RunScript(
      "CREATE TABLE campaign_1_values (trial_id INTEGER PRIMARY KEY REFERENCES trial (id), width INTEGER) "
      "STRICT; INSERT INTO campaign_1_values VALUES (1, 8); "
      "INSERT INTO campaign_column VALUES (1, 0, 'width', 'decision', 'INTEGER'); "
      "CREATE VIEW default__old AS SELECT t.number AS trial FROM trial t");
}

TEST_F(MigrationsTest, ADatabaseOfEveryEarlierVersionKeepsItsTrials) {
  for (size_t version = 1; version < Migrations().size(); ++version) {
    SCOPED_TRACE("from version " + std::to_string(version));
    std::filesystem::remove_all(directory_.File("backups"));
    for (const char* part : {"", "-wal", "-shm"}) std::filesystem::remove(path_ + part);
    ASSERT_TRUE(MakeFirstVersion(path_).ok());
    const auto earlier = Migrations().first(version);
    ASSERT_TRUE(Migrated({earlier.begin(), earlier.end()}).ok());
    std::filesystem::remove_all(directory_.File("backups"));
    {
      const auto store = SqliteTrialStore::Open(path_);
      ASSERT_TRUE(store.ok()) << store.status();
      const auto live = (*store)->LoadLiveCampaigns();
      ASSERT_TRUE(live.ok()) << live.status();
      ASSERT_EQ(live->at(0).trials.size(), 1u);
      EXPECT_EQ(live->at(0).trials[0].space_version, 1);
      EXPECT_EQ(live->at(0).search_trials, 1);
      EXPECT_EQ(live->at(0).device_ms, 51) << "a half of 101, rounded";
    }
    // A copy of each version that was left behind.
    size_t copies = 0;
    for (const auto& entry : std::filesystem::directory_iterator(directory_.File("backups"))) {
      ++copies;
      const int64_t copied = Count(entry.path().string(), "PRAGMA user_version");
      const auto next = std::find_if(Migrations().begin(), Migrations().end(),
                                     [&](const Migration& step) { return step.version > copied; });
      EXPECT_EQ(entry.path().filename().string().rfind(
                    "before-migration-" + std::to_string(next->version) + "-", 0),
                0u);
      EXPECT_EQ(Count(entry.path().string(), "SELECT COUNT(*) FROM trial"), 1);
    }
    EXPECT_EQ(copies, Migrations().size() - version);
    const auto checks = CheckDatabase(path_, false);
    ASSERT_TRUE(checks.ok()) << checks.status();
    for (const CheckResult& check : *checks) EXPECT_EQ(check.violations, 0) << check.name;
    EXPECT_EQ(Count(path_, "SELECT width FROM default__old WHERE space_version = 1 AND set_aside IS NULL"),
              8);
    EXPECT_EQ(Count(path_,
                    "SELECT COUNT(*) FROM space_version WHERE version = 1 AND event_seq = 5 AND principal "
                    "= 'ada' AND constraints_json = '[\"depth > 1\"]' AND space_text = 'x'"),
              1);
    EXPECT_EQ(Count(path_,
                    "SELECT COUNT(*) FROM trial t JOIN campaign c WHERE t.rung = 0 AND t.rung_action = "
                    "'CONTINUE' AND c.fidelity_kind = 'full' AND NOT EXISTS (SELECT 1 FROM rung_report)"),
              1);
    EXPECT_EQ(Count(path_,
                    "SELECT COUNT(*) FROM sqlite_schema WHERE tbl_name = 'trial' AND name IN ('trial_live', "
                    "'trial_purpose', 'trial_failed')"),
              3);
    EXPECT_EQ(Count(path_, "SELECT COUNT(*) FROM sqlite_schema WHERE type = 'trigger'"), 0);
    EXPECT_EQ(Count(path_, "SELECT trials FROM space_version"), 1);
    EXPECT_EQ(Count(path_,
                    "SELECT COUNT(*) FROM sqlite_schema WHERE name IN ('result_ranked', "
                    "'rung_report_score')"),
              2);
  }
}

TEST_F(MigrationsTest, AKillAtAnyStepLosesNothing) {
  ASSERT_TRUE(MakeFirstVersion(path_).ok());
  int kills = 0;
  for (int stop_at = 1;; stop_at += 1 + stop_at / 8) {
    const pid_t child = fork();
    if (child == 0) {
      auto database = Database::Open(path_, Database::Mode::kCreate);
      if (!database.ok()) _exit(1);
      static int steps_left = 0;
      steps_left = stop_at;
      sqlite3_progress_handler((*database)->connection(), 20,
                               [](void*) {
                                 if (--steps_left == 0) _exit(9);
                                 return 0;
                               },
                               nullptr);
      _exit(Migrate(**database, path_, directory_.File("backups"), Migrations(), kNowUs).ok() ? 0 : 1);
    }
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    ASSERT_NE(WEXITSTATUS(status), 1);
    EXPECT_EQ(Count(path_, "SELECT COUNT(*) FROM pragma_integrity_check WHERE integrity_check = 'ok'"), 1);
    EXPECT_EQ(Count(path_, "SELECT COUNT(*) FROM trial WHERE state = 'PENDING'"), 1);
    if (WEXITSTATUS(status) == 0) break;
    ++kills;
    // Each kill meets the first version again.
    for (const char* part : {"", "-wal", "-shm", "-journal"}) std::filesystem::remove(path_ + part);
    ASSERT_TRUE(MakeFirstVersion(path_).ok());
  }
  EXPECT_GE(kills, 10);
  EXPECT_EQ(Count(path_, "PRAGMA user_version"), Migrations().back().version);
}

TEST_F(MigrationsTest, WhatFailsAgainAndAgainDoesNotFillTheDisk) {
  ASSERT_TRUE(Migrated({kFirst}).ok());
  auto database = Database::Open(path_, Database::Mode::kReadWrite);
  const Migration broken{2, "002_broken", "SELECT nonsense FROM nowhere"};
  for (int64_t start = 0; start < 6; ++start)
    EXPECT_FALSE(Migrate(**database, path_, directory_.File("backups"), std::vector{kFirst, broken},
                         kNowUs + start * 1'000'000)
                     .ok());
  const auto copies = std::filesystem::directory_iterator(directory_.File("backups"));
  EXPECT_EQ(std::distance(copies, std::filesystem::directory_iterator()), 3);
}

TEST_F(MigrationsTest, EmbeddedMigrationsAscendByTheNumbersOfTheirNames) {
  ASSERT_FALSE(Migrations().empty());
  int64_t last = 0;
  for (const Migration& migration : Migrations()) {
    EXPECT_EQ(migration.version, std::stoll(std::string(migration.name.substr(0, 3))));
    EXPECT_GT(migration.version, last);
    last = migration.version;
  }
}

}  // namespace
}  // namespace canopy::storage
