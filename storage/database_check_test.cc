#include "storage/database_check.h"

#include <filesystem>
#include <fstream>
#include <map>

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

class DatabaseCheckTest : public ::testing::Test {
 protected:
  DatabaseCheckTest() {
    const auto store = testing::StoreWithCampaign(path_);
    for (int64_t id = 1; id <= 3; ++id) EXPECT_TRUE(testing::AddCompletedTrial(*store, id, 0.5).ok());
    EXPECT_TRUE(store
                    ->Transaction([&]() -> Status {
                      CANOPY_RETURN_IF_ERROR(store->SetCounter("next_campaign_id", 2));
                      CANOPY_RETURN_IF_ERROR(store->SetCounter("next_trial_id", 100));
                      CANOPY_RETURN_IF_ERROR(store->SetCounter("next_attempt_id", 1000));
                      return store->SetCounter("next_fence", 1000);
                    })
                    .ok());
    // The sample records don't count what a controller counts.
    EXPECT_TRUE(
        Run("UPDATE campaign SET last_result_seq = (SELECT MAX(seq) FROM result), winner_trial_id = 1, "
            "winner_committed = 1; UPDATE trial SET last_attempt_id = (SELECT attempt_id FROM result WHERE "
            "trial_id = trial.id)")
            .ok());
  }
  Status Run(const std::string& sql) {
    auto database = Database::Open(path_, Database::Mode::kReadWrite);
    if (!database.ok()) return database.status();
    return (*database)->RunScript(sql);
  }
  std::map<std::string, CheckResult> Violated() {
    const auto results = CheckDatabase(path_, false);
    EXPECT_TRUE(results.ok()) << results.status();
    std::map<std::string, CheckResult> violated;
    if (!results.ok()) return violated;
    for (const CheckResult& result : *results)
      if (result.violations > 0) violated[result.name] = result;
    return violated;
  }
  std::vector<std::string> Names() {
    std::vector<std::string> names;
    for (const auto& [name, result] : Violated()) names.push_back(name);
    return names;
  }

  testing::TemporaryDirectory directory_;
  const std::string path_ = directory_.File("canopy.db");
};

TEST_F(DatabaseCheckTest, AllHoldsInWhatAStoreWrites) {
  EXPECT_THAT(Names(), IsEmpty());
  const auto results = CheckDatabase(path_, false);
  EXPECT_GE(results->size(), 20u);
}

TEST_F(DatabaseCheckTest, CountsFollowATrialFromStateToState) {
  {
    const auto store = *SqliteTrialStore::Open(path_);
    model::TrialRecord trial = testing::SampleTrial(50);
    trial.state = model::TrialState::kPending;
    ASSERT_TRUE(store->Transaction([&] { return store->InsertTrial(trial); }).ok());
    trial.state = model::TrialState::kCancelled;
    ASSERT_TRUE(store->Transaction([&] { return store->UpdateTrial(trial); }).ok());
  }
  const auto violated = Violated();
  EXPECT_EQ(violated.count("the counts of trials are those of their rows"), 0u);
}

TEST_F(DatabaseCheckTest, EachViolationIsFoundAndNamed) {
  const std::vector<std::pair<std::string, std::string>> broken = {
      {"UPDATE trial SET state = 'LOST' WHERE id = 2", "every state is one that this program knows"},
      {"DELETE FROM result WHERE trial_id = 2", "each completed trial has a result"},
      {"UPDATE trial SET state = 'PENDING' WHERE id = 2", "no trial that waits or runs has a result"},
      {"UPDATE result SET attempt_id = (SELECT attempt_id FROM result WHERE trial_id = 1) WHERE trial_id = 2",
       "a result is of an attempt of its trial"},
      {"UPDATE result SET result_id = (SELECT result_id FROM result WHERE trial_id = 1) WHERE trial_id = 2",
       "no two trials have the result of one id"},
      {"UPDATE trial SET state = 'LEASED' WHERE id = 2",
       "a leased trial has one running attempt, its newest"},
      {"UPDATE attempt SET state = 'RUNNING' WHERE trial_id = 2", "a running attempt is of a leased trial"},
      {"UPDATE campaign SET state = 'CANCELLED'; UPDATE trial SET state = 'PAUSED' WHERE id = 2",
       "nothing waits or runs in a campaign that has ended"},
      {"UPDATE attempt SET fence = (SELECT MIN(fence) FROM attempt) WHERE trial_id = 2",
       "fences grow with their attempts"},
      {"UPDATE counter SET value = 2 WHERE name = 'next_trial_id'",
       "what is numbered next is above all numbers given"},
      {"UPDATE campaign SET last_result_seq = 77",
       "a campaign's results are numbered once and up to its last"},
      {"UPDATE trial_count SET trials = trials + 1", "the counts of trials are those of their rows"},
      {"UPDATE attempt_count SET attempts = attempts + 1", "the counts of attempts are those of their rows"},
      {"UPDATE attempt_count SET device_ms = device_ms + 1",
       "the counts of attempts are those of their rows"},
      {"UPDATE result_count SET results = results + 1", "the counts of results are those of their rows"},
      {"UPDATE campaign SET winner_trial_id = 4711", "a chosen winner is a trial of its campaign"},
      {"UPDATE campaign SET winner_committed = 0; UPDATE trial SET purpose = 'TEST' WHERE id = 2",
       "TEST trials exist only where a winner is chosen"},
      {"DELETE FROM meta WHERE name = 'incarnation'", "the database has an id and an incarnation"},
      {"PRAGMA foreign_keys = OFF; UPDATE result SET campaign_id = campaign_id, attempt_id = 4711 WHERE "
       "trial_id = 2",
       "every reference finds its row"},
      {"DELETE FROM campaign_1_values WHERE trial_id = 2", "each trial has its row of decisions and metrics"},
  };
  for (const auto& [sql, name] : broken) {
    const std::string whole = directory_.File("whole.db");
    std::filesystem::copy_file(path_, whole, std::filesystem::copy_options::overwrite_existing);
    ASSERT_TRUE(Run(sql).ok()) << sql;
    const auto violated = Violated();
    ASSERT_EQ(violated.count(name), 1u) << sql;
    EXPECT_FALSE(violated.at(name).examples.empty());
    std::filesystem::copy_file(whole, path_, std::filesystem::copy_options::overwrite_existing);
  }
  EXPECT_THAT(Names(), IsEmpty()) << "or what was broken stayed broken";
}

TEST_F(DatabaseCheckTest, FilesOfNoTrialAndMissingOnesOfAWorkerAreNamed) {
  ASSERT_TRUE(
      Run("UPDATE result SET purpose = 'FINAL', weights_path = '/w/' || trial_id || '.safetensors' WHERE "
          "trial_id < 3; UPDATE result SET weights_path = '' WHERE trial_id = 3; UPDATE trial SET state = "
          "'PENDING', checkpoint_path = '/w/c', checkpoint_worker_id = (SELECT id FROM worker) WHERE id = 3")
          .ok());
  const std::string worker = testing::SampleWorker().id;
  const auto files = CompareWorkerFiles(path_, worker, {"1.safetensors", "c", "left"});
  ASSERT_TRUE(files.ok()) << files.status();
  EXPECT_THAT(files->orphans, ElementsAre("left"));
  EXPECT_THAT(files->missing, ElementsAre("2.safetensors"));
  EXPECT_THAT(CompareWorkerFiles(path_, "another", {"1.safetensors"})->orphans, ElementsAre("1.safetensors"));
}

TEST_F(DatabaseCheckTest, DamagedPagesAreSaidAloneAndFirst) {
  {
    std::fstream file(path_, std::ios::in | std::ios::out | std::ios::binary);
    for (int64_t page = 12; page < 16; ++page)
      file.seekp(page * 4096).write(std::string(4096, '\x7f').data(), 4096);
  }
  EXPECT_THAT(Names(), ElementsAre("the file's pages and indices are whole"));
}

TEST_F(DatabaseCheckTest, OtherFilesAreRefused) {
  std::ofstream(directory_.File("text.db")) << std::string(8192, 'x');
  EXPECT_THAT(Message(CheckDatabase(directory_.File("text.db"), false).status()),
              HasSubstr("no database of Canopy"));
  EXPECT_EQ(CheckDatabase(directory_.File("none.db"), false).status().code(), absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace canopy::storage
