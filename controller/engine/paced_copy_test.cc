#include "controller/engine/paced_copy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>

#include "controller/engine/engine_fixture.h"
#include "storage/database.h"
#include "storage/database_copy.h"

namespace canopy::engine {
namespace {

constexpr int64_t kMaxLogBytes = 1 << 20;

class PacedCopyTest : public EngineTest {
 protected:
  // A database that takes many slices.
  void SetUp() override {
    EngineTest::SetUp();
    engine_.reset();
    {
      const auto database = storage::Database::Open(path_, storage::Database::Mode::kReadWrite);
      ASSERT_TRUE((*database)
                      ->RunScript("CREATE TABLE filler (bytes BLOB); INSERT INTO filler VALUES "
                                  "(randomblob(60000000)), (randomblob(60000000))")
                      .ok());
    }
    StartEngine({.max_wal_bytes = kMaxLogBytes});
    Hello();
  }
  std::string target() const { return folder_ + "/copy.db"; }
};

TEST_F(PacedCopyTest, ResultsAreTakenMeanwhileAndTheLogStaysSmall) {
  constexpr int64_t kTrials = 150;
  ASSERT_TRUE(CallForUser("u1", "d", Campaign("c", kTrials)).ok());
  int64_t taken = 0, slices = 0;
  uintmax_t log_bytes = 0;
  storage::CopyOptions options;
  options.copy_pages = CopiesBetweenTransactions(*engine_, path_);
  options.pages_per_step = 128;
  options.cancelled = [&] {
    ++slices;
    for (int i = 0; i < 10 && taken < kTrials; ++i, ++taken) RunToTheEnd(1);
    log_bytes = std::max(log_bytes, std::filesystem::file_size(path_ + "-wal"));
    return false;
  };
  const auto facts = storage::CopyDatabase(path_, target(), options);
  ASSERT_TRUE(facts.ok()) << facts.status();
  EXPECT_GT(slices, kTrials / 10) << "or the log's size says nothing";
  EXPECT_EQ(facts->results, kTrials);
  EXPECT_LT(log_bytes, 2 * kMaxLogBytes);
  EXPECT_EQ(State(1), model::CampaignState::kCompleted);
}

TEST_F(PacedCopyTest, AnEngineThatStopsLeavesNoCopy) {
  int slices = 0;
  storage::CopyOptions options;
  options.copy_pages = CopiesBetweenTransactions(*engine_, path_);
  options.cancelled = [&] {
    if (++slices == 3) engine_->Stop();
    return false;
  };
  const auto facts = storage::CopyDatabase(path_, target(), options);
  EXPECT_TRUE(absl::IsUnavailable(facts.status())) << facts.status();
  EXPECT_EQ(slices, 3);
  EXPECT_FALSE(std::filesystem::exists(target()));
  EXPECT_FALSE(std::filesystem::exists(target() + storage::kPartialSuffix));
}

TEST_F(PacedCopyTest, OneThatIsGivenUpMakesRoomForTheNext) {
  int slices = 0;
  storage::CopyOptions options;
  options.copy_pages = CopiesBetweenTransactions(*engine_, path_);
  options.cancelled = [&] { return ++slices == 3; };
  EXPECT_TRUE(absl::IsCancelled(storage::CopyDatabase(path_, target(), options).status()));
  const auto facts = storage::CopyDatabase(path_, target(), options);
  EXPECT_TRUE(facts.ok()) << facts.status();
}

}  // namespace
}  // namespace canopy::engine
