#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <future>
#include <memory>
#include <string>
#include <utility>
#include <variant>

#include "base/file.h"
#include "controller/engine/engine.h"
#include "controller/engine/engine_fixture.h"
#include "storage/database.h"
#include "storage/reader.h"

namespace canopy::engine {
namespace {

using ::testing::HasSubstr;

// `free_bytes` outlives the engine.
EngineOptions OnDiskWith(const std::string& folder, const std::atomic<int64_t>& free_bytes) {
  EngineOptions options;
  options.disk.folder = folder;
  options.disk.free_bytes = [&]() -> StatusOr<int64_t> { return free_bytes.load(); };
  return options;
}

TEST_F(EngineTest, AWriteThatFailsEndsTheEngineAndAcknowledgesNothing) {
  const auto failure = std::make_shared<std::promise<Status>>();
  EngineOptions options;
  options.on_storage_failure = [failure](const Status& status) { failure->set_value(status); };
  constexpr int64_t kPages = 150;
  StartEngine(std::move(options), kPages);
  int64_t acknowledged = 0;
  for (bool going = true; going; acknowledged += going) {
    const std::string number = std::to_string(acknowledged);
    try {
      going = CallForUser("u" + number, "d", Campaign("c" + number, 5)).ok();
    } catch (const std::future_error&) {
      going = false;  // dropped unanswered
    }
  }
  EXPECT_EQ(failure->get_future().get().code(), absl::StatusCode::kResourceExhausted);
  StartEngine();
  EXPECT_EQ(static_cast<int64_t>((*storage::Reader::Open(path_))->Campaigns(0, 1000)->size()), acknowledged);
}

TEST_F(EngineTest, WhileAReaderKeepsTheLogGrowingNoWorkIsGivenOutAndResultsAreTaken) {
  StartEngine({.max_wal_bytes = 256 * 1024});
  Hello();
  controller::LaunchCampaign launch = Campaign("c", 5'000);
  launch.campaign.settings.duplicates = model::DuplicatePolicy::kEvaluate;
  ASSERT_TRUE(CallForUser("u1", "d", launch).ok());
  controller::Lease lease = TakeLease("first");
  auto reader = storage::Database::Open(path_, storage::Database::Mode::kReadOnly);
  ASSERT_TRUE(reader.ok());
  ASSERT_TRUE((*reader)->RunScript("BEGIN; SELECT COUNT(*) FROM trial").ok());

  Status refused;
  for (int i = 0; i < 2'000 && refused.ok(); ++i) {
    EXPECT_EQ(Report(lease), OutcomeVerdict::kAccepted);
    const StatusOr<ReplyBody> reply = Call(Ask("r" + std::to_string(i)), 60'000);
    refused = reply.status();
    if (reply.ok()) lease = std::get<Exchanged>(*reply).lease.value();
  }
  EXPECT_TRUE(absl::IsResourceExhausted(refused)) << refused;
  EXPECT_THAT(Message(refused), HasSubstr("reads the database for long"));
  EXPECT_THAT(engine_->statistics().held_back, HasSubstr("No more work"));
  EXPECT_TRUE(absl::IsResourceExhausted(CallForUser("u2", "d", Campaign("d", 5)).status()));

  ASSERT_TRUE((*reader)->RunScript("COMMIT").ok());
  clock_.Advance(2'000);
  StatusOr<ReplyBody> reply = Call(Ask("again"), 60'000);
  for (int i = 0; i < 100 && absl::IsResourceExhausted(reply.status()); ++i) {
    clock_.Advance(2'000);
    reply = Call(Ask("again" + std::to_string(i)), 60'000);
  }
  ASSERT_TRUE(reply.ok()) << reply.status();
  EXPECT_TRUE(std::get<Exchanged>(*reply).lease.has_value());
}

TEST_F(EngineTest, TheLogBeginsAnewAgainAndAgain) {
  constexpr int64_t kMaxWalBytes = 1 << 20;
  StartEngine({.max_wal_bytes = kMaxWalBytes});
  Hello();
  controller::LaunchCampaign launch = Campaign("c", 5'000);
  launch.campaign.settings.duplicates = model::DuplicatePolicy::kEvaluate;
  ASSERT_TRUE(CallForUser("u1", "d", launch).ok());
  for (int i = 0; i < 200; ++i)
    ASSERT_EQ(Report(TakeLease("r" + std::to_string(i))), OutcomeVerdict::kAccepted);
  EXPECT_LT(std::filesystem::file_size(path_ + "-wal"), size_t{kMaxWalBytes})
      << "all results take ten times it";
}

TEST_F(EngineTest, AFullDiskRefusesWorkersAndUsersAndTakesTheirWorkOnceThereIsRoom) {
  std::atomic<int64_t> free_bytes = int64_t{1} << 40;
  StartEngine(OnDiskWith(folder_, free_bytes));
  Hello();
  ASSERT_TRUE(CallForUser("l1", "d", Campaign("first", 3)).ok());
  const controller::Lease lease = TakeLease("r1");
  EXPECT_TRUE(FileExists(folder_ + "/reserve"));
  free_bytes = int64_t{10} << 20;
  controller::WorkerExchange report;
  report.worker_id = worker_id_;
  report.outcome = Success(lease);
  EXPECT_TRUE(absl::IsResourceExhausted(Call(report).status()));
  EXPECT_TRUE(absl::IsResourceExhausted(CallForUser("l2", "d", Campaign("second", 3)).status()));
  EXPECT_TRUE(engine_->statistics().disk_low);
  EXPECT_EQ(engine_->Look({.fleet = true}).fleet.workers, 1) << "who only looks is answered";
  EXPECT_FALSE(FileExists(folder_ + "/reserve")) << "what was open may need its space";
  for (int s = 0; s < 120; s += 4) {
    clock_.Advance(4'000);
    engine_->Look({});
  }
  EXPECT_EQ((*storage::Reader::Open(path_))->Trial("first/1")->row.trial.state, model::TrialState::kLeased)
      << "no heartbeat could be heard";
  free_bytes = int64_t{1} << 40;
  const StatusOr<ReplyBody> taken = Call(report);
  ASSERT_TRUE(taken.ok()) << taken.status();
  EXPECT_EQ(std::get<Exchanged>(*taken).verdict, controller::OutcomeVerdict::kAccepted);
  EXPECT_TRUE(CallForUser("l2", "d", Campaign("second", 3)).ok()) << "the same request id";
  EXPECT_TRUE(FileExists(folder_ + "/reserve"));
  engine_.reset();  // before free_bytes
}

TEST_F(EngineTest, ARequestForWorkThatWaitsWhenTheDiskFillsUpEndsWithoutAny) {
  std::atomic<int64_t> free_bytes = int64_t{1} << 40;
  StartEngine(OnDiskWith(folder_, free_bytes));
  Hello();
  const auto reply = std::make_shared<std::promise<StatusOr<ReplyBody>>>();
  engine_->Submit(
      engine_->NewToken(), Ask("r1"),
      [reply](StatusOr<ReplyBody> body) { reply->set_value(std::move(body)); }, 3'600'000);
  free_bytes = int64_t{10} << 20;
  const StatusOr<ReplyBody> ended = reply->get_future().get();
  if (ended.ok())
    EXPECT_FALSE(std::get<controller::Exchanged>(*ended).lease.has_value());
  else
    EXPECT_TRUE(absl::IsResourceExhausted(ended.status())) << "it came too late to wait";
  engine_.reset();  // before free_bytes
}

}  // namespace
}  // namespace canopy::engine
