#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "base/random.h"
#include "controller/service/report.h"
#include "controller/service/service_fixture.h"
#include "rpc/protocol.h"

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

// Newcombe (1998), table II: 15 of 148.
TEST(WilsonIntervalTest, MatchesPublishedFigures) {
  const auto [low, high] = WilsonInterval(15.0 / 148, 148);
  EXPECT_NEAR(low, 0.0624, 5e-5);
  EXPECT_NEAR(high, 0.1605, 5e-5);
  EXPECT_EQ(WilsonInterval(0.5, 0), (std::pair<double, double>{0, 1}));
}

}  // namespace
}  // namespace canopy::controller
