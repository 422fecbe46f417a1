#include "storage/restore_backup.h"

#include <filesystem>
#include <fstream>

#include "base/file.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "storage/backup_folder.h"
#include "storage/database.h"
#include "storage/sqlite_trial_store.h"
#include "storage/testing/sample_records.h"

namespace canopy::storage {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr int64_t kNowUs = 1'772'366'400'000'000;

class RestoreBackupTest : public ::testing::Test {
 protected:
  void SetUp() override {
    store_ = testing::StoreWithCampaign(path_);
    ASSERT_TRUE(testing::AddCompletedTrial(*store_, 1, 0.5).ok());
    ASSERT_TRUE(SetCounters(7, 70).ok());
    const auto taken = TakeBackup(path_, directory_.File("backups"), kNowUs);
    ASSERT_TRUE(taken.ok()) << taken.status();
    backup_ = taken->backup.path;
    for (int64_t id = 2; id <= 4; ++id) ASSERT_TRUE(testing::AddCompletedTrial(*store_, id, 0.5).ok());
    ASSERT_TRUE(SetCounters(12, 120).ok());
    database_id_ = store_->database_id();
  }
  Status SetCounters(int64_t attempt, int64_t fence) {
    return store_->Transaction([&]() -> Status {
      CANOPY_RETURN_IF_ERROR(store_->SetCounter("next_attempt_id", attempt));
      return store_->SetCounter("next_fence", fence);
    });
  }
  int64_t Count(const std::string& path, const std::string& sql) {
    auto database = Database::Open(path, Database::Mode::kReadOnly);
    EXPECT_TRUE(database.ok()) << database.status();
    const auto count = (*database)->QueryInt(sql);
    return count.ok() ? *count : -1;
  }

  testing::TemporaryDirectory directory_;
  const std::string path_ = directory_.File("canopy.db");
  std::string backup_, database_id_;
  std::unique_ptr<TrialStore> store_;
};

TEST_F(RestoreBackupTest, TheBackupServesAndTheReplacedOneStays) {
  store_.reset();
  const auto restored = RestoreBackup(path_, backup_, kNowUs);
  ASSERT_TRUE(restored.ok()) << restored.status();
  EXPECT_EQ(restored->backup.results, 1);
  ASSERT_TRUE(restored->replaced.has_value());
  EXPECT_EQ(restored->replaced->results, 4);
  EXPECT_EQ(restored->incarnation, 2);
  EXPECT_EQ(Count(restored->kept_at, "SELECT COUNT(*) FROM result"), 4);
  auto store = SqliteTrialStore::Open(path_);
  ASSERT_TRUE(store.ok()) << store.status();
  EXPECT_EQ((*store)->database_id(), database_id_);
  EXPECT_EQ((*store)->incarnation(), 2);
  EXPECT_EQ(*(*store)->Counter("next_attempt_id"), 12) << "what was given out is not given again";
  EXPECT_EQ(*(*store)->Counter("next_fence"), 120);
  EXPECT_EQ(Count(path_, "SELECT COUNT(*) FROM result"), 1);
  EXPECT_EQ(Count(path_, "SELECT COUNT(*) FROM event WHERE kind = 'database_restored'"), 1);
  EXPECT_EQ(
      Count(path_, "SELECT value > (SELECT MAX(seq) FROM event) FROM counter WHERE name = 'next_event_seq'"),
      1);
  EXPECT_TRUE(FileExists(backup_)) << "it can be restored again";
}

TEST_F(RestoreBackupTest, TheSameBackupTwiceIsTwoIncarnations) {
  store_.reset();
  ASSERT_TRUE(RestoreBackup(path_, backup_, kNowUs).ok());
  const auto again = RestoreBackup(path_, backup_, kNowUs);
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(again->incarnation, 3);
  EXPECT_THAT(again->kept_at, HasSubstr("canopy.db.replaced-20260301T120000Z-2"));
}

TEST_F(RestoreBackupTest, ARunningControllerIsNamed) {
  const auto restored = RestoreBackup(path_, backup_, kNowUs);
  EXPECT_EQ(restored.status().code(), absl::StatusCode::kAborted);
  EXPECT_THAT(Message(restored.status()), AllOf(HasSubstr("stop it"), HasSubstr(std::to_string(getpid()))));
  EXPECT_EQ(Count(path_, "SELECT COUNT(*) FROM result"), 4);
}

TEST_F(RestoreBackupTest, ADamagedDatabaseIsReplacedUnderAnIncarnationOfItsOwn) {
  store_.reset();
  std::ofstream(path_, std::ios::binary) << std::string(8192, 'x');
  const auto restored = RestoreBackup(path_, backup_, kNowUs);
  ASSERT_TRUE(restored.ok()) << restored.status();
  EXPECT_FALSE(restored->replaced.has_value());
  EXPECT_EQ(restored->incarnation, kNowUs / 1'000'000) << "none that the lost one may have had";
  EXPECT_TRUE(FileExists(restored->kept_at));
  auto store = SqliteTrialStore::Open(path_);
  ASSERT_TRUE(store.ok()) << store.status();
  EXPECT_EQ(*(*store)->Counter("next_fence"), 1'000'070);
}

TEST_F(RestoreBackupTest, ALostDatabaseComesBack) {
  store_.reset();
  std::filesystem::remove(path_);
  const auto restored = RestoreBackup(path_, backup_, kNowUs);
  ASSERT_TRUE(restored.ok()) << restored.status();
  EXPECT_EQ(restored->kept_at, "");
  EXPECT_EQ(Count(path_, "SELECT COUNT(*) FROM result"), 1);
}

TEST_F(RestoreBackupTest, ALogWithoutItsDatabaseIsNotTheRestoredOnes) {
  const std::string log = directory_.File("log");
  std::filesystem::copy(path_ + "-wal", log);
  store_.reset();
  std::filesystem::remove(path_);
  std::filesystem::rename(log, path_ + "-wal");
  ASSERT_TRUE(RestoreBackup(path_, backup_, kNowUs).ok());
  EXPECT_EQ(Count(path_, "SELECT COUNT(*) FROM result"), 1);
  EXPECT_TRUE(FileExists(path_ + ".replaced-wal"));
}

TEST_F(RestoreBackupTest, RefusesWhatIsNoBackupOfThisDatabase) {
  store_.reset();
  const std::string other = directory_.File("other.db");
  { const auto store = testing::StoreWithCampaign(other); }
  EXPECT_THAT(Message(RestoreBackup(path_, other, kNowUs).status()), HasSubstr("move that one away"));
  std::ofstream(directory_.File("text.db")) << std::string(8192, 'x');
  EXPECT_EQ(RestoreBackup(path_, directory_.File("text.db"), kNowUs).status().code(),
            absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(RestoreBackup(path_, directory_.File("none.db"), kNowUs).status().code(),
            absl::StatusCode::kNotFound);
  {
    auto database = Database::Open(backup_, Database::Mode::kReadWrite);
    ASSERT_TRUE((*database)->RunScript("PRAGMA user_version = 99").ok());
  }
  EXPECT_THAT(Message(RestoreBackup(path_, backup_, kNowUs).status()), HasSubstr("schema version 99"));
  EXPECT_EQ(Count(path_, "SELECT COUNT(*) FROM result"), 4);
}

}  // namespace
}  // namespace canopy::storage
