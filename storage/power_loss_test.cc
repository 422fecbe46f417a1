#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <string>

#include "storage/sqlite_trial_store.h"
#include "storage/testing/fault_vfs.h"

namespace canopy::storage {
namespace {

// What a controller that was started again has answered by must outlive the next loss of power, though the
// process that wrote it never saw it synced.
TEST(PowerLossTest, WhatIsReadAtTheStartIsDurable) {
  const std::string folder = ::testing::TempDir() + "/power_loss_test";
  const std::string path = folder + "/canopy.db";
  Rng rng(5);
  for (int round = 0; round < 20; ++round) {
    testing::FaultVfs vfs(static_cast<uint64_t>(round));
    StatusOr<std::unique_ptr<TrialStore>> store = SqliteTrialStore::Open(path);
    ASSERT_TRUE(store.ok()) << store.status();
    const auto save = [&](const std::string& id) {
      return (*store)->Transaction([&] { return (*store)->SaveRequest(id, "digest", "answer", 1); });
    };
    ASSERT_TRUE(save("first").ok());
    if (round % 2 == 0)
      vfs.FailNextSync();
    else
      vfs.CrashAfter(1 + round / 2 % 4);  // at the log's pages or at their sync
    EXPECT_TRUE(!save("second").ok() || round % 2 == 1);
    vfs.Crash();
    store = Unavailable("the process has ended");
    vfs.RestartProcess();

    store = SqliteTrialStore::Open(path);
    ASSERT_TRUE(store.ok()) << store.status();
    const auto seen = (*store)->FindRequest("second", "digest");
    ASSERT_TRUE(seen.ok()) << seen.status();
    vfs.Crash();
    store = Unavailable("the process has ended");
    vfs.RestartMachine(rng);

    store = SqliteTrialStore::Open(path);
    ASSERT_TRUE(store.ok()) << store.status();
    EXPECT_TRUE((*store)->FindRequest("first", "digest")->has_value());
    EXPECT_EQ((*store)->FindRequest("second", "digest")->has_value(), seen->has_value()) << round;
    store = Unavailable("the test has ended");
  }
  std::filesystem::remove_all(folder);
}

// The log that a killed process leaves may be longer than what SQLite's VFS writes at once.
TEST(PowerLossTest, ALongLogIsReadAgain) {
  const std::string folder = ::testing::TempDir() + "/long_log_test";
  std::filesystem::remove_all(folder);
  const std::string path = folder + "/running/canopy.db", copy = folder + "/killed/canopy.db";
  StatusOr<std::unique_ptr<TrialStore>> store = SqliteTrialStore::Open(path);
  ASSERT_TRUE(store.ok()) << store.status();
  const std::string answer(500'000, 'a');
  const auto saved = (*store)->Transaction([&] { return (*store)->SaveRequest("id", "digest", answer, 1); });
  ASSERT_TRUE(saved.ok()) << saved;
  std::filesystem::create_directories(folder + "/killed");
  for (const char* part : {"", "-wal"}) std::filesystem::copy_file(path + part, copy + part);

  const StatusOr<std::unique_ptr<TrialStore>> again = SqliteTrialStore::Open(copy);
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(*(*again)->FindRequest("id", "digest"), answer);
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace canopy::storage
