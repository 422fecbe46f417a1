#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "base/status.h"
#include "canopy/v1/campaign_service.pb.h"

namespace grpc {
class Channel;
}

namespace canopy::cli {

// The user service as blocking calls. Each gives up after 30 s (launch 120 s, GetCampaign 5 s), with
// DeadlineExceeded; Unavailable: no controller answers. Thread-safe.
class CampaignClient {
 public:
  explicit CampaignClient(std::shared_ptr<grpc::Channel> channel);
  CampaignClient(CampaignClient&& other) noexcept;
  ~CampaignClient();

  // FailedPrecondition where the versions do not meet. Waits up to `timeout_ms` for the connection.
  StatusOr<v1::UserHelloReply> Hello(int64_t timeout_ms);
  StatusOr<v1::LaunchReply> Launch(const v1::LaunchRequest& request);
  StatusOr<v1::CommandReply> Command(const std::string& campaign, v1::CampaignVerb verb);
  StatusOr<v1::ListCampaignsReply> ListCampaigns(const v1::ListCampaignsRequest& request);
  StatusOr<v1::CampaignStatus> GetCampaign(const std::string& campaign);
  StatusOr<v1::CampaignReport> GetReport(const std::string& campaign);
  StatusOr<v1::ListTrialsReply> ListTrials(const v1::ListTrialsRequest& request);
  StatusOr<v1::TrialDetails> GetTrial(const std::string& trial);
  StatusOr<v1::TrialExplanation> ExplainTrial(const std::string& trial);
  // Of one worker unless it is empty.
  StatusOr<v1::ListWorkersReply> ListWorkers(const std::string& worker = "");
  StatusOr<v1::DrainWorkerReply> DrainWorker(v1::DrainWorkerRequest request);
  // These two wait for up to an hour.
  StatusOr<v1::BackupReply> Backup();
  // Calls `on_chunk` with each part of the file until that fails.
  Status Snapshot(const std::function<Status(const v1::SnapshotChunk&)>& on_chunk);
  // Calls `on_rows` with each part of the answer.
  Status Query(const v1::QueryRequest& request, const std::function<void(const v1::QueryRows&)>& on_rows);

 private:
  struct Stub;
  std::unique_ptr<Stub> stub_;
};

}  // namespace canopy::cli
