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

void CampaignService::OnPool(const grpc::CallbackServerContext& context, Verb verb,
                             std::function<void(const Principal&)> call,
                             const std::function<void(const Status&)>& refuse) {
  StatusOr<Principal> principal = Admit(context, verb);
  if (!principal.ok()) {
    refuse(principal.status());
    return;
  }
  const bool taken = pool_.Add(
      [call = std::move(call), principal = *std::move(principal)] { call(principal); },
      [refuse] { refuse(Unavailable("the controller is stopping; repeat the call when it is up")); });
  if (!taken)
    refuse(ResourceExhausted("the controller answers as many calls as it can; try again in a moment"));
}

grpc::ServerUnaryReactor* CampaignService::Answer(grpc::CallbackServerContext* context, Verb verb,
                                                  std::function<Status(const Principal&)> call) {
  grpc::ServerUnaryReactor* const reactor = context->DefaultReactor();
  OnPool(
      *context, verb,
      [reactor, call = std::move(call)](const Principal& principal) {
        reactor->Finish(rpc::ToGrpc(call(principal)));
      },
      [reactor](const Status& status) { reactor->Finish(rpc::ToGrpc(status)); });
  return reactor;
}

template <auto kMethod, typename Request, typename Reply>
grpc::ServerUnaryReactor* CampaignService::Read(grpc::CallbackServerContext* context, Verb verb,
                                                const Request* request, Reply* reply) {
  return Answer(context, verb,
                [this, request, reply](const Principal&) { return (desk_.*kMethod)(*request, *reply); });
}

template <auto kMethod, typename Request, typename Reply>
grpc::ServerUnaryReactor* CampaignService::Change(grpc::CallbackServerContext* context, Verb verb,
                                                  const Request* request, Reply* reply) {
  return Answer(context, verb, [this, request, reply](const Principal& principal) {
    return (desk_.*kMethod)(principal, *request, *reply);
  });
}

grpc::ServerUnaryReactor* CampaignService::Hello(grpc::CallbackServerContext* context,
                                                 const v1::UserHelloRequest* request,
                                                 v1::UserHelloReply* reply) {
  return Read<&CampaignDesk::Hello>(context, Verb::kUserHello, request, reply);
}

grpc::ServerUnaryReactor* CampaignService::Launch(grpc::CallbackServerContext* context,
                                                  const v1::LaunchRequest* request, v1::LaunchReply* reply) {
  return Change<&CampaignDesk::Launch>(context, Verb::kLaunch, request, reply);
}

grpc::ServerUnaryReactor* CampaignService::Command(grpc::CallbackServerContext* context,
                                                   const v1::CommandRequest* request,
                                                   v1::CommandReply* reply) {
  return Change<&CampaignDesk::Command>(context, Verb::kCommand, request, reply);
}

grpc::ServerUnaryReactor* CampaignService::ListCampaigns(grpc::CallbackServerContext* context,
                                                         const v1::ListCampaignsRequest* request,
                                                         v1::ListCampaignsReply* reply) {
  return Read<&CampaignDesk::ListCampaigns>(context, Verb::kRead, request, reply);
}

grpc::ServerUnaryReactor* CampaignService::GetCampaign(grpc::CallbackServerContext* context,
                                                       const v1::GetCampaignRequest* request,
                                                       v1::CampaignStatus* reply) {
  return Read<&CampaignDesk::GetCampaign>(context, Verb::kRead, request, reply);
}

grpc::ServerUnaryReactor* CampaignService::GetReport(grpc::CallbackServerContext* context,
                                                     const v1::GetCampaignRequest* request,
                                                     v1::CampaignReport* reply) {
  return Read<&CampaignDesk::GetReport>(context, Verb::kRead, request, reply);
}

grpc::ServerUnaryReactor* CampaignService::ListTrials(grpc::CallbackServerContext* context,
                                                      const v1::ListTrialsRequest* request,
                                                      v1::ListTrialsReply* reply) {
  return Read<&CampaignDesk::ListTrials>(context, Verb::kRead, request, reply);
}

grpc::ServerUnaryReactor* CampaignService::GetTrial(grpc::CallbackServerContext* context,
                                                    const v1::GetTrialRequest* request,
                                                    v1::TrialDetails* reply) {
  return Read<&CampaignDesk::GetTrial>(context, Verb::kRead, request, reply);
}

grpc::ServerUnaryReactor* CampaignService::ListWorkers(grpc::CallbackServerContext* context,
                                                       const v1::ListWorkersRequest* request,
                                                       v1::ListWorkersReply* reply) {
  return Read<&CampaignDesk::ListWorkers>(context, Verb::kRead, request, reply);
}

grpc::ServerUnaryReactor* CampaignService::ExplainTrial(grpc::CallbackServerContext* context,
                                                        const v1::GetTrialRequest* request,
                                                        v1::TrialExplanation* reply) {
  return Read<&CampaignDesk::ExplainTrial>(context, Verb::kRead, request, reply);
}

grpc::ServerUnaryReactor* CampaignService::DrainWorker(grpc::CallbackServerContext* context,
                                                       const v1::DrainWorkerRequest* request,
                                                       v1::DrainWorkerReply* reply) {
  return Change<&CampaignDesk::DrainWorker>(context, Verb::kDrain, request, reply);
}

grpc::ServerWriteReactor<v1::QueryRows>* CampaignService::Query(grpc::CallbackServerContext* context,
                                                                const v1::QueryRequest* request) {
  auto* const reactor = new RowsReactor;
  OnPool(
      *context, Verb::kQuery,
      [this, reactor, query = *request](const Principal&) { reactor->Send(desk_.Query(query)); },
      [reactor](const Status& status) { reactor->Send(status); });
  return reactor;
}

grpc::ServerUnaryReactor* CampaignService::Backup(grpc::CallbackServerContext* context,
                                                  const v1::BackupRequest*, v1::BackupReply* reply) {
  return Answer(context, Verb::kBackup, [this, reply](const Principal&) { return desk_.Backup(*reply); });
}

grpc::ServerWriteReactor<v1::SnapshotChunk>* CampaignService::Snapshot(grpc::CallbackServerContext* context,
                                                                       const v1::SnapshotRequest*) {
  auto* const reactor = new FileReactor;
  OnPool(
      *context, Verb::kSnapshot, [this, reactor](const Principal&) { reactor->Send(desk_.Snapshot()); },
      [reactor](const Status& status) { reactor->Send(status); });
  return reactor;
}

}  // namespace canopy::controller
