#include "storage/testing/fault_vfs.h"

#include <gtest/gtest.h>

#include <memory>
#include <set>
#include <string>

#include "storage/database.h"

namespace canopy::storage::testing {
namespace {

constexpr char kPath[] = "/disk/test.db";

class FaultVfsTest : public ::testing::Test {
 protected:
  void Open() {
    auto database = Database::Open(kPath, Database::Mode::kCreate);
    ASSERT_TRUE(database.ok()) << database.status();
    database_ = *std::move(database);
    ASSERT_TRUE(database_->RunScript("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL").ok());
  }
  Status Insert(int64_t n) {
    return database_->Run("INSERT INTO t VALUES (?, ?)", {n, std::string(3'000, 'x')}).status();
  }
  int64_t Count() { return *database_->QueryInt("SELECT COUNT(*) FROM t"); }
  void Lose() {
    vfs_.Crash();
    database_.reset();
    vfs_.RestartMachine(rng_);
  }

  Rng rng_{3};
  FaultVfs vfs_{1};
  std::unique_ptr<Database> database_;
};

TEST_F(FaultVfsTest, WhatIsCommittedOutlivesEveryLossOfPower) {
  Open();
  ASSERT_TRUE(database_->RunScript("CREATE TABLE t (n INTEGER PRIMARY KEY, text TEXT)").ok());
  int64_t committed = 0;
  for (int round = 0; round < 200; ++round) {
    vfs_.CrashAfter(1 + static_cast<int64_t>(rng_.Below(12)));
    int64_t n = committed;
    while (Insert(n).ok()) ++n;
    database_.reset();
    vfs_.RestartMachine(rng_);
    Open();
    const int64_t found = Count();
    // The last one may be there or not: its commit was not answered.
    ASSERT_GE(found, n) << round;
    ASSERT_LE(found, n + 1) << round;
    auto rows = database_->Query("PRAGMA integrity_check");
    ASSERT_TRUE(rows.ok() && *rows->Next());
    ASSERT_EQ(rows->Text(0), "ok") << round;
    committed = found;
  }
}

TEST_F(FaultVfsTest, WhatIsNotSyncedIsLostTornOrKept) {
  std::set<int64_t> found;
  for (int round = 0; round < 60; ++round) {
    database_.reset();
    vfs_.SetFiles({});
    Open();
    ASSERT_TRUE(database_->RunScript("CREATE TABLE t (n INTEGER PRIMARY KEY, text TEXT)").ok());
    ASSERT_TRUE(database_->RunScript("PRAGMA synchronous = OFF").ok());
    for (int64_t n = 0; n < 5; ++n) ASSERT_TRUE(Insert(n).ok());
    Lose();
    Open();
    found.insert(Count());
  }
  EXPECT_TRUE(found.count(0) > 0 && found.count(5) > 0) << "none, and all of it";
  EXPECT_GE(found.size(), 3U) << "and parts";
}

TEST_F(FaultVfsTest, AProcessThatDiesLosesNothingThatItWrote) {
  Open();
  ASSERT_TRUE(database_->RunScript("CREATE TABLE t (n INTEGER PRIMARY KEY, text TEXT)").ok());
  ASSERT_TRUE(database_->RunScript("PRAGMA synchronous = OFF").ok());
  ASSERT_TRUE(Insert(1).ok());
  vfs_.Crash();
  EXPECT_FALSE(Insert(2).ok());
  EXPECT_FALSE(vfs_.Effect());
  database_.reset();
  vfs_.RestartProcess();
  Open();
  EXPECT_EQ(Count(), 1);
}

TEST_F(FaultVfsTest, AFullDiskAndAFailedSyncAreErrors) {
  Open();
  ASSERT_TRUE(database_->RunScript("CREATE TABLE t (n INTEGER PRIMARY KEY, text TEXT)").ok());
  vfs_.SetCapacity(vfs_.Size());
  EXPECT_TRUE(absl::IsResourceExhausted(Insert(1)));
  vfs_.SetCapacity(0);
  EXPECT_TRUE(Insert(1).ok());
  vfs_.FailNextSync();
  EXPECT_TRUE(absl::IsUnavailable(Insert(2)));
  EXPECT_TRUE(Insert(3).ok());
}

}  // namespace
}  // namespace canopy::storage::testing
