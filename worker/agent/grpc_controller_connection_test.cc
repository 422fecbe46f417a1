#include "worker/agent/grpc_controller_connection.h"

#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>
#include <gtest/gtest.h>

#include <memory>
#include <thread>

#include "base/mutex.h"
#include "canopy/v1/worker_service.grpc.pb.h"
#include "worker/agent/agent_test_support.h"

namespace canopy::agent {
namespace {

// Lets those who ask for work wait until they hang up.
class WaitingService final : public v1::WorkerService::Service {
 public:
  grpc::Status Hello(grpc::ServerContext*, const v1::WorkerHelloRequest* request,
                     v1::WorkerHelloReply* reply) override {
    if (request->worker().id().empty()) return {grpc::StatusCode::INVALID_ARGUMENT, "a worker has an id"};
    reply->set_database_id("db");
    return grpc::Status::OK;
  }
  grpc::Status Exchange(grpc::ServerContext* context, const v1::ExchangeRequest* request,
                        v1::ExchangeReply* reply) override {
    if (request->has_outcome()) reply->set_verdict(v1::OUTCOME_VERDICT_ACCEPTED);
    if (!request->wants_lease()) return grpc::Status::OK;
    {
      const MutexLock lock(mutex_);
      waiting_ = true;
      changed_.NotifyAll();
    }
    while (!context->IsCancelled()) std::this_thread::yield();
    return grpc::Status::CANCELLED;
  }
  void WaitUntilSomebodyWaits() {
    const MutexLock lock(mutex_);
    while (!waiting_) changed_.Wait(mutex_);
  }

 private:
  Mutex mutex_;
  CondVar changed_;
  bool waiting_ CANOPY_GUARDED_BY(mutex_) = false;
};

class GrpcConnectionTest : public testing::Test {
 protected:
  void SetUp() override {
    grpc::ServerBuilder builder;
    builder.AddListeningPort(target_, grpc::InsecureServerCredentials());
    builder.RegisterService(&service_);
    server_ = builder.BuildAndStart();
    ASSERT_NE(server_, nullptr);
  }

  TemporaryFolder folder_;
  const std::string target_ = "unix:" + folder_.path() + "/socket";
  WaitingService service_;
  std::unique_ptr<grpc::Server> server_;
};

constexpr int64_t kTimeoutMs = 60'000;

TEST_F(GrpcConnectionTest, CarriesRepliesAndStatuses) {
  const auto connection = ConnectToController(target_, nullptr);
  ASSERT_TRUE(connection.ok()) << Message(connection.status());
  v1::WorkerHelloRequest hello;
  const auto refused = (*connection)->Hello(hello, kTimeoutMs);
  EXPECT_TRUE(absl::IsInvalidArgument(refused.status())) << Message(refused.status());
  hello.mutable_worker()->set_id("worker");
  const auto reply = (*connection)->Hello(hello, kTimeoutMs);
  ASSERT_TRUE(reply.ok()) << Message(reply.status());
  EXPECT_EQ(reply->database_id(), "db");
}

TEST_F(GrpcConnectionTest, StopAskingEndsTheWaitForWorkAndLeavesTheWayForOutcomes) {
  const auto connection = ConnectToController(target_, nullptr);
  ASSERT_TRUE(connection.ok());
  v1::ExchangeRequest ask;
  ask.set_wants_lease(true);
  Status ended;
  std::thread asker([&] { ended = (*connection)->Exchange(ask, kTimeoutMs).status(); });
  service_.WaitUntilSomebodyWaits();
  (*connection)->StopAsking();
  asker.join();
  EXPECT_TRUE(absl::IsCancelled(ended)) << Message(ended);
  EXPECT_TRUE(absl::IsCancelled((*connection)->Exchange(ask, kTimeoutMs).status()));
  v1::ExchangeRequest report;
  report.mutable_outcome()->set_result_id("r");
  const auto reply = (*connection)->Exchange(report, kTimeoutMs);
  ASSERT_TRUE(reply.ok()) << Message(reply.status());
  EXPECT_EQ(reply->verdict(), v1::OUTCOME_VERDICT_ACCEPTED);
}

TEST(ConnectToController, RefusesTcpWithoutACredential) {
  EXPECT_TRUE(absl::IsInvalidArgument(ConnectToController("localhost:7443", nullptr).status()));
}

}  // namespace
}  // namespace canopy::agent
