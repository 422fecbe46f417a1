#include "controller/service/server.h"

#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/health_check_service_interface.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <utility>

#include "base/file.h"
#include "rpc/channel.h"

namespace canopy::controller {
namespace {

constexpr auto kStopTime = std::chrono::seconds(3);
// Clients ask every kKeepaliveTimeMs; a faster one is not what we make.
constexpr int kFastestPingMs = rpc::kKeepaliveTimeMs / 2;

// Removes a socket file that no process answers on.
Status ClearSocket(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.data(), path.size());  // UnixTarget has checked its length
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return FromErrno(errno, "make a socket");
  const int connected = connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address);
  const int error = errno;
  close(fd);
  if (connected == 0)
    return AlreadyExists(path + ": another controller answers on this socket; stop it first");
  if (error == ENOENT) return absl::OkStatus();
  if (error != ECONNREFUSED) return FromErrno(error, "look whether a controller answers on " + path);
  if (unlink(path.c_str()) != 0 && errno != ENOENT)
    return FromErrno(errno, "remove the stale socket " + path);
  return absl::OkStatus();
}

std::shared_ptr<grpc::ServerCredentials> MutualTls(const config::Credential& credential) {
  grpc::SslServerCredentialsOptions options(GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY);
  options.pem_root_certs = credential.ca_certificate;
  options.pem_key_cert_pairs.push_back({credential.private_key, credential.certificate});
  return grpc::SslServerCredentials(options);
}

void Configure(grpc::ServerBuilder& builder) {
  builder.SetMaxReceiveMessageSize(rpc::kMaxMessageBytes);
  builder.SetMaxSendMessageSize(rpc::kMaxMessageBytes);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, rpc::kKeepaliveTimeMs);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, rpc::kKeepaliveTimeoutMs);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, kFastestPingMs);
  // Two servers on one port would each get some of the calls.
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
}

}  // namespace

StatusOr<std::unique_ptr<Server>> Server::Start(const ServerOptions& options, grpc::Service& workers,
                                                grpc::Service& campaigns) {
  if (!options.listen.empty() && !options.credential)
    return InvalidArgument("listen " + options.listen +
                           ": TCP is served with mutual TLS alone; make credentials with "
                           "`canopy cluster init` and name their folder with --credentials");
  CANOPY_ASSIGN_OR_RETURN(const std::string unix_target, rpc::UnixTarget(options.socket_path));
  CANOPY_RETURN_IF_ERROR(ClearSocket(options.socket_path));

  grpc::EnableDefaultHealthCheckService(true);
  grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  grpc::ServerBuilder builder;
  Configure(builder);
  int unix_bound = 0, tcp_port = 0;
  builder.AddListeningPort(unix_target, grpc::InsecureServerCredentials(), &unix_bound);
  if (!options.listen.empty())
    builder.AddListeningPort(options.listen, MutualTls(*options.credential), &tcp_port);
  builder.RegisterService(&workers);
  builder.RegisterService(&campaigns);
  // Until chmod, the folder's mode keeps others out; the mask does the same for the file.
  const mode_t mask = umask(0177);
  std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  umask(mask);
  if (!options.listen.empty() && tcp_port == 0)
    return AlreadyExists("listen " + options.listen +
                         ": the port is in use, or the address is not this host's; stop "
                         "the other program or choose another with --listen");
  if (server == nullptr || unix_bound == 0)
    return Unavailable(options.socket_path +
                       ": the socket could not be made; check that its folder can be written");
  if (chmod(options.socket_path.c_str(), 0600) != 0) return FromErrno(errno, "chmod " + options.socket_path);
  return std::unique_ptr<Server>(new Server(std::move(server), options.socket_path, tcp_port));
}

Server::Server(std::unique_ptr<grpc::Server> server, std::string socket_path, int tcp_port)
    : server_(std::move(server)), socket_path_(std::move(socket_path)), tcp_port_(tcp_port) {}

Server::~Server() { Stop(); }

void Server::Stop() {
  if (server_ == nullptr) return;
  server_->Shutdown(std::chrono::system_clock::now() + kStopTime);
  server_.reset();
  unlink(socket_path_.c_str());
}

}  // namespace canopy::controller
