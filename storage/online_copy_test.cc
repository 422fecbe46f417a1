#include "storage/online_copy.h"

#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <memory>

#include "base/file.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "storage/backup_folder.h"
#include "storage/database.h"
#include "storage/sqlite_trial_store.h"
#include "storage/testing/sample_records.h"

namespace canopy::storage {
namespace {

constexpr int64_t kNowUs = 1'772'366'400'000'000;  // 2026-03-01T12:00:00Z

class OnlineCopyTest : public ::testing::Test {
 protected:
  static void Fill(TrialStore& store, int64_t from, int64_t to) {
    for (int64_t id = from; id <= to; ++id) ASSERT_TRUE(testing::AddCompletedTrial(store, id, 0.5).ok());
  }
  // As the engine does it, with `between` after every step.
  static CopyOptions By(TrialStore& store, const std::function<void()>& between) {
    CopyOptions options;
    options.copy_pages = [&store, between](const std::string& partial,
                                           const CopyOptions&) -> StatusOr<Fingerprint> {
      CANOPY_RETURN_IF_ERROR(store.BeginCopy(partial));
      for (int step = 0;; ++step) {
        if (step == 1'000) return Internal("the copy comes to no end");
        CANOPY_ASSIGN_OR_RETURN(const OnlineCopy::Progress progress, store.ContinueCopy(4));
        if (progress.complete) return *progress.complete;
        between();
      }
    };
    return options;
  }

  testing::TemporaryDirectory directory_;
  const std::string path_ = directory_.File("canopy.db"), copy_ = directory_.File("copy.db");
  const std::string folder_ = directory_.File("backups");
};

TEST_F(OnlineCopyTest, WhatIsCommittedMeanwhileIsInIt) {
  const auto store = testing::StoreWithCampaign(path_);
  Fill(*store, 1, 60);
  int64_t id = 60;
  const auto facts = CopyDatabase(path_, copy_, By(*store, [&] { Fill(*store, id + 1, id + 1), ++id; }));
  ASSERT_TRUE(facts.ok()) << facts.status();
  EXPECT_GT(id, 70) << "or nothing was tested";
  EXPECT_EQ(facts->results, id) << "it is the state of its end";
  Fill(*store, id + 1, id + 1);
  const auto copy = Database::Open(copy_, Database::Mode::kImmutable);
  ASSERT_TRUE(copy.ok()) << copy.status();
  EXPECT_EQ(*(*copy)->QueryInt("SELECT COUNT(*) FROM result"), id);
  EXPECT_EQ(*(*copy)->QueryInt("SELECT COUNT(*) FROM trial t JOIN attempt a ON a.trial_id = t.id"), id);
}

TEST_F(OnlineCopyTest, ACommitDoesNotBeginItAnew) {
  const auto store = testing::StoreWithCampaign(path_);
  Fill(*store, 1, 60);
  ASSERT_TRUE(store->BeginCopy(copy_).ok());
  int64_t copied = 0;
  for (int64_t id = 61;; ++id) {
    const auto progress = store->ContinueCopy(8);
    ASSERT_TRUE(progress.ok()) << progress.status();
    if (progress->complete) break;
    ASSERT_EQ(progress->pages - progress->pages_left, copied += 8);
    Fill(*store, id, id);
    // Nor does what becomes of the log: moved beside the writer, moved by it, truncated.
    ASSERT_TRUE(store->LaterCheckpoint()().ok());
    ASSERT_TRUE(store->Checkpoint(id % 2 == 0 ? 0 : 1 << 30).ok());
  }
  EXPECT_GT(copied, 40);
}

TEST_F(OnlineCopyTest, TheLogBeginsAnewWhileItIsMade) {
  const auto store = testing::StoreWithCampaign(path_);
  Fill(*store, 1, 60);
  ASSERT_TRUE(store->Checkpoint(1 << 30).ok());
  Fill(*store, 61, 61);
  const int64_t of_one = store->WalBytes();
  ASSERT_TRUE(store->BeginCopy(copy_).ok());
  for (int64_t id = 62; id <= 80; ++id) {
    const auto progress = store->ContinueCopy(1);
    ASSERT_TRUE(progress.ok() && !progress->complete) << progress.status();
    ASSERT_TRUE(store->Checkpoint(1 << 30).ok());
    Fill(*store, id, id);
    EXPECT_LE(store->WalBytes(), 2 * of_one);
  }
  store->EndCopy();
  Fill(*store, 81, 82);
}

TEST_F(OnlineCopyTest, AKillAtAnyStepLeavesTheEarlierBackups) {
  { Fill(*testing::StoreWithCampaign(path_), 1, 40); }
  ASSERT_TRUE(TakeBackup(path_, folder_, kNowUs).ok());
  const std::string earlier = folder_ + "/canopy-20260301T120000Z.db";
  int kills = 0;
  for (int stop_at = 1;; stop_at += 2) {
    const pid_t child = fork();
    if (child == 0) {
      const auto store = SqliteTrialStore::Open(path_);
      if (!store.ok()) _exit(1);
      int steps = 0;
      int64_t id = 1'000 * stop_at;
      const auto taken = TakeBackup(path_, folder_, kNowUs, By(**store, [&] {
                                      if (!testing::AddCompletedTrial(**store, ++id, 0.5).ok()) _exit(1);
                                      if (++steps == stop_at) _exit(9);
                                    }));
      _exit(taken.ok() ? 0 : 1);
    }
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    ASSERT_NE(WEXITSTATUS(status), 1);
    const auto facts = VerifyDatabaseFile(earlier, 1'000);
    ASSERT_TRUE(facts.ok()) << facts.status();
    EXPECT_EQ(ListBackups(folder_).size(), 1u);
    RemovePartialCopies(folder_);
    EXPECT_FALSE(FileExists(earlier + kPartialSuffix));
    if (WEXITSTATUS(status) == 0) {
      EXPECT_GT(facts->results, 40);
      break;
    }
    EXPECT_EQ(facts->results, 40);
    ++kills;
  }
  EXPECT_GT(kills, 5);
}

}  // namespace
}  // namespace canopy::storage
