#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <future>
#include <string>
#include <thread>

#include "base/random.h"
#include "controller/service/report.h"
#include "controller/service/service_fixture.h"
#include "rpc/channel.h"
#include "rpc/protocol.h"
#include "storage/database.h"
#include "storage/database_copy.h"

namespace canopy::controller {
namespace {

using ::testing::HasSubstr;
using WorkerStub = v1::WorkerService::Stub;
using CampaignStub = v1::CampaignService::Stub;

class CampaignServiceTest : public ServiceTest {
 protected:
  void SetUp() override {
    ServiceTest::SetUp();
    campaigns_ = Campaigns(local());
    workers_ = Workers(local());
  }
  void Greet(const v1::WorkerHelloRequest& request) {
    v1::WorkerHelloReply reply;
    const grpc::Status status = Call(*workers_, &WorkerStub::Hello, request, &reply);
    ASSERT_TRUE(status.ok()) << status.error_message();
  }
  grpc::Status Launch(const v1::LaunchRequest& request) {
    return Call(*campaigns_, &CampaignStub::Launch, request, &launched_);
  }
  static v1::LaunchRequest Without(v1::LaunchRequest request, const std::string& from,
                                   const std::string& to) {
    std::string& text = *request.mutable_campaign_text();
    text.replace(text.find(from), from.size(), to);
    return request;
  }

  std::unique_ptr<CampaignStub> campaigns_;
  std::unique_ptr<WorkerStub> workers_;
  v1::LaunchReply launched_;
};

TEST_F(CampaignServiceTest, LaunchingSettlesModeDatasetAndShape) {
  Greet(HelloRequest(NewUuid()));
  const grpc::Status status = Launch(LaunchRequest("l1"));
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(launched_.name(), "default/toy");
  EXPECT_EQ(launched_.settled().at("numeric_mode"), "fp32");
  EXPECT_EQ(launched_.settled().at("dataset_digest"), "d1");
  v1::GetCampaignRequest request;
  request.set_campaign("toy");
  v1::CampaignStatus campaign;
  ASSERT_TRUE(Call(*campaigns_, &CampaignStub::GetCampaign, request, &campaign).ok());
  EXPECT_EQ(campaign.summary().state(), v1::CAMPAIGN_STATE_RUNNING);
  EXPECT_EQ(campaign.summary().owner(), "ada");
}

TEST_F(CampaignServiceTest, Bf16IsChosenOnlyWhereEveryWorkerIsFastInIt) {
  v1::WorkerHelloRequest fast = HelloRequest(NewUuid());
  fast.mutable_worker()->set_fast_numeric_mode("bf16");
  Greet(fast);
  v1::LaunchRequest dry = LaunchRequest("");
  dry.set_dry_run(true);
  ASSERT_TRUE(Launch(dry).ok());
  EXPECT_EQ(launched_.settled().at("numeric_mode"), "bf16");
  Greet(HelloRequest(NewUuid()));
  ASSERT_TRUE(Launch(dry).ok());
  EXPECT_EQ(launched_.settled().at("numeric_mode"), "fp32");
}

TEST_F(CampaignServiceTest, WithoutWorkersAnAutomaticModeAsksForOne) {
  const grpc::Status status = Launch(LaunchRequest("l1"));
  EXPECT_EQ(status.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_THAT(status.error_message(), HasSubstr("trainer.numeric_mode=fp32"));
  v1::LaunchRequest request = LaunchRequest("l1");
  request.add_overrides("trainer.numeric_mode=fp32");
  EXPECT_TRUE(Launch(request).ok());
}

TEST_F(CampaignServiceTest, ADatasetThatNoWorkerHasIsNamedWithThoseThatTheyHave) {
  Greet(HelloRequest(NewUuid()));
  const grpc::Status status = Launch(Without(LaunchRequest("l1"), "dataset: toy", "dataset: toi"));
  EXPECT_EQ(status.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_THAT(status.error_message(), HasSubstr("they have toy"));
}

TEST_F(CampaignServiceTest, AWrongFileIsRefusedWithItsPosition) {
  Greet(HelloRequest(NewUuid()));
  grpc::Status status = Launch(Without(LaunchRequest("l1"), "seed: 1\n", "sead: 1\n"));
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  status = Launch(Without(LaunchRequest("l1"), "seed: 1\n", "constraints: [\"parms < 5\"]\nseed: 1\n"));
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(), HasSubstr("toy-campaign.yaml:"));
  EXPECT_THAT(status.error_message(), HasSubstr("params"));
}

TEST_F(CampaignServiceTest, ANameThatNoViewMayHaveIsRefusedBeforeTheLaunch) {
  Greet(HelloRequest(NewUuid()));
  v1::LaunchRequest dry = LaunchRequest("");
  dry.set_dry_run(true);
  dry.set_name("sqlite-x");
  EXPECT_EQ(Launch(dry).error_code(), grpc::StatusCode::INVALID_ARGUMENT);
}

TEST_F(CampaignServiceTest, StrictRefusesMixedBuilds) {
  Greet(HelloRequest(NewUuid()));
  v1::WorkerHelloRequest other = HelloRequest(NewUuid());
  other.mutable_worker()->set_trainer_build("t2");
  Greet(other);
  v1::LaunchRequest dry = LaunchRequest("");
  dry.set_dry_run(true);
  ASSERT_TRUE(Launch(dry).ok());
  EXPECT_EQ(launched_.warnings_size(), 1);
  dry.add_overrides("strict=true");
  EXPECT_EQ(Launch(dry).error_code(), grpc::StatusCode::FAILED_PRECONDITION);
}

TEST_F(CampaignServiceTest, ARepeatedLaunchGetsItsFirstAnswer) {
  Greet(HelloRequest(NewUuid()));
  ASSERT_TRUE(Launch(LaunchRequest("l1")).ok());
  const std::string first = launched_.SerializeAsString();
  ASSERT_TRUE(Launch(LaunchRequest("l1")).ok());
  EXPECT_EQ(launched_.campaign_id(), 1);
  EXPECT_EQ(launched_.name(), "default/toy");
  v1::LaunchRequest other = LaunchRequest("l1");
  other.set_name("other");
  EXPECT_EQ(Launch(other).error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_EQ(Launch(LaunchRequest("l2")).error_code(), grpc::StatusCode::ALREADY_EXISTS);
}

TEST_F(CampaignServiceTest, ACallThatWaitsForAThreadAtTheStopIsToldToComeAgain) {
  std::promise<void> go_on;
  const std::shared_future<void> released = go_on.get_future().share();
  std::atomic<int> blocked{0};
  for (int i = 0; i < 2; ++i)
    ASSERT_TRUE(pool_->Add([&] {
      ++blocked;
      released.wait();
    }));
  while (blocked < 2) std::this_thread::yield();
  auto channel = *rpc::OpenChannel(local(), nullptr);
  grpc::Status status;
  std::promise<void> answered;
  const auto stub = v1::CampaignService::NewStub(channel);
  grpc::ClientContext context;
  v1::ListCampaignsRequest request;
  v1::ListCampaignsReply reply;
  stub->async()->ListCampaigns(&context, &request, &reply, [&](const grpc::Status& answer) {
    status = answer;
    answered.set_value();
  });
  // Its calls come in the order of their sending, so that the other waits for a thread once this is answered.
  v1::WorkerHelloReply greeted;
  ASSERT_TRUE(Call(*v1::WorkerService::NewStub(channel), &v1::WorkerService::Stub::Hello,
                   HelloRequest(NewUuid()), &greeted)
                  .ok());
  std::thread stop([&] { pool_->Stop(); });
  std::atomic<bool> stopping{false};
  while (!stopping) {
    pool_->Add([] {}, [&] { stopping = true; });
    std::this_thread::yield();
  }
  go_on.set_value();
  stop.join();
  answered.get_future().wait();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_THAT(status.error_message(), HasSubstr("repeat the call"));
}

class CampaignUpdateTest : public CampaignServiceTest {
 protected:
  void SetUp() override {
    CampaignServiceTest::SetUp();
    const v1::WorkerHelloRequest hello = HelloRequest(worker_id_);
    Greet(hello);
    ASSERT_TRUE(Launch(LaunchRequest("l1")).ok());
    lease_ = TakeLease(*workers_, worker_id_, "r1");
  }
  v1::LaunchRequest UpdateRequest(const std::string& id) const {
    v1::LaunchRequest request = LaunchRequest(id);
    request.set_update(true);
    return request;
  }
  static v1::LaunchRequest WithSpace(v1::LaunchRequest request, const std::string& from,
                                     const std::string& to) {
    std::string& text = *request.mutable_space_text();
    text.replace(text.find(from), from.size(), to);
    return request;
  }
  v1::CampaignStatus Status() {
    v1::GetCampaignRequest request;
    request.set_campaign("toy");
    v1::CampaignStatus status;
    EXPECT_TRUE(Call(*campaigns_, &CampaignStub::GetCampaign, request, &status).ok());
    return status;
  }

  const std::string worker_id_ = NewUuid();
  v1::Lease lease_;
};

TEST_F(CampaignUpdateTest, TheSameFilesChangeNothing) {
  v1::LaunchRequest request = UpdateRequest("u1");
  request.mutable_space_text()->append("# a comment\n");
  ASSERT_TRUE(Launch(request).ok());
  EXPECT_EQ(launched_.update().changes_size(), 0);
  EXPECT_EQ(Status().space_versions_size(), 1);
}

TEST_F(CampaignUpdateTest, AWiderSpaceIsAVersionThatCarriesEveryTrialOver) {
  const v1::LaunchRequest request = WithSpace(UpdateRequest("u1"), "int: [1, 64]", "int: [1, 128]");
  v1::LaunchRequest dry = request;
  dry.set_dry_run(true);
  ASSERT_TRUE(Launch(dry).ok());
  ASSERT_EQ(launched_.update().changes_size(), 1);
  EXPECT_EQ(launched_.update().changes(0).what(), "space: width");
  EXPECT_EQ(Status().space_versions_size(), 1) << "--dry-run changes nothing";

  ASSERT_TRUE(Launch(request).ok());
  EXPECT_EQ(launched_.update().space_version(), 2);
  EXPECT_GE(launched_.update().trials_carried(), 1);
  EXPECT_EQ(launched_.update().trials_set_aside(), 0);
  const std::string answer = launched_.SerializeAsString();
  ASSERT_TRUE(Launch(request).ok()) << "a repetition";
  EXPECT_EQ(launched_.SerializeAsString(), answer);
  const v1::CampaignStatus status = Status();
  EXPECT_EQ(status.summary().space_version(), 2);
  ASSERT_EQ(status.space_versions_size(), 2);
  EXPECT_THAT(status.space_text(), HasSubstr("128"));
  EXPECT_NE(status.space_versions(0).space_hash(), status.space_versions(1).space_hash());
}

TEST_F(CampaignUpdateTest, ASpaceWithOperatorsOfItsOwnNeedsWorkersThatHaveThem) {
  const std::string own = "operators:\n  eca: {input: image, output: same}\nnetwork:\n  - eca\n";
  ASSERT_TRUE(Launch(WithSpace(UpdateRequest("u1"), "network:\n", own)).ok());
  const auto row = reader_->Campaign("toy");
  ASSERT_TRUE(row.ok()) << row.status();
  EXPECT_THAT(row->campaign.settings.operators, testing::ElementsAre("eca"));
}

TEST_F(CampaignUpdateTest, AnotherNetworkUnderTheSameNamesSetsEveryTrialAside) {
  const v1::LaunchRequest request =
      WithSpace(UpdateRequest("u1"), "  - global_avg_pool", "  - relu\n  - global_avg_pool");
  ASSERT_TRUE(Launch(request).ok());
  const v1::CampaignUpdate& update = launched_.update();
  EXPECT_EQ(update.trials_carried(), 0);
  EXPECT_EQ(update.trials_running_on(), 1);
  EXPECT_EQ(update.trials_set_aside(), update.trials_running_on() + update.trials_cancelled());
  ASSERT_GE(update.reasons_size(), 1);
  EXPECT_EQ(update.reasons(0).reason(), "its decisions now make another network");
  EXPECT_THAT(update.reasons(0).example(), HasSubstr("toy/"));

  v1::ExchangeReply reply;
  ASSERT_TRUE(Call(*workers_, &WorkerStub::Exchange, SuccessOf(worker_id_, lease_), &reply).ok());
  EXPECT_EQ(reply.verdict(), v1::OUTCOME_VERDICT_ACCEPTED);
  EXPECT_EQ(Status().best_size(), 0);
  v1::GetTrialRequest trial;
  trial.set_trial("toy/1");
  v1::TrialDetails details;
  ASSERT_TRUE(Call(*campaigns_, &CampaignStub::GetTrial, trial, &details).ok());
  EXPECT_EQ(details.summary().space_version(), 1);
  EXPECT_EQ(details.summary().set_aside(), "its decisions now make another network");
  EXPECT_EQ(details.summary().metrics().at("val_accuracy"), 0.5) << "it is kept";
}

TEST_F(CampaignUpdateTest, ARankingLooksAtWhatTheVersionInForceCounts) {
  v1::ExchangeReply reply;
  ASSERT_TRUE(Call(*workers_, &WorkerStub::Exchange, SuccessOf(worker_id_, lease_), &reply).ok());
  EXPECT_EQ(Status().best_size(), 1);
  const auto database = storage::Database::Open(folder_ + "/canopy.db", storage::Database::Mode::kReadOnly);
  const auto skipped = [&] { return *(*database)->QueryInt("SELECT SUM(skipped) FROM result"); };
  ASSERT_TRUE(
      Launch(WithSpace(UpdateRequest("u1"), "  - global_avg_pool", "  - relu\n  - global_avg_pool")).ok());
  EXPECT_EQ(skipped(), 1);
  EXPECT_EQ(Status().best_size(), 0);
  ASSERT_TRUE(Launch(UpdateRequest("u2")).ok());
  EXPECT_EQ(launched_.update().space_version(), 3);
  EXPECT_EQ(skipped(), 0);
  EXPECT_EQ(Status().best_size(), 1);
}

TEST_F(CampaignUpdateTest, BudgetAndFinalsMayChangeWithoutAVersion) {
  v1::LaunchRequest request = Without(UpdateRequest("u1"), "trials: 4", "trials: 9");
  request.add_overrides("finals={top: 1, seeds: 2}");
  ASSERT_TRUE(Launch(request).ok());
  EXPECT_EQ(launched_.update().changes_size(), 3);
  EXPECT_EQ(launched_.update().changes(0).what(), "budget.trials");
  EXPECT_EQ(launched_.update().changes(0).before(), "4");
  EXPECT_EQ(launched_.update().changes(0).after(), "9");
  EXPECT_EQ(Status().space_versions_size(), 1);
  EXPECT_GT(Status().trials_left(), 4);
  // What --set said stays in force.
  ASSERT_TRUE(Launch(Without(UpdateRequest("u2"), "trials: 4", "trials: 9")).ok());
  EXPECT_EQ(launched_.update().changes_size(), 0);
}

TEST_F(CampaignUpdateTest, BudgetsOfTimeMayChangeAndADateIsToCome) {
  const auto with = [&](const std::string& id, const std::string& budget) {
    return Without(UpdateRequest(id), "{trials: 4}", budget);
  };
  ASSERT_TRUE(Launch(with("u1", "{device_time: 2h, until: 2096-12-24T18:00:00Z}")).ok());
  ASSERT_EQ(launched_.update().changes_size(), 3);
  EXPECT_EQ(launched_.update().changes(1).what(), "budget.device_time");
  EXPECT_EQ(launched_.update().changes(1).after(), "2 h 00 m");
  EXPECT_EQ(launched_.update().changes(2).after(), "2096-12-24T18:00:00.000000Z");
  EXPECT_GT(Status().device_left_ms(), 7'000'000);
  EXPECT_EQ(Status().until_us(), 4'007'210'400'000'000);
  EXPECT_GT(Status().time_left_ms(), 0);
  const grpc::Status past = Launch(with("u2", "{until: 2016-12-24T18:00:00Z}"));
  EXPECT_EQ(past.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(past.error_message(),
              HasSubstr("budget.until: expected a time to come, found 2016-12-24T18:00"));
}

TEST_F(CampaignUpdateTest, WhatItsNumbersMeanMayNotChange) {
  const struct {
    const char *from, *to, *named;
  } kCases[] = {{"seed: 1\n", "seed: 2\n", "seed (1 -> 2)"},
                {"dataset: toy", "dataset: toi", "task.dataset"},
                {"epochs: 2", "epochs: 3", "fidelity.epochs (2 -> 3)"},
                {"optimizer: sgd", "optimizer: sgd, batch_size: 32", "trainer.batch_size"},
                {"kind: random", "kind: regularized_evolution", "strategy.kind"},
                {"val_accuracy, goal: maximize", "val_loss, goal: minimize", "objectives"},
                {"count: 10", "count: 11", "task.validation.count"}};
  for (const auto& one : kCases) {
    const grpc::Status status = Launch(Without(UpdateRequest("u1"), one.from, one.to));
    EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT) << one.named;
    EXPECT_THAT(status.error_message(), HasSubstr(one.named));
    EXPECT_THAT(status.error_message(), HasSubstr("--name"));
    EXPECT_THAT(status.error_message(), HasSubstr("toy-campaign.yaml:"));
  }
}

TEST_F(CampaignUpdateTest, LaunchingWithOtherFilesSaysWhatDiffersAndWhatToDo) {
  grpc::Status status = Launch(WithSpace(LaunchRequest("l2"), "int: [1, 64]", "int: [1, 128]"));
  EXPECT_EQ(status.error_code(), grpc::StatusCode::ALREADY_EXISTS);
  EXPECT_THAT(status.error_message(), HasSubstr("space: width"));
  EXPECT_THAT(status.error_message(), HasSubstr("--update toy-campaign.yaml"));
  EXPECT_THAT(status.error_message(), HasSubstr("--name"));
  status = Launch(LaunchRequest("l3"));
  EXPECT_EQ(status.error_code(), grpc::StatusCode::ALREADY_EXISTS);
  EXPECT_THAT(status.error_message(), HasSubstr("with these files"));
  status = Launch(Without(LaunchRequest("l4"), "seed: 1\n", "seed: 2\n"));
  EXPECT_THAT(status.error_message(), HasSubstr("no update of it"));
}

TEST_F(CampaignUpdateTest, AnUnknownOrEndedCampaignCannotBeUpdated) {
  v1::LaunchRequest request = UpdateRequest("u1");
  request.set_name("other");
  const grpc::Status unknown = Launch(request);
  EXPECT_EQ(unknown.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_THAT(unknown.error_message(), HasSubstr("leave out --update"));
  v1::CommandRequest cancel;
  cancel.set_request_id("c1");
  cancel.set_campaign("toy");
  cancel.set_verb(v1::CAMPAIGN_VERB_CANCEL);
  v1::CommandReply reply;
  ASSERT_TRUE(Call(*campaigns_, &CampaignStub::Command, cancel, &reply).ok());
  const grpc::Status ended = Launch(Without(UpdateRequest("u2"), "trials: 4", "trials: 9"));
  EXPECT_EQ(ended.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_THAT(ended.error_message(), HasSubstr("has ended"));
}

TEST_F(CampaignServiceTest, ACommandChangesTheState) {
  Greet(HelloRequest(NewUuid()));
  ASSERT_TRUE(Launch(LaunchRequest("l1")).ok());
  v1::CommandRequest request;
  request.set_request_id("c1");
  request.set_campaign("toy");
  request.set_verb(v1::CAMPAIGN_VERB_PAUSE);
  v1::CommandReply reply;
  ASSERT_TRUE(Call(*campaigns_, &CampaignStub::Command, request, &reply).ok());
  EXPECT_EQ(reply.state(), v1::CAMPAIGN_STATE_PAUSED);
}

TEST_F(CampaignServiceTest, AnUnknownCampaignIsNotFound) {
  v1::GetCampaignRequest request;
  request.set_campaign("nothing");
  v1::CampaignStatus reply;
  EXPECT_EQ(Call(*campaigns_, &CampaignStub::GetCampaign, request, &reply).error_code(),
            grpc::StatusCode::NOT_FOUND);
}

TEST_F(CampaignServiceTest, AUserMayCopyTheDatabaseAndNotPushOldBackupsOut) {
  StartWithTls();
  const config::Credential user = *config::LoadCredential(cluster_folder_, "user");
  const auto remote = Campaigns(tcp(), &user);
  v1::BackupReply backup;
  EXPECT_EQ(Call(*remote, &CampaignStub::Backup, v1::BackupRequest(), &backup).error_code(),
            grpc::StatusCode::PERMISSION_DENIED);
  const std::string copy = folder_ + "/copy.db";
  {
    std::ofstream file(copy, std::ios::binary);
    grpc::ClientContext context;
    const auto reader = remote->Snapshot(&context, v1::SnapshotRequest());
    v1::SnapshotChunk chunk;
    while (reader->Read(&chunk)) file << chunk.data();
    const grpc::Status status = reader->Finish();
    EXPECT_TRUE(status.ok()) << status.error_message();
  }
  const auto facts = storage::VerifyDatabaseFile(copy, INT64_MAX);
  EXPECT_TRUE(facts.ok()) << facts.status();
  EXPECT_TRUE(std::filesystem::is_empty(folder_ + "/backups")) << "nothing stays on the controller's disk";
  ASSERT_TRUE(Call(*Campaigns(local()), &CampaignStub::Backup, v1::BackupRequest(), &backup).ok());
  EXPECT_TRUE(std::filesystem::exists(backup.path()));
  EXPECT_EQ(backup.facts().database_id(), facts->database_id);
}

TEST_F(CampaignServiceTest, ABackupThatFailedShowsInTheStatus) {
  Greet(HelloRequest(NewUuid()));
  ASSERT_TRUE(Launch(LaunchRequest("l1")).ok());
  v1::GetCampaignRequest request;
  request.set_campaign("toy");
  v1::CampaignStatus status;
  ASSERT_TRUE(Call(*campaigns_, &CampaignStub::GetCampaign, request, &status).ok());
  EXPECT_EQ(status.warnings_size(), 0);
  std::ofstream(folder_ + "/backups") << "in the way";
  v1::BackupReply backup;
  EXPECT_FALSE(Call(*campaigns_, &CampaignStub::Backup, v1::BackupRequest(), &backup).ok());
  ASSERT_TRUE(Call(*campaigns_, &CampaignStub::GetCampaign, request, &status).ok());
  ASSERT_EQ(status.warnings_size(), 1);
  EXPECT_THAT(status.warnings(0), HasSubstr("not backed up"));
}

// Newcombe (1998), table II: 15 of 148.
TEST(WilsonIntervalTest, MatchesPublishedFigures) {
  const auto [low, high] = WilsonInterval(15.0 / 148, 148);
  EXPECT_NEAR(low, 0.0624, 5e-5);
  EXPECT_NEAR(high, 0.1605, 5e-5);
  EXPECT_EQ(WilsonInterval(0.5, 0), (std::pair<double, double>{0, 1}));
}

}  // namespace
}  // namespace canopy::controller
