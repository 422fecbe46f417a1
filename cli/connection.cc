#include "cli/connection.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <utility>

#include "base/file.h"
#include "cli/exit_code.h"
#include "cli/interrupt.h"
#include "config/credentials.h"
#include "controller/service/controller_main.h"
#include "rpc/channel.h"

namespace canopy::cli {
namespace {

constexpr int64_t kHelloTimeoutMs = 10'000;
constexpr int64_t kStartPollMs = 50;

// Whether a process accepts connections there; a socket file that a killed one left behind does not.
bool SocketAnswers(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) return false;
  std::memcpy(address.sun_path, path.data(), path.size());
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return false;
  const bool answers = connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  close(fd);
  return answers;
}

}  // namespace

std::string LocalSocket(const config::Settings& settings) {
  return controller::SocketPath(StateDirectory(settings, "controller"));
}

std::string StateBase(const config::Settings& settings) {
  return std::filesystem::path(StateDirectory(settings, "controller")).parent_path();
}

StatusOr<std::unique_ptr<Connection>> Connection::Connect(const std::string& target,
                                                          const config::Settings& settings) {
  std::optional<config::Credential> credential;
  if (target.rfind("unix:", 0) != 0) {
    const std::string& folder = settings.Get("credentials");
    if (folder.empty()) {
      return Unauthenticated("controller " + target +
                             " is reached by TLS: name the folder of your certificate with "
                             "--credentials (docs/cluster.md)");
    }
    CANOPY_ASSIGN_OR_RETURN(credential, config::LoadCredential(folder, "user"));
  }
  CANOPY_ASSIGN_OR_RETURN(auto channel, rpc::OpenChannel(target, credential ? &*credential : nullptr));
  CampaignClient client(std::move(channel));
  auto hello = client.Hello(kHelloTimeoutMs);
  if (!hello.ok()) return WithContext(hello.status(), "controller at " + target);
  return std::unique_ptr<Connection>(new Connection(std::move(client), *std::move(hello)));
}

StatusOr<std::unique_ptr<Connection>> Connection::FindLocal(const config::Settings& settings) {
  const std::string socket = LocalSocket(settings);
  CANOPY_ASSIGN_OR_RETURN(const std::string target, rpc::UnixTarget(socket));
  if (!SocketAnswers(socket)) return nullptr;
  return Connect(target, settings);
}

StatusOr<std::unique_ptr<Connection>> Connection::WaitForLocal(const config::Settings& settings,
                                                               ChildProcess& controller) {
  for (;;) {
    auto connection = FindLocal(settings);
    if (!connection.ok() || *connection) return connection;
    if (!controller.Running()) return controller.Failure();
    if (InterruptGuard::SleepFor(kStartPollMs)) return Interrupted();
  }
}

StatusOr<std::unique_ptr<Connection>> Connection::Open(const Context& context,
                                                       const config::Settings& settings, Missing missing) {
  if (const std::string& target = settings.Get("controller"); !target.empty())
    return Connect(target, settings);
  CANOPY_ASSIGN_OR_RETURN(std::unique_ptr<Connection> found, FindLocal(settings));
  if (found) return found;
  const std::string folder = StateDirectory(settings, "controller");
  if (missing == Missing::kRefuse && !FileExists(folder + "/canopy.db")) {
    return NotFound("no campaign was ever launched in " + folder +
                    ": start one with `canopy run FILE`, or name another folder with --state-dir");
  }
  CANOPY_ASSIGN_OR_RETURN(ChildProcess controller, ChildProcess::Start(context.program,
                                                                       {"controller", "start", "--no-leases",
                                                                        "--state-dir", StateBase(settings)},
                                                                       folder + "/logs/for_one_command.log"));
  CANOPY_ASSIGN_OR_RETURN(std::unique_ptr<Connection> connection, WaitForLocal(settings, controller));
  connection->own_controller_.emplace(std::move(controller));
  return connection;
}

}  // namespace canopy::cli
