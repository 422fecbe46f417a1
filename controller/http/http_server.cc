#include "controller/http/http_server.h"

#include <httplib.h>
#include <openssl/crypto.h>
#include <sys/socket.h>

#include <thread>
#include <utility>

#include "base/file.h"
#include "base/log.h"
#include "base/random.h"
#include "base/strings.h"
#include "controller/http/metrics_page.h"

namespace canopy::http {
namespace {

constexpr const char* kLoopback = "127.0.0.1";
constexpr size_t kMaxBodyBytes = 64 * 1024;
// An idle connection holds up a stop for that long.
constexpr time_t kKeepAliveSeconds = 1;

StatusOr<std::string> LoadOrMakeToken(const std::string& path) {
  if (!FileExists(path)) {
    std::string token;
    for (const char c : NewUuid() + NewUuid())
      if (c != '-') token += c;
    CANOPY_RETURN_IF_ERROR(WriteFileDurably(path, token + "\n", 0600));
  }
  CANOPY_ASSIGN_OR_RETURN(const std::string text, ReadFile(path, 4096));
  const std::string token(Trim(text));
  if (token.size() < 32)
    return DataLoss(path + ": expected a token of at least 32 characters; remove the file");
  return token;
}

// "localhost", "127.0.0.1" or "[::1]", with any port.
bool IsLoopbackName(const std::string& host) {
  for (const std::string_view name : {"localhost", "127.0.0.1", "[::1]"})
    if (host == name || host.rfind(std::string(name) + ":", 0) == 0) return true;
  return false;
}

bool SameToken(const std::string& given, const std::string& expected) {
  return given.size() == expected.size() &&
         CRYPTO_memcmp(given.data(), expected.data(), expected.size()) == 0;
}

}  // namespace

class HttpServer::Impl {
 public:
  Impl(std::string token, engine::Engine& engine, storage::Reader& reader, const engine::Backups& backups)
      : authorization_("Bearer " + std::move(token)), engine_(engine), reader_(reader), backups_(backups) {
    server_.set_payload_max_length(kMaxBodyBytes);
    server_.set_keep_alive_timeout(kKeepAliveSeconds);
    // Not the library's SO_REUSEPORT, by which two servers would share a port.
    server_.set_socket_options([](socket_t socket) {
      const int yes = 1;
      setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    });
    server_.set_pre_routing_handler([this](const httplib::Request& request, httplib::Response& response) {
      return Admit(request, response);
    });
    const auto healthy = [](const httplib::Request&, httplib::Response& response) {
      response.set_content("ok\n", "text/plain");
    };
    // The ports open once the engine has taken up its state: what answers is ready.
    server_.Get("/healthz", healthy);
    server_.Get("/readyz", healthy);
    server_.Get("/metrics", [this](const httplib::Request&, httplib::Response& response) {
      const StatusOr<std::string> page = MetricsPage(engine_, reader_, backups_);
      if (page.ok()) {
        response.set_content(*page, "text/plain; version=0.0.4");
      } else {
        response.status = 503;
        response.set_content(Message(page.status()) + "\n", "text/plain");
      }
    });
  }
  ~Impl() {
    server_.stop();
    if (thread_.joinable()) thread_.join();
  }

  Status Listen(int port) {
    if (port == 0) {
      port_ = server_.bind_to_any_port(kLoopback);
    } else if (server_.bind_to_port(kLoopback, port)) {
      port_ = port;
    }
    if (port_ <= 0)
      return AlreadyExists("http_port " + std::to_string(port) +
                           ": the port is in use; choose another, or 0 for none");
    thread_ = std::thread([this] { server_.listen_after_bind(); });
    while (!server_.is_running()) std::this_thread::yield();
    return absl::OkStatus();
  }
  int port() const { return port_; }

 private:
  httplib::Server::HandlerResponse Admit(const httplib::Request& request, httplib::Response& response) const {
    const auto refuse = [&](int status, const char* text) {
      response.status = status;
      response.set_content(text, "text/plain");
      return httplib::Server::HandlerResponse::Handled;
    };
    if (!IsLoopbackName(request.get_header_value("Host"))) return refuse(421, "expected Host: localhost\n");
    if (request.path == "/healthz" || request.path == "/readyz")
      return httplib::Server::HandlerResponse::Unhandled;
    if (!SameToken(request.get_header_value("Authorization"), authorization_))
      return refuse(401, "expected Authorization: Bearer <the token in the controller's state directory>\n");
    return httplib::Server::HandlerResponse::Unhandled;
  }

  const std::string authorization_;
  engine::Engine& engine_;
  storage::Reader& reader_;
  const engine::Backups& backups_;
  httplib::Server server_;
  std::thread thread_;
  int port_ = 0;
};

StatusOr<std::unique_ptr<HttpServer>> HttpServer::Start(const HttpOptions& options, engine::Engine& engine,
                                                        storage::Reader& reader,
                                                        const engine::Backups& backups) {
  CANOPY_ASSIGN_OR_RETURN(std::string token, LoadOrMakeToken(options.token_path));
  auto impl = std::make_unique<Impl>(std::move(token), engine, reader, backups);
  CANOPY_RETURN_IF_ERROR(impl->Listen(options.port));
  return std::unique_ptr<HttpServer>(new HttpServer(std::move(impl)));
}

HttpServer::HttpServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
HttpServer::~HttpServer() = default;
int HttpServer::port() const { return impl_->port(); }

}  // namespace canopy::http
