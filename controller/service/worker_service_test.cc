#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/random.h"
#include "controller/core/testing/halving_schedule.h"
#include "controller/service/service_fixture.h"
#include "rpc/protocol.h"

namespace canopy::controller {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::HasSubstr;
using WorkerStub = v1::WorkerService::Stub;
using CampaignStub = v1::CampaignService::Stub;

class WorkerServiceTest : public ServiceTest {
 protected:
  void Launch() {
    v1::LaunchReply reply;
    const grpc::Status status =
        Call(*Campaigns(local()), &CampaignStub::Launch, LaunchRequest("launch"), &reply);
    ASSERT_TRUE(status.ok()) << status.error_message();
  }
  void Greet(WorkerStub& workers, const std::string& worker_id) {
    v1::WorkerHelloReply reply;
    const grpc::Status status = Call(workers, &WorkerStub::Hello, HelloRequest(worker_id), &reply);
    ASSERT_TRUE(status.ok()) << status.error_message();
    EXPECT_FALSE(reply.database_id().empty());
    EXPECT_GT(reply.lease_ttl_ms(), 0);
  }

  v1::Lease TakeLeaseOfNewCampaign(WorkerStub& workers) {
    Greet(workers, worker_id_);
    Launch();
    return TakeLease(workers, worker_id_, "r");
  }

  const std::string worker_id_ = NewUuid();
};

TEST_F(WorkerServiceTest, AnAgentOfAnotherProtocolIsToldWhichSideToUpgrade) {
  v1::WorkerHelloRequest request = HelloRequest(worker_id_);
  request.mutable_protocol()->set_min(7);
  request.mutable_protocol()->set_max(8);
  v1::WorkerHelloReply reply;
  const grpc::Status status = Call(*Workers(local()), &WorkerStub::Hello, request, &reply);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_THAT(status.error_message(), HasSubstr("upgrade the controller"));
}

class FullQueueTest : public WorkerServiceTest {
 protected:
  FullQueueTest() { engine_options_.max_queued_events = 4; }
};

TEST_F(FullQueueTest, AResultThatFindsNoRoomIsRefusedAndCountsOnceWhenItIsRepeated) {
  const auto workers = Workers(local());
  const v1::Lease lease = TakeLeaseOfNewCampaign(*workers);
  std::promise<void> entered, go_on;
  CommandCampaign resume;
  resume.campaign_id = 1;
  resume.verb = CampaignVerb::kResume;
  engine_->SubmitForUser({"block", "d",
                          [&](const engine::ReplyBody&) {
                            entered.set_value();
                            go_on.get_future().wait();
                            return std::string("done");
                          }},
                         resume, [](const StatusOr<std::string>& answer) { EXPECT_TRUE(answer.ok()); });
  entered.get_future().wait();                       // the writer's thread stands still
  std::atomic<size_t> heard{0}, refused_at_once{0};  // proposals may have taken a place
  for (size_t i = 0; i < engine_options_.max_queued_events; ++i) {
    WorkerHeartbeat heartbeat;
    heartbeat.worker_id = worker_id_;
    engine_->Submit(engine_->NewToken(), heartbeat, [&](const StatusOr<engine::ReplyBody>& body) {
      ++(body.ok() ? heard : refused_at_once);
    });
  }
  const v1::ExchangeRequest result = SuccessOf(worker_id_, lease);
  v1::ExchangeReply reply;
  const grpc::Status refused = Call(*workers, &WorkerStub::Exchange, result, &reply);
  EXPECT_EQ(refused.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_THAT(refused.error_message(), HasSubstr("try again in a moment"));
  go_on.set_value();
  grpc::Status taken;
  do taken = Call(*workers, &WorkerStub::Exchange, result, &reply);
  while (taken.error_code() == grpc::StatusCode::RESOURCE_EXHAUSTED);
  ASSERT_TRUE(taken.ok()) << taken.error_message();
  EXPECT_EQ(reply.verdict(), v1::OUTCOME_VERDICT_ACCEPTED);
  EXPECT_EQ(heard + refused_at_once, engine_options_.max_queued_events);
  EXPECT_LE(refused_at_once, 1u) << "what was taken is answered, before what came later";
  ASSERT_TRUE(Call(*workers, &WorkerStub::Exchange, result, &reply).ok());
  EXPECT_EQ(reply.verdict(), v1::OUTCOME_VERDICT_DUPLICATE);
}

TEST_F(WorkerServiceTest, AnAgentOfTheProtocolBeforeIsServed) {
  v1::WorkerHelloRequest request = HelloRequest(worker_id_);
  request.mutable_protocol()->set_min(rpc::kProtocolMax - 1);
  request.mutable_protocol()->set_max(rpc::kProtocolMax - 1);
  v1::WorkerHelloReply reply;
  const grpc::Status status = Call(*Workers(local()), &WorkerStub::Hello, request, &reply);
  EXPECT_TRUE(status.ok()) << status.error_message();
  EXPECT_GE(reply.protocol().max(), rpc::kProtocolMax);
}

TEST_F(WorkerServiceTest, AWorkerIsDrainedByItsHostOrTheBeginningOfItsId) {
  const auto workers = Workers(local());
  const auto campaigns = Campaigns(local());
  Greet(*workers, worker_id_);
  Launch();
  const v1::Lease lease = TakeLease(*workers, worker_id_, "r1");
  v1::DrainWorkerRequest drain;
  drain.set_request_id("d1");
  drain.set_worker("h1");
  drain.set_reason("new driver");
  for (int i = 0; i < 2; ++i) {  // a repetition is answered alike
    v1::DrainWorkerReply reply;
    const grpc::Status status = Call(*campaigns, &CampaignStub::DrainWorker, drain, &reply);
    ASSERT_TRUE(status.ok()) << status.error_message();
    EXPECT_EQ(reply.worker_id(), worker_id_);
    EXPECT_EQ(reply.running_attempts(), 1);
  }
  v1::ListWorkersRequest one;
  one.set_worker(worker_id_.substr(0, 6));
  v1::ListWorkersReply list;
  ASSERT_TRUE(Call(*campaigns, &CampaignStub::ListWorkers, one, &list).ok());
  ASSERT_EQ(list.workers_size(), 1);
  EXPECT_EQ(list.workers(0).state(), v1::WORKER_STATE_DRAINING);
  EXPECT_EQ(list.workers(0).drains(0).reason(), "new driver");
  EXPECT_EQ(list.workers(0).running(0).trial(), "toy/1");
  v1::ExchangeReply reported;
  ASSERT_TRUE(Call(*workers, &WorkerStub::Exchange, SuccessOf(worker_id_, lease), &reported).ok());
  EXPECT_EQ(reported.verdict(), v1::OUTCOME_VERDICT_ACCEPTED);
  ASSERT_TRUE(Call(*campaigns, &CampaignStub::ListWorkers, one, &list).ok());
  EXPECT_EQ(list.workers(0).state(), v1::WORKER_STATE_DRAINED);

  one.set_worker("nobody");
  const grpc::Status unknown = Call(*campaigns, &CampaignStub::ListWorkers, one, &list);
  EXPECT_EQ(unknown.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_THAT(unknown.error_message(), HasSubstr("canopy worker list"));
}

TEST_F(WorkerServiceTest, ALeaseCarriesAllThatATrainerNeeds) {
  const auto workers = Workers(local());
  Greet(*workers, worker_id_);
  Launch();
  const v1::Lease lease = TakeLease(*workers, worker_id_, "r1");
  EXPECT_EQ(lease.trial_name(), "default/toy/1");
  EXPECT_EQ(lease.purpose(), v1::PURPOSE_SEARCH);
  EXPECT_EQ(lease.epochs(), 2);
  EXPECT_EQ(lease.numeric_mode(), "fp32");
  EXPECT_EQ(lease.dataset_digest(), "d1");
  EXPECT_THAT(lease.graph_json(), HasSubstr("conv2d"));
  EXPECT_THAT(lease.recipe_json(), HasSubstr("learning_rate"));
  EXPECT_THAT(lease.recipe_json(), Not(HasSubstr("width")));
}

TEST_F(WorkerServiceTest, ARepeatedExchangeGivesTheSameLeaseAndCountsItsOutcomeOnce) {
  const auto workers = Workers(local());
  Greet(*workers, worker_id_);
  Launch();
  const v1::Lease lease = TakeLease(*workers, worker_id_, "r1");
  EXPECT_EQ(TakeLease(*workers, worker_id_, "r1").fence(), lease.fence());
  const v1::ExchangeRequest success = SuccessOf(worker_id_, lease);
  v1::ExchangeReply reply;
  ASSERT_TRUE(Call(*workers, &WorkerStub::Exchange, success, &reply).ok());
  EXPECT_EQ(reply.verdict(), v1::OUTCOME_VERDICT_ACCEPTED);
  ASSERT_TRUE(Call(*workers, &WorkerStub::Exchange, success, &reply).ok());
  EXPECT_EQ(reply.verdict(), v1::OUTCOME_VERDICT_DUPLICATE);
}

TEST_F(WorkerServiceTest, AWorkerThatNeverSaidHelloIsAskedTo) {
  v1::HeartbeatRequest heartbeat;
  heartbeat.set_worker_id(worker_id_);
  v1::HeartbeatReply reply;
  ASSERT_TRUE(Call(*Workers(local()), &WorkerStub::Heartbeat, heartbeat, &reply).ok());
  EXPECT_TRUE(reply.hello_needed());
}

TEST_F(WorkerServiceTest, AnOutcomeWithoutAnEndIsRefused) {
  const auto workers = Workers(local());
  Greet(*workers, worker_id_);
  v1::ExchangeRequest request;
  request.set_worker_id(worker_id_);
  request.mutable_outcome()->set_result_id(std::string(32, 'a'));
  v1::ExchangeReply reply;
  EXPECT_EQ(Call(*workers, &WorkerStub::Exchange, request, &reply).error_code(),
            grpc::StatusCode::INVALID_ARGUMENT);
}

TEST_F(WorkerServiceTest, AFailureOfAClassThatANewerAgentKnowsIsACrash) {
  const auto workers = Workers(local());
  Greet(*workers, worker_id_);
  Launch();
  const v1::Lease lease = TakeLease(*workers, worker_id_, "r1");
  EXPECT_EQ(lease.device_count(), 1);
  v1::ExchangeRequest request = SuccessOf(worker_id_, lease);
  request.mutable_outcome()->mutable_failure()->set_failure_class(static_cast<v1::FailureClass>(99));
  v1::ExchangeReply reply;
  const grpc::Status status = Call(*workers, &WorkerStub::Exchange, request, &reply);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(reply.verdict(), v1::OUTCOME_VERDICT_ACCEPTED);
  v1::GetTrialRequest ask;
  ask.set_trial(std::to_string(lease.trial_id()));
  v1::TrialDetails trial;
  ASSERT_TRUE(Call(*Campaigns(local()), &CampaignStub::GetTrial, ask, &trial).ok());
  ASSERT_EQ(trial.attempts_size(), 1);
  EXPECT_EQ(trial.attempts(0).failure_class(), v1::FAILURE_CLASS_TRAINER_CRASH);
  EXPECT_EQ(trial.attempts(0).owner(), "ada");
  EXPECT_EQ(trial.attempts(0).device_share(), 1);
}

TEST_F(WorkerServiceTest, StoppingEndsWaitingPolls) {
  const auto workers = Workers(local());
  Greet(*workers, worker_id_);
  grpc::Status status;
  std::thread poll([&] {
    v1::ExchangeRequest ask;
    ask.set_worker_id(worker_id_);
    ask.set_request_id("r1");
    ask.set_wants_lease(true);
    ask.set_wait_ms(60'000);
    v1::ExchangeReply reply;
    status = Call(*workers, &WorkerStub::Exchange, ask, &reply);
  });
  // The poll waits once the writer has seen two events of this worker.
  while (engine_->statistics().events < 3) std::this_thread::yield();
  StopServer();
  poll.join();
  EXPECT_TRUE(status.ok() || status.error_code() == grpc::StatusCode::UNAVAILABLE) << status.error_message();
}

class TlsTest : public WorkerServiceTest {
 protected:
  void SetUp() override {
    WorkerServiceTest::SetUp();
    StartWithTls();
    const auto bundle = config::AddWorker(cluster_folder_, "node-1");
    ASSERT_TRUE(bundle.ok()) << bundle.status();
    bundle_ = *bundle;
    worker_ = *config::LoadCredential(bundle_.folder, "worker");
    user_ = *config::LoadCredential(cluster_folder_, "user");
  }

  config::WorkerBundle bundle_;
  config::Credential worker_, user_;
};

TEST_F(TlsTest, APeerOfAnotherAuthorityIsRefused) {
  const std::string other = folder_ + "/other";
  ASSERT_TRUE(config::InitCluster(other, {"localhost"}, "eve").ok());
  config::Credential eve = *config::LoadCredential(other, "user");
  eve.ca_certificate = user_.ca_certificate;  // she trusts the server; it need not trust her
  v1::UserHelloReply reply;
  v1::UserHelloRequest request;
  const grpc::Status status = Call(*Campaigns(tcp(), &eve), &CampaignStub::Hello, request, &reply);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE);
}

TEST_F(TlsTest, EachRoleHasItsOwnCalls) {
  v1::ListWorkersReply list;
  EXPECT_TRUE(
      Call(*Campaigns(tcp(), &user_), &CampaignStub::ListWorkers, v1::ListWorkersRequest(), &list).ok());
  EXPECT_EQ(Call(*Campaigns(tcp(), &worker_), &CampaignStub::ListWorkers, v1::ListWorkersRequest(), &list)
                .error_code(),
            grpc::StatusCode::PERMISSION_DENIED);
  v1::WorkerHelloReply hello;
  EXPECT_EQ(
      Call(*Workers(tcp(), &user_), &WorkerStub::Hello, HelloRequest(bundle_.worker_id), &hello).error_code(),
      grpc::StatusCode::PERMISSION_DENIED);
  Greet(*Workers(tcp(), &worker_), bundle_.worker_id);
}

TEST_F(TlsTest, AWorkerTouchesNoOtherWorkersAttempt) {
  const auto local_workers = Workers(local());
  Greet(*local_workers, worker_id_);
  Launch();
  const v1::Lease lease = TakeLease(*local_workers, worker_id_, "r1");
  const auto workers = Workers(tcp(), &worker_);
  v1::ExchangeReply reply;
  EXPECT_EQ(Call(*workers, &WorkerStub::Exchange, SuccessOf(worker_id_, lease), &reply).error_code(),
            grpc::StatusCode::PERMISSION_DENIED);
  // Under its own name it changes nothing either.
  Greet(*workers, bundle_.worker_id);
  ASSERT_TRUE(Call(*workers, &WorkerStub::Exchange, SuccessOf(bundle_.worker_id, lease), &reply).ok());
  EXPECT_EQ(reply.verdict(), v1::OUTCOME_VERDICT_ARCHIVED);
}

TEST(ServerTest, TcpWithoutACredentialIsRefused) {
  grpc::Service none;
  const auto server = Server::Start({"/tmp/unused.sock", "127.0.0.1:0", std::nullopt}, none, none);
  EXPECT_EQ(server.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(Message(server.status()), HasSubstr("canopy cluster init"));
}

TEST_F(WorkerServiceTest, ASecondServerOnTheSocketIsRefused) {
  grpc::Service none;
  const auto server = Server::Start({socket_path_, "", std::nullopt}, none, none);
  EXPECT_EQ(server.status().code(), absl::StatusCode::kAlreadyExists);
  v1::UserHelloReply reply;
  v1::UserHelloRequest request;
  EXPECT_EQ(Call(*Campaigns(local()), &CampaignStub::Hello, request, &reply).error_code(),
            grpc::StatusCode::FAILED_PRECONDITION)
      << "the first still answers";
}

TEST_F(WorkerServiceTest, APreemptedTrialIsLeasedAgainWithItsCheckpoint) {
  const auto workers = Workers(local());
  Greet(*workers, worker_id_);
  Launch();
  const v1::Lease lease = TakeLease(*workers, worker_id_, "r1");
  EXPECT_FALSE(lease.has_checkpoint());
  v1::ExchangeRequest preempted = SuccessOf(worker_id_, lease);
  v1::AttemptFailure& failure = *preempted.mutable_outcome()->mutable_failure();
  failure.set_failure_class(v1::FAILURE_CLASS_PREEMPTED);
  failure.set_message("the agent was told to end");
  failure.mutable_checkpoint()->set_path("/c1");
  failure.mutable_checkpoint()->set_sha256("5ha");
  failure.mutable_checkpoint()->set_epoch(2);
  failure.mutable_checkpoint()->set_step(131);
  v1::ExchangeReply reply;
  ASSERT_TRUE(Call(*workers, &WorkerStub::Exchange, preempted, &reply).ok());
  EXPECT_EQ(reply.verdict(), v1::OUTCOME_VERDICT_ACCEPTED);

  v1::GetTrialRequest explain;
  explain.set_trial(std::to_string(lease.trial_id()));
  v1::TrialExplanation explanation;
  ASSERT_TRUE(Call(*Campaigns(local()), &CampaignStub::ExplainTrial, explain, &explanation).ok());
  EXPECT_THAT(explanation.reasons(),
              Contains(AllOf(HasSubstr("from step 131 on worker " + worker_id_), HasSubstr("/c1"))));

  const v1::Lease resumed = TakeLease(*workers, worker_id_, "r2");
  EXPECT_EQ(resumed.trial_id(), lease.trial_id());
  EXPECT_EQ(resumed.checkpoint().path(), "/c1");
  EXPECT_EQ(resumed.checkpoint().sha256(), "5ha");
  EXPECT_EQ(resumed.checkpoint().epoch(), 2);
  EXPECT_EQ(resumed.checkpoint().step(), 131);
}

// Every SEARCH training reports after its first epoch, and every second one of these goes on.
class RungServiceTest : public WorkerServiceTest {
 protected:
  RungServiceTest() {
    engine_options_.make_schedule = [](const model::CampaignSettings&) {
      HalvingSchedule::Parameters parameters;
      parameters.rungs = {1};
      return StatusOr<std::unique_ptr<FidelitySchedule>>(std::make_unique<HalvingSchedule>(parameters));
    };
  }
  grpc::Status Report(WorkerStub& workers, const v1::Lease& lease, double accuracy,
                      v1::ReportRungReply* reply) {
    v1::ReportRungRequest request;
    request.set_worker_id(worker_id_);
    request.set_database_id(lease.database_id());
    request.set_incarnation(lease.incarnation());
    request.set_attempt_id(lease.attempt_id());
    request.set_trial_id(lease.trial_id());
    request.set_fence(lease.fence());
    request.set_rung(1);
    request.set_epoch(lease.rungs(0));
    (*request.mutable_metrics())["val_accuracy"] = accuracy;
    return Call(workers, &WorkerStub::ReportRung, request, reply);
  }
};

TEST_F(RungServiceTest, ATrainingPausesAtItsRungAndGoesOnFromItsCheckpoint) {
  const auto workers = Workers(local());
  v1::WorkerHelloRequest hello = HelloRequest(worker_id_);
  hello.mutable_worker()->set_rungs(true);
  v1::WorkerHelloReply welcome;
  ASSERT_TRUE(Call(*workers, &WorkerStub::Hello, hello, &welcome).ok());
  v1::LaunchRequest launch = LaunchRequest("launch");
  launch.add_overrides("fidelity.epochs=3");
  v1::LaunchReply launched;
  const grpc::Status accepted = Call(*Campaigns(local()), &CampaignStub::Launch, launch, &launched);
  ASSERT_TRUE(accepted.ok()) << accepted.error_message();

  std::vector<v1::Lease> leases;
  for (const double accuracy : {0.8, 0.6}) {
    const v1::Lease& lease =
        leases.emplace_back(TakeLease(*workers, worker_id_, "r" + std::to_string(leases.size())));
    ASSERT_EQ(lease.rungs_size(), 1);
    EXPECT_FALSE(lease.has_checkpoint());
    for (int i = 0; i < 2; ++i) {  // a repetition is answered alike
      v1::ReportRungReply reply;
      const grpc::Status status = Report(*workers, lease, accuracy, &reply);
      ASSERT_TRUE(status.ok()) << status.error_message();
      EXPECT_EQ(reply.action(), v1::RUNG_ACTION_PAUSE);
    }
    v1::ReportRungReply other;
    EXPECT_EQ(Report(*workers, lease, 0.1, &other).error_code(), grpc::StatusCode::INVALID_ARGUMENT);
    v1::ExchangeRequest paused = SuccessOf(worker_id_, lease);
    paused.mutable_outcome()->set_result_id(std::string(31, '0') + std::to_string(leases.size()));
    v1::AttemptPaused& end = *paused.mutable_outcome()->mutable_paused();
    end.set_rung(1);
    end.mutable_checkpoint()->set_path("/c" + std::to_string(leases.size()));
    end.mutable_checkpoint()->set_sha256("5ha");
    end.mutable_checkpoint()->set_epoch(1);
    v1::ExchangeReply reply;
    ASSERT_TRUE(Call(*workers, &WorkerStub::Exchange, paused, &reply).ok());
    EXPECT_EQ(reply.verdict(), v1::OUTCOME_VERDICT_ACCEPTED);
    if (leases.size() > 1) continue;
    v1::GetTrialRequest explain;
    explain.set_trial(std::to_string(lease.trial_id()));
    v1::TrialExplanation explanation;
    ASSERT_TRUE(Call(*Campaigns(local()), &CampaignStub::ExplainTrial, explain, &explanation).ok());
    EXPECT_THAT(explanation.sentence(),
                AllOf(HasSubstr("it waits at rung 1 since 20"), HasSubstr("with 1 of 2 reports")));
  }
  v1::ReportRungReply stale;
  ASSERT_TRUE(Report(*workers, leases[0], 0.8, &stale).ok());
  EXPECT_EQ(stale.action(), v1::RUNG_ACTION_STOP) << "it holds no lease any more";

  const v1::Lease resumed = TakeLease(*workers, worker_id_, "r3");
  EXPECT_EQ(resumed.trial_id(), leases[0].trial_id());
  EXPECT_EQ(resumed.rung(), 1);
  EXPECT_EQ(resumed.checkpoint().path(), "/c1");
}

}  // namespace
}  // namespace canopy::controller
