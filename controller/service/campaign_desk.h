#pragma once

#include <string>
#include <vector>

#include "base/mutex.h"
#include "base/status.h"
#include "canopy/v1/campaign_service.pb.h"
#include "controller/engine/backups.h"
#include "controller/engine/engine.h"
#include "controller/service/principal.h"
#include "storage/reader.h"

namespace canopy::controller {

struct CampaignDeskOptions {
  std::string state_dir, database_path;
  std::string database_id;
  std::string program;  // that runs `query-process`
  bool grant_leases = true;
};

// What people's calls do, without the transport: each method answers one call. Thread-safe; blocks on disk
// and on the engine.
class CampaignDesk {
 public:
  // Engine, reader and backups outlive the desk.
  CampaignDesk(CampaignDeskOptions options, engine::Engine& engine, storage::Reader& reader,
               engine::Backups& backups);

  Status Hello(const v1::UserHelloRequest& request, v1::UserHelloReply& reply);
  Status Launch(const Principal& principal, const v1::LaunchRequest& request, v1::LaunchReply& reply);
  Status Command(const Principal& principal, const v1::CommandRequest& request, v1::CommandReply& reply);
  Status ListCampaigns(const v1::ListCampaignsRequest& request, v1::ListCampaignsReply& reply);
  Status GetCampaign(const v1::GetCampaignRequest& request, v1::CampaignStatus& reply);
  // Writes result.json where the campaign is complete and its file is missing.
  Status GetReport(const v1::GetCampaignRequest& request, v1::CampaignReport& reply);
  Status ListTrials(const v1::ListTrialsRequest& request, v1::ListTrialsReply& reply);
  Status GetTrial(const v1::GetTrialRequest& request, v1::TrialDetails& reply);
  Status ListWorkers(const v1::ListWorkersRequest& request, v1::ListWorkersReply& reply);
  Status ExplainTrial(const v1::GetTrialRequest& request, v1::TrialExplanation& reply);
  Status DrainWorker(const Principal& principal, const v1::DrainWorkerRequest& request,
                     v1::DrainWorkerReply& reply);
  StatusOr<std::vector<v1::QueryRows>> Query(const v1::QueryRequest& request);
  Status Backup(v1::BackupReply& reply);
  // Goes on with what an update of a campaign's space left to be done when the controller ended: see
  // TrialStore::SkipSetAside. Takes as long as it takes.
  Status SkipSetAside();
  // A file of its own for the caller, who removes it.
  StatusOr<engine::Backups::Snapshot> Snapshot() { return backups_.TakeSnapshot(); }

 private:
  // The campaign that has the name that these files give theirs.
  StatusOr<storage::CampaignRow> FindCampaign(const v1::LaunchRequest& request);
  // AlreadyExists says what differs and what to do.
  Status RefuseTaken(const v1::LaunchRequest& request, const storage::CampaignRow& row);
  Status Update(const Principal& principal, const v1::LaunchRequest& request, const storage::CampaignRow& row,
                v1::LaunchReply& reply);
  // TrialStore's of these names, a short transaction for some trials at a time.
  Status RankAgain(const std::vector<int64_t>& trials) CANOPY_REQUIRES(updates_);
  Status SkipSetAside(int64_t campaign_id, int64_t version) CANOPY_REQUIRES(updates_);
  StatusOr<std::string> Submit(engine::UserRequest request, Event event);

  const CampaignDeskOptions options_;
  engine::Engine& engine_;
  storage::Reader& reader_;
  engine::Backups& backups_;
  Mutex updates_;  // one update of a space at a time
};

// InvalidArgument for an id that a mutating call of a user cannot have.
Status CheckRequestId(const std::string& id);
// What a repetition of the call has in common with it.
std::string RequestDigest(const char* call, const google::protobuf::Message& request);

}  // namespace canopy::controller
