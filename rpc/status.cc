#include "rpc/status.h"

#include <grpcpp/support/status.h>

#include <string>

namespace canopy::rpc {
namespace {
constexpr size_t kMaxMessage = 4096;
}

grpc::Status ToGrpc(const Status& status) {
  if (status.ok()) return grpc::Status::OK;
  std::string message = Message(status);
  if (message.size() > kMaxMessage) message.resize(kMaxMessage);
  return grpc::Status(static_cast<grpc::StatusCode>(status.raw_code()), message);
}

Status FromGrpc(const grpc::Status& status) {
  if (status.ok()) return absl::OkStatus();
  return Status(static_cast<absl::StatusCode>(status.error_code()), status.error_message());
}

}  // namespace canopy::rpc
