#include "worker/agent/spool.h"

#include <google/protobuf/util/message_differencer.h>
#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <limits>

#include "base/file.h"
#include "worker/agent/agent_test_support.h"

namespace canopy::agent {
namespace {

v1::Outcome OutcomeOf(const std::string& result_id, int64_t attempt_id, const std::string& database) {
  v1::Outcome outcome;
  outcome.set_result_id(result_id);
  outcome.set_attempt_id(attempt_id);
  outcome.set_fence(int64_t{1} << 60);
  outcome.set_database_id(database);
  outcome.set_log_tail("a \"line\"\n\x01 and more");
  (*outcome.mutable_result()->mutable_metrics())["val_accuracy"] = 0.1;
  (*outcome.mutable_result()->mutable_metrics())["val_loss"] = std::numeric_limits<double>::infinity();
  return outcome;
}

TEST(Spool, GivesBackExactlyWhatWasPut) {
  const TemporaryFolder folder;
  const v1::Outcome outcome = OutcomeOf("r1", 7, "db");
  ASSERT_TRUE(Spool::Open(folder.path())->Put(outcome).ok());
  const auto again = Spool::Open(folder.path());
  const auto waiting = again->Waiting();
  ASSERT_TRUE(waiting.ok()) << Message(waiting.status());
  ASSERT_EQ(waiting->size(), 1u);
  EXPECT_TRUE(google::protobuf::util::MessageDifferencer::Equals((*waiting)[0], outcome));
  ASSERT_TRUE(again->Remove("r1").ok());
  EXPECT_TRUE(again->Waiting()->empty());
  EXPECT_TRUE(again->Remove("r1").ok()) << "an acknowledgement may come twice";
}

TEST(Spool, SendsInTheOrderOfAttempts) {
  const TemporaryFolder folder;
  const auto spool = Spool::Open(folder.path());
  ASSERT_TRUE(spool->Put(OutcomeOf("a", 9, "db")).ok());
  ASSERT_TRUE(spool->Put(OutcomeOf("b", 3, "db")).ok());
  const auto waiting = spool->Waiting();
  ASSERT_EQ(waiting->size(), 2u);
  EXPECT_EQ((*waiting)[0].attempt_id(), 3);
}

TEST(Spool, AnotherDatabasesOutcomeWaitsInForeignUntilItsControllerComesBack) {
  const TemporaryFolder folder;
  const auto spool = Spool::Open(folder.path());
  ASSERT_TRUE(spool->Put(OutcomeOf("ours", 1, "db")).ok());
  ASSERT_TRUE(spool->Put(OutcomeOf("theirs", 2, "other")).ok());
  auto taken = spool->Take("db");
  ASSERT_EQ(taken->size(), 1u);
  EXPECT_EQ((*taken)[0].result_id(), "ours");
  EXPECT_TRUE(FileExists(folder.path() + "/foreign/theirs.json"));
  taken = spool->Take("other");
  ASSERT_EQ(taken->size(), 1u);
  EXPECT_EQ((*taken)[0].result_id(), "theirs");
  EXPECT_TRUE(FileExists(folder.path() + "/foreign/ours.json"));
}

TEST(Spool, SetsADamagedFileAsideAndGoesOn) {
  const TemporaryFolder folder;
  const auto spool = Spool::Open(folder.path());
  ASSERT_TRUE(spool->Put(OutcomeOf("good", 1, "db")).ok());
  ASSERT_TRUE(WriteFileDurably(folder.path() + "/bad.json", "{\"attempt_id\": ").ok());
  const auto taken = spool->Take("db");
  ASSERT_TRUE(taken.ok()) << Message(taken.status());
  EXPECT_EQ(taken->size(), 1u);
  EXPECT_TRUE(FileExists(folder.path() + "/refused/bad.json"));
}

TEST(Spool, KeepsAFileThatCannotBeReadNow) {
  const TemporaryFolder folder;
  const auto spool = Spool::Open(folder.path());
  std::filesystem::create_directory(folder.path() + "/r.json");  // opens, but does not read
  EXPECT_FALSE(spool->Take("db").ok());
  EXPECT_TRUE(FileExists(folder.path() + "/r.json"));
}

TEST(Spool, ReadsTheOutcomeOfANewerAgent) {
  const TemporaryFolder folder;
  const auto spool = Spool::Open(folder.path());
  ASSERT_TRUE(WriteFileDurably(folder.path() + "/r.json",
                               R"({"result_id":"r","database_id":"db","of_the_future":{"a":1}})")
                  .ok());
  EXPECT_EQ(spool->Take("db")->size(), 1u);
}

TEST(Spool, RemovesWhatAnInterruptedWriteLeft) {
  const TemporaryFolder folder;
  ASSERT_TRUE(Spool::Open(folder.path()).ok());
  ASSERT_TRUE(WriteFileDurably(folder.path() + "/r.json.tmp.123", "{").ok());
  ASSERT_TRUE(Spool::Open(folder.path()).ok());
  EXPECT_FALSE(FileExists(folder.path() + "/r.json.tmp.123"));
}

TEST(Spool, KeepsWhatWasAcknowledgedForARestore) {
  const TemporaryFolder folder;
  const auto spool = Spool::Open(folder.path());
  v1::Outcome outcome = OutcomeOf("a", 1, "db");
  outcome.set_incarnation(1);
  ASSERT_TRUE(spool->Put(outcome).ok());
  ASSERT_TRUE(spool->Keep(outcome, 1).ok());
  EXPECT_TRUE(spool->Keep(outcome, 1).ok()) << "an acknowledgement may come twice";
  EXPECT_TRUE(spool->Waiting()->empty());
  EXPECT_TRUE(spool->KeptBefore("db", 1)->empty()) << "that state of the database has it";
  EXPECT_TRUE(spool->KeptBefore("other", 2)->empty());
  const auto lost = spool->KeptBefore("db", 2);
  ASSERT_EQ(lost->size(), 1u);
  EXPECT_TRUE(google::protobuf::util::MessageDifferencer::Equals((*lost)[0], outcome));
  ASSERT_TRUE(spool->Keep(outcome, 2).ok());
  EXPECT_TRUE(spool->KeptBefore("db", 2)->empty());
  EXPECT_EQ(spool->KeptBefore("db", 3)->size(), 1u);
}

TEST(Spool, ForgetsTheOldestOfWhatItKeeps) {
  const TemporaryFolder folder;
  const auto spool = Spool::Open(folder.path());
  for (const char* id : {"new", "old", "large"}) {
    const v1::Outcome outcome = OutcomeOf(id, 1, "db");
    ASSERT_TRUE(spool->Put(outcome).ok());
    ASSERT_TRUE(spool->Keep(outcome, 0).ok());
  }
  const auto now = std::filesystem::file_time_type::clock::now();
  std::filesystem::resize_file(folder.path() + "/kept/large.json", 70 << 20);
  std::filesystem::last_write_time(folder.path() + "/kept/large.json", now - std::chrono::hours(24));
  std::filesystem::last_write_time(folder.path() + "/kept/old.json", now - std::chrono::hours(7 * 24 + 1));
  ASSERT_TRUE(Spool::Open(folder.path()).ok());
  EXPECT_TRUE(FileExists(folder.path() + "/kept/new.json"));
  EXPECT_FALSE(FileExists(folder.path() + "/kept/large.json"));
  EXPECT_FALSE(FileExists(folder.path() + "/kept/old.json"));
}

TEST(Spool, ABusyWorkerKeepsWhatTheNewestBackupMayLack) {
  const TemporaryFolder folder;
  const auto spool = Spool::Open(folder.path());
  const auto now = std::filesystem::file_time_type::clock::now();
  const struct {
    const char* id;
    int age_minutes, mib;
  } kept[] = {{"a", 10, 40}, {"b", 170, 40}, {"c", 190, 40}, {"d", 20, 400}};
  for (const auto& result : kept) {
    const v1::Outcome outcome = OutcomeOf(result.id, 1, "db");
    ASSERT_TRUE(spool->Put(outcome).ok());
    ASSERT_TRUE(spool->Keep(outcome, 0).ok());
    const std::string path = folder.path() + "/kept/" + result.id + ".json";
    std::filesystem::resize_file(path, static_cast<std::uintmax_t>(result.mib) << 20);
    std::filesystem::last_write_time(path, now - std::chrono::minutes(result.age_minutes));
    if (result.id != std::string("c")) continue;
    spool->PruneKept();
    EXPECT_TRUE(FileExists(folder.path() + "/kept/b.json")) << "beyond 64 MiB, and no 3 hours old";
    EXPECT_FALSE(FileExists(path));
  }
  std::filesystem::resize_file(folder.path() + "/kept/b.json", 100 << 20);
  std::filesystem::last_write_time(folder.path() + "/kept/b.json", now - std::chrono::minutes(170));
  spool->PruneKept();
  EXPECT_TRUE(FileExists(folder.path() + "/kept/d.json"));
  EXPECT_FALSE(FileExists(folder.path() + "/kept/b.json")) << "540 MiB";
}

}  // namespace
}  // namespace canopy::agent
