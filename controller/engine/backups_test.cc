#include "controller/engine/backups.h"

#include <filesystem>
#include <fstream>
#include <thread>

#include "base/file.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "storage/sqlite_trial_store.h"

namespace canopy::engine {
namespace {

using ::testing::HasSubstr;

constexpr int64_t kHourMs = 3'600'000;
constexpr int64_t kNowUs = 1'772'366'400'000'000;

TEST(BackupDueInMs, IsAnIntervalAfterTheNewest) {
  EXPECT_EQ(BackupDueInMs(kHourMs, 0, kNowUs, -1), 0) << "there is none";
  EXPECT_EQ(BackupDueInMs(kHourMs, kNowUs - 20 * 60'000'000LL, kNowUs, -1), 40 * 60'000);
  EXPECT_EQ(BackupDueInMs(kHourMs, kNowUs + 24 * 3'600'000'000LL, kNowUs, -1), kHourMs)
      << "the clock was wrong once";
}

TEST(BackupDueInMs, AFailedOneIsTriedAgainWithinTenMinutes) {
  EXPECT_EQ(BackupDueInMs(kHourMs, 0, kNowUs, 0), 600'000);
  EXPECT_EQ(BackupDueInMs(kHourMs, 0, kNowUs, 600'000), 0);
  EXPECT_EQ(BackupDueInMs(5'000, 0, kNowUs, 1'000), 4'000) << "never later than an interval";
}

class BackupsTest : public ::testing::Test {
 protected:
  BackupsTest() : state_(::testing::TempDir() + "/backups_test_" + std::to_string(::getpid())) {
    std::filesystem::remove_all(state_);
    auto store = storage::SqliteTrialStore::Open(state_ + "/canopy.db");
    EXPECT_TRUE(store.ok()) << store.status();
    if (store.ok()) store_ = *std::move(store);
  }
  ~BackupsTest() override { std::filesystem::remove_all(state_); }
  Backups::Options Options(int64_t interval_ms) const {
    Backups::Options options;
    options.database = state_ + "/canopy.db";
    options.folder = state_ + "/backups";
    options.interval_ms = interval_ms;
    return options;
  }

  const std::string state_;
  std::unique_ptr<storage::TrialStore> store_;
  const SystemClock clock_;
};

TEST_F(BackupsTest, TakesOneAtOnceWhereThereIsNoneAndThenWaits) {
  {
    Backups backups(Options(kHourMs), clock_);
    while (backups.statistics().taken == 0) std::this_thread::yield();
    EXPECT_EQ(backups.Warning(), "");
    EXPECT_GT(backups.statistics().last_us, 0);
    backups.Stop();
    EXPECT_EQ(backups.statistics().taken, 1);
  }
  ASSERT_EQ(storage::ListBackups(state_ + "/backups").size(), 1u);
  Backups again(Options(kHourMs), clock_);
  EXPECT_GT(again.statistics().last_us, 0) << "known from the folder";
  again.Stop();
  EXPECT_EQ(again.statistics().taken, 0);
}

TEST_F(BackupsTest, AFailureIsShownUntilOneSucceeds) {
  std::ofstream(state_ + "/backups") << "in the way";
  Backups backups(Options(0), clock_);
  EXPECT_FALSE(backups.TakeNow().ok());
  EXPECT_EQ(backups.statistics().failed, 1);
  EXPECT_THAT(backups.Warning(), HasSubstr("not backed up"));
  EXPECT_THAT(backups.Warning(), HasSubstr("newest backup is none"));
  std::filesystem::remove(state_ + "/backups");
  ASSERT_TRUE(backups.TakeNow().ok());
  EXPECT_EQ(backups.Warning(), "");
  EXPECT_EQ(backups.statistics().failed, 1);
}

TEST_F(BackupsTest, AStartRemovesWhatAKillLeft) {
  ASSERT_TRUE(MakeDirectories(state_ + "/backups").ok());
  std::ofstream(state_ + "/backups/canopy-20260301T120000Z.db") << "kept";
  std::ofstream(state_ + "/backups/canopy-20260301T130000Z.db.partial") << "half";
  const Backups backups(Options(0), clock_);
  EXPECT_TRUE(FileExists(state_ + "/backups/canopy-20260301T120000Z.db"));
  EXPECT_FALSE(FileExists(state_ + "/backups/canopy-20260301T130000Z.db.partial"));
}

TEST_F(BackupsTest, AfterStopNothingIsCopied) {
  Backups backups(Options(0), clock_);
  backups.Stop();
  EXPECT_TRUE(absl::IsCancelled(backups.TakeNow().status()));
  EXPECT_TRUE(absl::IsCancelled(backups.TakeSnapshot().status()));
  EXPECT_EQ(backups.Warning(), "") << "an end is no failure";
}

TEST_F(BackupsTest, ASnapshotIsNoBackup) {
  Backups backups(Options(0), clock_);
  const auto snapshot = backups.TakeSnapshot();
  ASSERT_TRUE(snapshot.ok()) << snapshot.status();
  EXPECT_TRUE(storage::VerifyDatabaseFile(snapshot->path, 1'000).ok());
  EXPECT_TRUE(storage::ListBackups(state_ + "/backups").empty());
}

}  // namespace
}  // namespace canopy::engine
