#include "worker/agent/grpc_controller_connection.h"

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>

#include <chrono>
#include <set>
#include <utility>

#include "base/mutex.h"
#include "canopy/v1/worker_service.grpc.pb.h"
#include "rpc/channel.h"
#include "rpc/status.h"

namespace canopy::agent {
namespace {

class GrpcControllerConnection final : public ControllerConnection {
 public:
  explicit GrpcControllerConnection(std::shared_ptr<grpc::Channel> channel)
      : stub_(v1::WorkerService::NewStub(std::move(channel))) {}

  StatusOr<v1::WorkerHelloReply> Hello(const v1::WorkerHelloRequest& request, int64_t timeout_ms) override {
    return Call<v1::WorkerHelloReply>(&v1::WorkerService::Stub::Hello, request, timeout_ms, /*asks=*/true);
  }
  StatusOr<v1::ExchangeReply> Exchange(const v1::ExchangeRequest& request, int64_t timeout_ms) override {
    return Call<v1::ExchangeReply>(&v1::WorkerService::Stub::Exchange, request, timeout_ms,
                                   request.wants_lease());
  }
  StatusOr<v1::ReportRungReply> ReportRung(const v1::ReportRungRequest& request,
                                           int64_t timeout_ms) override {
    return Call<v1::ReportRungReply>(&v1::WorkerService::Stub::ReportRung, request, timeout_ms,
                                     /*asks=*/true);
  }
  StatusOr<v1::HeartbeatReply> Heartbeat(const v1::HeartbeatRequest& request, int64_t timeout_ms) override {
    return Call<v1::HeartbeatReply>(&v1::WorkerService::Stub::Heartbeat, request, timeout_ms, /*asks=*/false);
  }

  void StopAsking() override {
    const MutexLock lock(mutex_);
    stopped_ = true;
    for (grpc::ClientContext* context : asking_) context->TryCancel();
  }

 private:
  template <typename Reply, typename Method, typename Request>
  StatusOr<Reply> Call(Method method, const Request& request, int64_t timeout_ms, bool asks) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::milliseconds(timeout_ms));
    if (asks && !Register(context)) return absl::CancelledError("the agent is ending");
    Reply reply;
    const grpc::Status status = (stub_.get()->*method)(&context, request, &reply);
    if (asks) Unregister(context);
    if (!status.ok()) return rpc::FromGrpc(status);
    return reply;
  }

  bool Register(grpc::ClientContext& context) {
    const MutexLock lock(mutex_);
    if (!stopped_) asking_.insert(&context);
    return !stopped_;
  }
  void Unregister(grpc::ClientContext& context) {
    const MutexLock lock(mutex_);
    asking_.erase(&context);
  }

  std::unique_ptr<v1::WorkerService::Stub> stub_;
  Mutex mutex_;
  bool stopped_ CANOPY_GUARDED_BY(mutex_) = false;
  std::set<grpc::ClientContext*> asking_ CANOPY_GUARDED_BY(mutex_);
};

}  // namespace

StatusOr<std::unique_ptr<ControllerConnection>> ConnectToController(const std::string& target,
                                                                    const config::Credential* credential) {
  CANOPY_ASSIGN_OR_RETURN(std::shared_ptr<grpc::Channel> channel, rpc::OpenChannel(target, credential));
  return std::make_unique<GrpcControllerConnection>(std::move(channel));
}

}  // namespace canopy::agent
