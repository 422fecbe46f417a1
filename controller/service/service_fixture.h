#pragma once

#include <grpcpp/channel.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "base/clock.h"
#include "canopy/v1/campaign_service.grpc.pb.h"
#include "canopy/v1/worker_service.grpc.pb.h"
#include "config/credentials.h"
#include "controller/engine/engine.h"
#include "controller/service/campaign_desk.h"
#include "controller/service/campaign_service.h"
#include "controller/service/server.h"
#include "controller/service/work_pool.h"
#include "controller/service/worker_service.h"
#include "storage/reader.h"

namespace canopy::controller {

// A controller in this process: database, engine, services and server in a folder of its own.
class ServiceTest : public ::testing::Test {
 protected:
  void SetUp() override;
  void TearDown() override;

  // Also on TCP, with a new cluster's credentials.
  void StartWithTls();
  void StopServer();

  std::unique_ptr<v1::WorkerService::Stub> Workers(const std::string& target,
                                                   const config::Credential* credential = nullptr);
  std::unique_ptr<v1::CampaignService::Stub> Campaigns(const std::string& target,
                                                       const config::Credential* credential = nullptr);
  std::string local() const { return "unix:" + socket_path_; }
  std::string tcp() const { return "localhost:" + std::to_string(server_->tcp_port()); }

  v1::WorkerHelloRequest HelloRequest(const std::string& worker_id) const;
  v1::LaunchRequest LaunchRequest(const std::string& request_id) const;
  // Says Hello, launches a campaign and takes a lease; fails the test where one of them does.
  v1::Lease TakeLease(v1::WorkerService::Stub& workers, const std::string& worker_id,
                      const std::string& request_id);
  v1::ExchangeRequest SuccessOf(const std::string& worker_id, const v1::Lease& lease) const;

  const std::string folder_ = NewFolder();
  const std::string socket_path_ = folder_ + "/c.sock";
  const std::string cluster_folder_ = folder_ + "/cluster";
  SystemClock clock_;
  engine::EngineOptions engine_options_;  // of SetUp
  std::unique_ptr<storage::Reader> reader_;
  std::unique_ptr<WorkPool> pool_;
  std::unique_ptr<engine::Engine> engine_;
  std::unique_ptr<engine::Backups> backups_;
  std::unique_ptr<CampaignDesk> desk_;
  std::unique_ptr<WorkerService> worker_service_;
  std::unique_ptr<CampaignService> campaign_service_;
  std::unique_ptr<Server> server_;

 private:
  static std::string NewFolder();
  void StartServer(const std::string& listen, std::optional<config::Credential> credential);
};

template <typename Stub, typename Method, typename Request, typename Reply>
grpc::Status Call(Stub& stub, Method method, const Request& request, Reply* reply) {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(60));
  return (stub.*method)(&context, request, reply);
}

}  // namespace canopy::controller
