#pragma once

#include <memory>
#include <string>

#include "base/status.h"
#include "controller/engine/backups.h"
#include "controller/engine/engine.h"
#include "storage/reader.h"

namespace canopy::http {

struct HttpOptions {
  int port = 0;            // 0: a free one
  std::string token_path;  // made with a new token (0600) where it is missing
};

// /healthz and /readyz for everyone, and /metrics (Prometheus text) for who sends the token as
// "Authorization: Bearer <token>". Loopback only; a request whose Host is another name is refused, so that a
// web page can't reach it by a name of its own.
class HttpServer {
 public:
  // Engine, reader and backups outlive the server. AlreadyExists where the port is in use.
  static StatusOr<std::unique_ptr<HttpServer>> Start(const HttpOptions& options, engine::Engine& engine,
                                                     storage::Reader& reader, const engine::Backups& backups);
  ~HttpServer();

  int port() const;

 private:
  class Impl;
  explicit HttpServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace canopy::http
