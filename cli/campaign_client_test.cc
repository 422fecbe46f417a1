#include "cli/campaign_client.h"

#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "canopy/v1/campaign_service.grpc.pb.h"

namespace canopy::cli {
namespace {

constexpr int kWorkers = 2'500, kPage = 1'000;

std::string Id(int number) { return "worker" + std::to_string(10'000 + number); }

// Lists so many workers in pages, each behind the last one of the page before.
class PagedWorkers final : public v1::CampaignService::Service {
 public:
  grpc::Status ListWorkers(grpc::ServerContext*, const v1::ListWorkersRequest* request,
                           v1::ListWorkersReply* reply) override {
    asked_after_.push_back(request->after_id());
    for (int i = 0; i < kWorkers && reply->workers_size() < kPage; ++i)
      if (Id(i) > request->after_id()) reply->add_workers()->mutable_worker()->set_id(Id(i));
    if (reply->workers_size() == kPage) reply->set_next_after_id(reply->workers(kPage - 1).worker().id());
    return grpc::Status::OK;
  }
  const std::vector<std::string>& asked_after() const { return asked_after_; }

 private:
  std::vector<std::string> asked_after_;
};

TEST(CampaignClient, ListsEachOfThousandsOfWorkersOnce) {
  PagedWorkers service;
  grpc::ServerBuilder builder;
  builder.RegisterService(&service);
  const std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  CampaignClient client(server->InProcessChannel({}));
  const auto reply = client.ListWorkers();
  ASSERT_TRUE(reply.ok()) << reply.status();
  ASSERT_EQ(reply->workers_size(), kWorkers);
  for (int i = 0; i < kWorkers; ++i) EXPECT_EQ(reply->workers(i).worker().id(), Id(i));
  EXPECT_EQ(service.asked_after(), (std::vector<std::string>{"", Id(999), Id(1'999)}));
}

}  // namespace
}  // namespace canopy::cli
