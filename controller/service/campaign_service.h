#pragma once

#include <functional>

#include "canopy/v1/campaign_service.grpc.pb.h"
#include "controller/service/campaign_desk.h"
#include "controller/service/principal.h"
#include "controller/service/work_pool.h"

namespace canopy::controller {

// People's side of the wire, as an adapter: admits the caller and lets the desk answer on the pool's
// threads. Calls that run end when the pool stops; what waits for a thread is then refused.
class CampaignService final : public v1::CampaignService::CallbackService {
 public:
  // Both outlive the service.
  CampaignService(CampaignDesk& desk, WorkPool& pool) : desk_(desk), pool_(pool) {}

  grpc::ServerUnaryReactor* Hello(grpc::CallbackServerContext* context, const v1::UserHelloRequest* request,
                                  v1::UserHelloReply* reply) override;
  grpc::ServerUnaryReactor* Launch(grpc::CallbackServerContext* context, const v1::LaunchRequest* request,
                                   v1::LaunchReply* reply) override;
  grpc::ServerUnaryReactor* Command(grpc::CallbackServerContext* context, const v1::CommandRequest* request,
                                    v1::CommandReply* reply) override;
  grpc::ServerUnaryReactor* ListCampaigns(grpc::CallbackServerContext* context,
                                          const v1::ListCampaignsRequest* request,
                                          v1::ListCampaignsReply* reply) override;
  grpc::ServerUnaryReactor* GetCampaign(grpc::CallbackServerContext* context,
                                        const v1::GetCampaignRequest* request,
                                        v1::CampaignStatus* reply) override;
  grpc::ServerUnaryReactor* GetReport(grpc::CallbackServerContext* context,
                                      const v1::GetCampaignRequest* request,
                                      v1::CampaignReport* reply) override;
  grpc::ServerUnaryReactor* ListTrials(grpc::CallbackServerContext* context,
                                       const v1::ListTrialsRequest* request,
                                       v1::ListTrialsReply* reply) override;
  grpc::ServerUnaryReactor* GetTrial(grpc::CallbackServerContext* context, const v1::GetTrialRequest* request,
                                     v1::TrialDetails* reply) override;
  grpc::ServerUnaryReactor* ListWorkers(grpc::CallbackServerContext* context,
                                        const v1::ListWorkersRequest* request,
                                        v1::ListWorkersReply* reply) override;
  grpc::ServerUnaryReactor* ExplainTrial(grpc::CallbackServerContext* context,
                                         const v1::GetTrialRequest* request,
                                         v1::TrialExplanation* reply) override;
  grpc::ServerUnaryReactor* DrainWorker(grpc::CallbackServerContext* context,
                                        const v1::DrainWorkerRequest* request,
                                        v1::DrainWorkerReply* reply) override;
  grpc::ServerWriteReactor<v1::QueryRows>* Query(grpc::CallbackServerContext* context,
                                                 const v1::QueryRequest* request) override;
  grpc::ServerUnaryReactor* Backup(grpc::CallbackServerContext* context, const v1::BackupRequest* request,
                                   v1::BackupReply* reply) override;
  grpc::ServerWriteReactor<v1::SnapshotChunk>* Snapshot(grpc::CallbackServerContext* context,
                                                        const v1::SnapshotRequest* request) override;

 private:
  // Admits the caller and lets `call` answer on a thread of the pool; otherwise `refuse` does, then or now.
  void OnPool(const grpc::CallbackServerContext& context, Verb verb,
              std::function<void(const Principal&)> call, const std::function<void(const Status&)>& refuse);
  grpc::ServerUnaryReactor* Answer(grpc::CallbackServerContext* context, Verb verb,
                                   std::function<Status(const Principal&)> call);
  // A method of the desk answers; of one that changes something it is told who calls.
  template <auto kMethod, typename Request, typename Reply>
  grpc::ServerUnaryReactor* Read(grpc::CallbackServerContext* context, Verb verb, const Request* request,
                                 Reply* reply);
  template <auto kMethod, typename Request, typename Reply>
  grpc::ServerUnaryReactor* Change(grpc::CallbackServerContext* context, Verb verb, const Request* request,
                                   Reply* reply);

  CampaignDesk& desk_;
  WorkPool& pool_;
};

}  // namespace canopy::controller
