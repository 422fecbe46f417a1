#pragma once

#include <memory>
#include <optional>
#include <string>

#include "base/status.h"
#include "config/credentials.h"

namespace grpc {
class Server;
class Service;
}  // namespace grpc

namespace canopy::controller {

struct ServerOptions {
  std::string socket_path;                       // mode 0600
  std::string listen;                            // host:port; empty: none. Port 0 takes a free one.
  std::optional<config::Credential> credential;  // the controller's; needed for `listen`
};

// The gRPC server with health and reflection, on a Unix socket and, where asked, on TCP with mutual TLS.
class Server {
 public:
  // The services outlive the server. InvalidArgument for TCP without a credential, AlreadyExists where
  // another process answers on the socket or the port; a socket file that nobody answers on is replaced.
  static StatusOr<std::unique_ptr<Server>> Start(const ServerOptions& options, grpc::Service& workers,
                                                 grpc::Service& campaigns);
  ~Server();

  // Of `listen`; 0 without it.
  int tcp_port() const { return tcp_port_; }
  // Refuses new calls and waits up to 3 s for those in flight, whose work must have been ended before.
  void Stop();

 private:
  Server(std::unique_ptr<grpc::Server> server, std::string socket_path, int tcp_port);

  std::unique_ptr<grpc::Server> server_;
  const std::string socket_path_;
  const int tcp_port_;
};

}  // namespace canopy::controller
