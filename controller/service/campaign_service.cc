#include "controller/service/campaign_service.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <utility>
#include <vector>

#include "controller/service/status_messages.h"
#include "rpc/status.h"

namespace canopy::controller {
namespace {

Status Busy() {
  return ResourceExhausted("the controller answers as many calls as it can; try again in a moment");
}

// Writes what was read, message by message.
class RowsReactor final : public grpc::ServerWriteReactor<v1::QueryRows> {
 public:
  void Send(StatusOr<std::vector<v1::QueryRows>> messages) {
    if (!messages.ok()) {
      Finish(rpc::ToGrpc(messages.status()));
      return;
    }
    messages_ = *std::move(messages);
    WriteNext();
  }
  void OnWriteDone(bool ok) override {
    if (ok)
      WriteNext();
    else
      Finish(grpc::Status::CANCELLED);
  }
  void OnDone() override { delete this; }

 private:
  void WriteNext() {
    if (next_ == messages_.size())
      Finish(grpc::Status::OK);
    else
      StartWrite(&messages_[next_++]);
  }

  std::vector<v1::QueryRows> messages_;
  size_t next_ = 0;
};

// Streams a file that is this call's alone: it has no name any more once it is open.
class FileReactor final : public grpc::ServerWriteReactor<v1::SnapshotChunk> {
 public:
  ~FileReactor() override {
    if (fd_ >= 0) ::close(fd_);
  }
  void Send(const StatusOr<engine::Backups::Snapshot>& snapshot) {
    if (!snapshot.ok()) {
      Finish(rpc::ToGrpc(snapshot.status()));
      return;
    }
    fd_ = ::open(snapshot->path.c_str(), O_RDONLY | O_CLOEXEC);
    const int error = errno;
    ::unlink(snapshot->path.c_str());
    if (fd_ < 0) {
      Finish(rpc::ToGrpc(FromErrno(error, "open " + snapshot->path)));
      return;
    }
    *chunk_.mutable_facts() = ToProto(snapshot->facts);
    WriteNext();
  }
  void OnWriteDone(bool ok) override {
    chunk_.clear_facts();
    if (ok)
      WriteNext();
    else
      Finish(grpc::Status::CANCELLED);
  }
  void OnDone() override { delete this; }

 private:
  static constexpr size_t kChunkBytes = 256 << 10;
  void WriteNext() {
    std::string& data = *chunk_.mutable_data();
    data.resize(kChunkBytes);
    const ssize_t bytes = ::read(fd_, data.data(), data.size());
    if (bytes < 0) {
      Finish(rpc::ToGrpc(FromErrno(errno, "read the snapshot")));
      return;
    }
    data.resize(static_cast<size_t>(bytes));
    if (bytes == 0)
      Finish(grpc::Status::OK);
    else
      StartWrite(&chunk_);
  }

  v1::SnapshotChunk chunk_;
  int fd_ = -1;
};

}  // namespace

grpc::ServerUnaryReactor* CampaignService::Answer(grpc::CallbackServerContext* context, Verb verb,
                                                  std::function<Status(const Principal&)> call) {
  grpc::ServerUnaryReactor* const reactor = context->DefaultReactor();
  StatusOr<Principal> principal = Admit(*context, verb);
  if (!principal.ok()) {
    reactor->Finish(rpc::ToGrpc(principal.status()));
    return reactor;
  }
  const bool taken = pool_.Add([reactor, call = std::move(call), principal = *std::move(principal)] {
    reactor->Finish(rpc::ToGrpc(call(principal)));
  });
  if (!taken) reactor->Finish(rpc::ToGrpc(Busy()));
  return reactor;
}

grpc::ServerUnaryReactor* CampaignService::Hello(grpc::CallbackServerContext* context,
                                                 const v1::UserHelloRequest* request,
                                                 v1::UserHelloReply* reply) {
  return Answer(context, Verb::kUserHello,
                [=, this](const Principal&) { return desk_.Hello(*request, *reply); });
}

grpc::ServerUnaryReactor* CampaignService::Launch(grpc::CallbackServerContext* context,
                                                  const v1::LaunchRequest* request, v1::LaunchReply* reply) {
  return Answer(context, Verb::kLaunch,
                [=, this](const Principal& principal) { return desk_.Launch(principal, *request, *reply); });
}

grpc::ServerUnaryReactor* CampaignService::Command(grpc::CallbackServerContext* context,
                                                   const v1::CommandRequest* request,
                                                   v1::CommandReply* reply) {
  return Answer(context, Verb::kCommand,
                [=, this](const Principal& principal) { return desk_.Command(principal, *request, *reply); });
}

grpc::ServerUnaryReactor* CampaignService::ListCampaigns(grpc::CallbackServerContext* context,
                                                         const v1::ListCampaignsRequest* request,
                                                         v1::ListCampaignsReply* reply) {
  return Answer(context, Verb::kRead,
                [=, this](const Principal&) { return desk_.ListCampaigns(*request, *reply); });
}

grpc::ServerUnaryReactor* CampaignService::GetCampaign(grpc::CallbackServerContext* context,
                                                       const v1::GetCampaignRequest* request,
                                                       v1::CampaignStatus* reply) {
  return Answer(context, Verb::kRead,
                [=, this](const Principal&) { return desk_.GetCampaign(*request, *reply); });
}

grpc::ServerUnaryReactor* CampaignService::GetReport(grpc::CallbackServerContext* context,
                                                     const v1::GetCampaignRequest* request,
                                                     v1::CampaignReport* reply) {
  return Answer(context, Verb::kRead,
                [=, this](const Principal&) { return desk_.GetReport(*request, *reply); });
}

grpc::ServerUnaryReactor* CampaignService::ListTrials(grpc::CallbackServerContext* context,
                                                      const v1::ListTrialsRequest* request,
                                                      v1::ListTrialsReply* reply) {
  return Answer(context, Verb::kRead,
                [=, this](const Principal&) { return desk_.ListTrials(*request, *reply); });
}

grpc::ServerUnaryReactor* CampaignService::GetTrial(grpc::CallbackServerContext* context,
                                                    const v1::GetTrialRequest* request,
                                                    v1::TrialDetails* reply) {
  return Answer(context, Verb::kRead,
                [=, this](const Principal&) { return desk_.GetTrial(*request, *reply); });
}

grpc::ServerUnaryReactor* CampaignService::ListWorkers(grpc::CallbackServerContext* context,
                                                       const v1::ListWorkersRequest* request,
                                                       v1::ListWorkersReply* reply) {
  return Answer(context, Verb::kRead,
                [=, this](const Principal&) { return desk_.ListWorkers(*request, *reply); });
}

grpc::ServerUnaryReactor* CampaignService::ExplainTrial(grpc::CallbackServerContext* context,
                                                        const v1::GetTrialRequest* request,
                                                        v1::TrialExplanation* reply) {
  return Answer(context, Verb::kRead,
                [=, this](const Principal&) { return desk_.ExplainTrial(*request, *reply); });
}

grpc::ServerUnaryReactor* CampaignService::DrainWorker(grpc::CallbackServerContext* context,
                                                       const v1::DrainWorkerRequest* request,
                                                       v1::DrainWorkerReply* reply) {
  return Answer(context, Verb::kDrain, [=, this](const Principal& principal) {
    return desk_.DrainWorker(principal, *request, *reply);
  });
}

grpc::ServerWriteReactor<v1::QueryRows>* CampaignService::Query(grpc::CallbackServerContext* context,
                                                                const v1::QueryRequest* request) {
  auto* const reactor = new RowsReactor;
  const StatusOr<Principal> principal = Admit(*context, Verb::kQuery);
  if (!principal.ok()) {
    reactor->Send(principal.status());
  } else if (!pool_.Add([this, reactor, query = *request] { reactor->Send(desk_.Query(query)); })) {
    reactor->Send(Busy());
  }
  return reactor;
}

grpc::ServerUnaryReactor* CampaignService::Backup(grpc::CallbackServerContext* context,
                                                  const v1::BackupRequest*, v1::BackupReply* reply) {
  return Answer(context, Verb::kBackup, [=, this](const Principal&) { return desk_.Backup(*reply); });
}

grpc::ServerWriteReactor<v1::SnapshotChunk>* CampaignService::Snapshot(grpc::CallbackServerContext* context,
                                                                       const v1::SnapshotRequest*) {
  auto* const reactor = new FileReactor;
  const StatusOr<Principal> principal = Admit(*context, Verb::kSnapshot);
  if (!principal.ok()) {
    reactor->Send(principal.status());
  } else if (!pool_.Add([this, reactor] { reactor->Send(desk_.Snapshot()); })) {
    reactor->Send(Busy());
  }
  return reactor;
}

}  // namespace canopy::controller
