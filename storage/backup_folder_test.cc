#include "storage/backup_folder.h"

#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <thread>

#include "base/file.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "storage/database.h"
#include "storage/sqlite_trial_store.h"
#include "storage/testing/sample_records.h"

namespace canopy::storage {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr int64_t kHourUs = int64_t{3'600} * 1'000'000;
constexpr int64_t kNowUs = 1'772'366'400'000'000;  // 2026-03-01T12:00:00Z

class BackupFolderTest : public ::testing::Test {
 protected:
  int64_t Count(const std::string& path, const std::string& sql) {
    auto database = Database::Open(path, Database::Mode::kImmutable);
    EXPECT_TRUE(database.ok()) << database.status();
    const auto count = (*database)->QueryInt(sql);
    EXPECT_TRUE(count.ok()) << count.status();
    return count.ok() ? *count : -1;
  }
  std::vector<std::string> Files(const std::string& folder) {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(folder))
      names.push_back(entry.path().filename().string());
    std::sort(names.begin(), names.end());
    return names;
  }

  testing::TemporaryDirectory directory_;
  const std::string path_ = directory_.File("canopy.db");
  const std::string folder_ = directory_.File("backups");
};

TEST_F(BackupFolderTest, ABackupIsOneFileWithAllThatIsCommitted) {
  const auto store = testing::StoreWithCampaign(path_);
  ASSERT_TRUE(testing::AddCompletedTrial(*store, 1, 0.5).ok());
  ASSERT_GT(std::filesystem::file_size(path_ + "-wal"), 0u) << "or the log's part would not be tested";
  const auto taken = TakeBackup(path_, folder_, kNowUs);
  ASSERT_TRUE(taken.ok()) << taken.status();
  EXPECT_THAT(Files(folder_), ElementsAre("canopy-20260301T120000Z.db"));
  EXPECT_EQ(taken->facts.database_id, store->database_id());
  EXPECT_EQ(taken->facts.trials, 1);
  EXPECT_EQ(taken->facts.results, 1);
  EXPECT_EQ(taken->facts.bytes, static_cast<int64_t>(std::filesystem::file_size(taken->backup.path)));
  EXPECT_EQ(Count(taken->backup.path, "SELECT COUNT(*) FROM result"), 1);
  // 1: no write-ahead log, so that other programs read it where they may not write.
  char versions[2] = {};
  std::ifstream(taken->backup.path).seekg(18).read(versions, 2);
  EXPECT_EQ(versions[0], 1);
  EXPECT_EQ(versions[1], 1);
  EXPECT_THAT(Files(folder_), ElementsAre("canopy-20260301T120000Z.db"));
}

TEST_F(BackupFolderTest, IsOneStateOfADatabaseThatIsWrittenMeanwhile) {
  const auto store = testing::StoreWithCampaign(path_);
  for (int64_t id = 1; id <= 60; ++id) ASSERT_TRUE(testing::AddCompletedTrial(*store, id, 0.5).ok());
  std::atomic<bool> stop{false};
  std::atomic<int64_t> written{60};
  std::thread writer([&] {
    for (int64_t id = 61; !stop; ++id) {
      ASSERT_TRUE(testing::AddCompletedTrial(*store, id, 0.5).ok());
      written = id;
    }
  });
  for (int64_t copy = 0; copy < 3; ++copy) {
    const int64_t before = written;
    const auto taken = TakeBackup(path_, folder_, kNowUs + copy * kHourUs, {.pages_per_step = 4});
    EXPECT_TRUE(taken.ok()) << taken.status();
    if (!taken.ok()) break;
    EXPECT_GE(taken->facts.results, before);
    EXPECT_EQ(Count(taken->backup.path, "SELECT COUNT(*) FROM result"), taken->facts.results);
    EXPECT_EQ(Count(taken->backup.path, "SELECT COUNT(*) FROM trial WHERE state = 'COMPLETED'"),
              taken->facts.results);
  }
  stop = true;
  writer.join();
}

TEST_F(BackupFolderTest, ADamagedDatabaseReplacesNoBackup) {
  {
    const auto store = testing::StoreWithCampaign(path_);
    for (int64_t id = 1; id <= 50; ++id) ASSERT_TRUE(testing::AddCompletedTrial(*store, id, 0.5).ok());
    ASSERT_TRUE(store->FinalCheckpoint().ok());
  }
  {
    std::fstream file(path_, std::ios::in | std::ios::out | std::ios::binary);
    for (int64_t page = 20; page < 30; ++page)
      file.seekp(page * 4096).write(std::string(4096, '\x7f').data(), 4096);
  }
  const auto taken = TakeBackup(path_, folder_, kNowUs);
  EXPECT_EQ(taken.status().code(), absl::StatusCode::kDataLoss) << taken.status();
  EXPECT_THAT(Files(folder_), IsEmpty());
}

TEST_F(BackupFolderTest, IsRefusedWhereTheDiskWouldFill) {
  const auto store = testing::StoreWithCampaign(path_);
  const auto taken = TakeBackup(path_, folder_, kNowUs, {.reserve_bytes = int64_t{1} << 60});
  EXPECT_EQ(taken.status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(Message(taken.status()), HasSubstr("free space there"));
}

TEST_F(BackupFolderTest, GivesUpBeforeTheWriteAheadLogGrowsTooMuch) {
  const auto store = testing::StoreWithCampaign(path_);
  for (int64_t id = 1; id <= 60; ++id) ASSERT_TRUE(testing::AddCompletedTrial(*store, id, 0.5).ok());
  const auto taken = TakeBackup(path_, folder_, kNowUs, {.max_wal_bytes = 0, .pages_per_step = 8});
  EXPECT_EQ(taken.status().code(), absl::StatusCode::kResourceExhausted) << taken.status();
  EXPECT_THAT(Files(folder_), IsEmpty());
}

TEST_F(BackupFolderTest, AKillAtAnyMomentLeavesTheEarlierBackups) {
  const auto store = testing::StoreWithCampaign(path_);
  for (int64_t id = 1; id <= 60; ++id) ASSERT_TRUE(testing::AddCompletedTrial(*store, id, 0.5).ok());
  ASSERT_TRUE(TakeBackup(path_, folder_, kNowUs).ok());
  const std::string earlier = folder_ + "/canopy-20260301T120000Z.db";
  int kills = 0;
  for (int stop_at = 1;; ++stop_at) {
    const pid_t child = fork();
    if (child == 0) {
      int asked = 0;
      // Of the same second, so that the copy replaces the earlier one at the end.
      const auto taken = TakeBackup(path_, folder_, kNowUs,
                                    {.cancelled =
                                         [&] {
                                           if (++asked == stop_at) _exit(9);
                                           return false;
                                         },
                                     .pages_per_step = 16});
      _exit(taken.ok() ? 0 : 1);
    }
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    ASSERT_NE(WEXITSTATUS(status), 1);
    const auto facts = VerifyDatabaseFile(earlier, 1'000);
    ASSERT_TRUE(facts.ok()) << facts.status();
    EXPECT_EQ(facts->results, 60);
    if (WEXITSTATUS(status) == 0) break;
    ++kills;
    EXPECT_THAT(Files(folder_),
                ElementsAre("canopy-20260301T120000Z.db", "canopy-20260301T120000Z.db.partial"));
    RemovePartialCopies(folder_);
    EXPECT_THAT(Files(folder_), ElementsAre("canopy-20260301T120000Z.db"));
  }
  EXPECT_GE(kills, 2);
}

TEST_F(BackupFolderTest, OtherFilesAreNoBackupsOfTheDatabase) {
  ASSERT_TRUE(MakeDirectories(folder_).ok());
  for (const char* name :
       {"canopy-20260301T120000Z.db", "canopy-20260228T120000Z.db", "before-migration-2-20260301T120000Z.db",
        "canopy-v1.db", "canopy-20260301T130000Z.db.partial", "notes.txt"})
    std::ofstream(folder_ + "/" + name) << "x";
  const std::vector<Backup> backups = ListBackups(folder_);
  ASSERT_EQ(backups.size(), 2u);
  EXPECT_EQ(backups[1].taken_us, kNowUs);
  EXPECT_EQ(backups[0].taken_us, kNowUs - 24 * kHourUs);
  EXPECT_THAT(ListBackups(directory_.File("nowhere")), IsEmpty());
}

TEST_F(BackupFolderTest, KeepsTheNewestAndOneADay) {
  std::vector<Backup> backups;
  for (int64_t hour = 60 * 24; hour >= 0; --hour) backups.push_back({"", kNowUs - hour * kHourUs});
  const std::vector<Backup> gone = Dispensable(backups, {.newest = 24, .days = 30}, kNowUs);
  std::vector<int64_t> kept_hours;
  size_t next = 0;
  for (const Backup& backup : backups) {
    if (next < gone.size() && gone[next].taken_us == backup.taken_us)
      ++next;
    else
      kept_hours.push_back((kNowUs - backup.taken_us) / kHourUs);
  }
  // Now and the 23 hours before, which reach into yesterday; the last hour of the 28 days before.
  ASSERT_EQ(kept_hours.size(), 24u + 28u);
  EXPECT_EQ(kept_hours[28], 23);
  EXPECT_EQ(kept_hours[27], 12 + 24 + 1) << "23:00 of the day before yesterday";
  EXPECT_EQ(kept_hours[0], 12 + 28 * 24 + 1);
  EXPECT_THAT(Dispensable({{"only", 0}}, {.newest = 0, .days = 0}, kNowUs), IsEmpty());
}

}  // namespace
}  // namespace canopy::storage
