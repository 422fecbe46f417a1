#include "rpc/channel.h"

#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/support/channel_arguments.h>
#include <sys/un.h>

#include "config/credentials.h"

namespace canopy::rpc {
namespace {

constexpr int kReconnectMinMs = 200;
constexpr int kReconnectMaxMs = 5'000;
// How long one attempt may take, TLS included, on a host whose cores all train.
constexpr int kConnectTimeoutMs = 10'000;

grpc::ChannelArguments ClientArguments() {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveTimeMs);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kKeepaliveTimeoutMs);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  arguments.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, kReconnectMinMs);
  // Despite its name, gRPC's limit for one connection attempt.
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, kConnectTimeoutMs);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, kReconnectMaxMs);
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  arguments.SetMaxReceiveMessageSize(kMaxMessageBytes);
  arguments.SetMaxSendMessageSize(kMaxMessageBytes);
  return arguments;
}

bool IsUnixTarget(const std::string& target) { return target.rfind("unix:", 0) == 0; }

}  // namespace

StatusOr<std::shared_ptr<grpc::Channel>> OpenChannel(const std::string& target,
                                                     const config::Credential* credential) {
  if (IsUnixTarget(target)) {
    if (credential != nullptr)
      return InvalidArgument("controller " + target + ": a Unix socket takes no credential; leave it out");
    return grpc::CreateCustomChannel(target, grpc::InsecureChannelCredentials(), ClientArguments());
  }
  if (target.find(':') == std::string::npos)
    return InvalidArgument("controller '" + target + "': expected host:port or unix:/path");
  if (credential == nullptr)
    return InvalidArgument(
        "controller " + target + ": TCP needs a credential, which `canopy cluster init` and " +
        "`canopy cluster add-worker` make; on the controller's own host use its Unix socket");
  grpc::SslCredentialsOptions tls;
  tls.pem_root_certs = credential->ca_certificate;
  tls.pem_cert_chain = credential->certificate;
  tls.pem_private_key = credential->private_key;
  return grpc::CreateCustomChannel(target, grpc::SslCredentials(tls), ClientArguments());
}

StatusOr<std::string> UnixTarget(const std::string& socket_path) {
  constexpr size_t kLongest = sizeof(sockaddr_un{}.sun_path) - 1;
  if (socket_path.size() > kLongest)
    return InvalidArgument("socket " + socket_path + ": the path has " + std::to_string(socket_path.size()) +
                           " bytes, at most " + std::to_string(kLongest) +
                           " are possible; choose a shorter state directory");
  return "unix:" + socket_path;
}

}  // namespace canopy::rpc
