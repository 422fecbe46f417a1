#include "storage/migrations.h"

#include <fstream>
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

TEST_F(MigrationsTest, EmbeddedMigrationsAreNumberedFromOne) {
  ASSERT_FALSE(Migrations().empty());
  for (size_t i = 0; i < Migrations().size(); ++i)
    EXPECT_EQ(Migrations()[i].version, static_cast<int64_t>(i) + 1);
}

}  // namespace
}  // namespace canopy::storage
