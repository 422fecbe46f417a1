#include "cli/campaign_client.h"

#include <chrono>
#include <utility>

#include "base/random.h"
#include "canopy/v1/campaign_service.grpc.pb.h"
#include "grpcpp/channel.h"
#include "grpcpp/client_context.h"
#include "rpc/protocol.h"
#include "rpc/status.h"

namespace canopy::cli {
namespace {

constexpr int64_t kCallTimeoutMs = 30'000;
// People wait for the progress of a campaign, and ask again.
constexpr int64_t kStatusTimeoutMs = 5'000;
constexpr int64_t kLaunchTimeoutMs = 120'000;
constexpr int64_t kCopyTimeoutMs = 3'600'000;

void SetTimeout(grpc::ClientContext& context, int64_t timeout_ms) {
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::milliseconds(timeout_ms));
}

}  // namespace

struct CampaignClient::Stub {
  std::unique_ptr<v1::CampaignService::Stub> service;

  template <typename Request, typename Reply>
  StatusOr<Reply> Call(grpc::Status (v1::CampaignService::Stub::*method)(grpc::ClientContext*, const Request&,
                                                                         Reply*),
                       const Request& request, int64_t timeout_ms = kCallTimeoutMs, bool wait = false) {
    grpc::ClientContext context;
    SetTimeout(context, timeout_ms);
    context.set_wait_for_ready(wait);
    Reply reply;
    const grpc::Status status = (service.get()->*method)(&context, request, &reply);
    if (!status.ok()) return rpc::FromGrpc(status);
    return reply;
  }
};

CampaignClient::CampaignClient(std::shared_ptr<grpc::Channel> channel)
    : stub_(new Stub{v1::CampaignService::NewStub(std::move(channel))}) {}
CampaignClient::CampaignClient(CampaignClient&& other) noexcept = default;
CampaignClient::~CampaignClient() = default;

StatusOr<v1::UserHelloReply> CampaignClient::Hello(int64_t timeout_ms) {
  v1::UserHelloRequest request;
  *request.mutable_protocol() = rpc::OurProtocol();
  request.set_build(rpc::BuildName());
  CANOPY_ASSIGN_OR_RETURN(const v1::UserHelloReply reply,
                          stub_->Call(&v1::CampaignService::Stub::Hello, request, timeout_ms, true));
  CANOPY_RETURN_IF_ERROR(rpc::CheckProtocol(reply.protocol(), "command line", "controller"));
  return reply;
}

StatusOr<v1::LaunchReply> CampaignClient::Launch(const v1::LaunchRequest& request) {
  return stub_->Call(&v1::CampaignService::Stub::Launch, request, kLaunchTimeoutMs);
}

StatusOr<v1::CommandReply> CampaignClient::Command(const std::string& campaign, v1::CampaignVerb verb) {
  v1::CommandRequest request;
  request.set_request_id(NewUuid());
  request.set_campaign(campaign);
  request.set_verb(verb);
  return stub_->Call(&v1::CampaignService::Stub::Command, request);
}

StatusOr<v1::ListCampaignsReply> CampaignClient::ListCampaigns(const v1::ListCampaignsRequest& request) {
  return stub_->Call(&v1::CampaignService::Stub::ListCampaigns, request);
}

StatusOr<v1::CampaignStatus> CampaignClient::GetCampaign(const std::string& campaign) {
  v1::GetCampaignRequest request;
  request.set_campaign(campaign);
  return stub_->Call(&v1::CampaignService::Stub::GetCampaign, request, kStatusTimeoutMs);
}

StatusOr<v1::CampaignReport> CampaignClient::GetReport(const std::string& campaign) {
  v1::GetCampaignRequest request;
  request.set_campaign(campaign);
  return stub_->Call(&v1::CampaignService::Stub::GetReport, request);
}

StatusOr<v1::ListTrialsReply> CampaignClient::ListTrials(const v1::ListTrialsRequest& request) {
  return stub_->Call(&v1::CampaignService::Stub::ListTrials, request);
}

StatusOr<v1::TrialDetails> CampaignClient::GetTrial(const std::string& trial) {
  v1::GetTrialRequest request;
  request.set_trial(trial);
  return stub_->Call(&v1::CampaignService::Stub::GetTrial, request);
}

StatusOr<v1::TrialExplanation> CampaignClient::ExplainTrial(const std::string& trial) {
  v1::GetTrialRequest request;
  request.set_trial(trial);
  return stub_->Call(&v1::CampaignService::Stub::ExplainTrial, request);
}

StatusOr<v1::ListWorkersReply> CampaignClient::ListWorkers(const std::string& worker) {
  v1::ListWorkersRequest request;
  request.set_worker(worker);
  v1::ListWorkersReply all;
  for (;;) {
    CANOPY_ASSIGN_OR_RETURN(const v1::ListWorkersReply page,
                            stub_->Call(&v1::CampaignService::Stub::ListWorkers, request));
    all.mutable_workers()->MergeFrom(page.workers());
    if (page.next_after_id().empty()) return all;
    request.set_after_id(page.next_after_id());
  }
}

StatusOr<v1::DrainWorkerReply> CampaignClient::DrainWorker(v1::DrainWorkerRequest request) {
  request.set_request_id(NewUuid());
  return stub_->Call(&v1::CampaignService::Stub::DrainWorker, request);
}

Status CampaignClient::Query(const v1::QueryRequest& request,
                             const std::function<void(const v1::QueryRows&)>& on_rows) {
  grpc::ClientContext context;
  SetTimeout(context, kCallTimeoutMs);
  const auto reader = stub_->service->Query(&context, request);
  v1::QueryRows rows;
  while (reader->Read(&rows)) on_rows(rows);
  return rpc::FromGrpc(reader->Finish());
}

StatusOr<v1::BackupReply> CampaignClient::Backup() {
  return stub_->Call(&v1::CampaignService::Stub::Backup, v1::BackupRequest(), kCopyTimeoutMs);
}

Status CampaignClient::Snapshot(const std::function<Status(const v1::SnapshotChunk&)>& on_chunk) {
  grpc::ClientContext context;
  SetTimeout(context, kCopyTimeoutMs);
  const auto reader = stub_->service->Snapshot(&context, v1::SnapshotRequest());
  v1::SnapshotChunk chunk;
  Status taken;
  while (taken.ok() && reader->Read(&chunk)) taken = on_chunk(chunk);
  if (!taken.ok()) context.TryCancel();
  const grpc::Status status = reader->Finish();
  return taken.ok() ? rpc::FromGrpc(status) : taken;
}

}  // namespace canopy::cli
