#include "cli/connection.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/file.h"
#include "cli/exit_code.h"
#include "cli/interrupt.h"
#include "config/credentials.h"
#include "controller/service/controller_main.h"
#include "rpc/channel.h"

namespace canopy::cli {
namespace {

constexpr int64_t kHelloTimeoutMs = 10'000;
// On this machine it is asked again, so that one that is ending takes no time from the next.
constexpr int64_t kLocalHelloTimeoutMs = 2'000;
constexpr int64_t kStartPollMs = 50;

// How long another command's controller may be in the way of one's own.
constexpr int64_t kOtherCommandMs = 10'000;
// How long to wait for its end before asking it instead: it ends with its command, in the middle of a call.
constexpr int64_t kOtherCommandPatienceMs = 5'000;
// What the log of a controller says that found the database held by another.
constexpr std::string_view kHeld = "another controller serves";

// The process that accepts connections there, 0 where none does: a socket file that a killed one left behind
// is nobody's.
pid_t ServerOf(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) return 0;
  std::memcpy(address.sun_path, path.data(), path.size());
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return 0;
  ucred peer{};
  socklen_t size = sizeof peer;
  const bool answers = connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 &&
                       getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0;
  close(fd);
  // One in another namespace of processes has no number here.
  return !answers ? 0 : peer.pid > 0 ? peer.pid : -1;
}

// Whether it may be the end of another command's controller.
bool MayPass(const Status& status) {
  return absl::IsUnavailable(status) || absl::IsAborted(status) || absl::IsCancelled(status) ||
         absl::IsDeadlineExceeded(status) || absl::IsResourceExhausted(status);
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
  auto hello = client.Hello(credential ? kHelloTimeoutMs : kLocalHelloTimeoutMs);
  if (!hello.ok()) return WithContext(hello.status(), "controller at " + target);
  return std::unique_ptr<Connection>(new Connection(std::move(client), *std::move(hello)));
}

StatusOr<std::unique_ptr<Connection>> Connection::FindLocal(const config::Settings& settings) {
  const std::string socket = LocalSocket(settings);
  CANOPY_ASSIGN_OR_RETURN(const std::string target, rpc::UnixTarget(socket));
  if (ServerOf(socket) == 0) return nullptr;
  return Connect(target, settings);
}

StatusOr<std::unique_ptr<Connection>> Connection::WaitForLocal(const config::Settings& settings,
                                                               ChildProcess& controller) {
  constexpr int kHellos = kHelloTimeoutMs / kLocalHelloTimeoutMs;
  int unanswered = 0;
  const std::string socket = LocalSocket(settings);
  CANOPY_ASSIGN_OR_RETURN(const std::string target, rpc::UnixTarget(socket));
  for (;;) {
    // What answers may be another command's controller, which holds the database that this one waits for.
    if (ServerOf(socket) == controller.pid()) {
      auto connection = Connect(target, settings);
      if (!absl::IsDeadlineExceeded(connection.status()) || ++unanswered == kHellos) return connection;
    }
    if (!controller.Running()) {
      const Status failure = controller.Failure();
      return Message(failure).find(kHeld) == std::string::npos ? failure : Aborted(Message(failure));
    }
    if (InterruptGuard::SleepFor(kStartPollMs)) return Interrupted();
  }
}

StatusOr<std::unique_ptr<Connection>> Connection::StartOwn(const Context& context,
                                                           const config::Settings& settings) {
  // What the settings say of TCP is for `controller start`; nobody else is to reach this one.
  const std::string folder = StateDirectory(settings, "controller");
  std::vector<std::string> arguments =
      OwnArguments(context, {"controller", "start", "--no-leases", "--state-dir", StateBase(settings),
                             "--listen", "", "--credentials", "", "--http-port", "0"});
  const std::string output = folder + "/logs/for_one_command_" + std::to_string(getpid()) + ".log";
  CANOPY_ASSIGN_OR_RETURN(ChildProcess controller,
                          ChildProcess::Start(context.program, std::move(arguments), output));
  auto connection = WaitForLocal(settings, controller);
  // The log is for the error alone, which holds its end.
  std::error_code ignored;
  std::filesystem::remove(output, ignored);
  if (connection.ok()) (*connection)->own_controller_.emplace(std::move(controller));
  return connection;
}

StatusOr<std::unique_ptr<Connection>> Connection::Open(const Context& context,
                                                       const config::Settings& settings, Missing missing) {
  if (const std::string& target = settings.Get("controller"); !target.empty())
    return Connect(target, settings);
  const std::string folder = StateDirectory(settings, "controller");
  const SystemClock clock;
  const int64_t begun_ms = clock.MonotonicMs();
  for (;;) {
    const int64_t waited_ms = clock.MonotonicMs() - begun_ms;
    auto found = FindLocal(settings);
    const bool serves = found.ok() && *found;
    if (serves && ((*found)->hello().grants_leases() || waited_ms > kOtherCommandPatienceMs)) return found;
    if (found.ok() && !serves) {
      if (missing == Missing::kRefuse && !FileExists(folder + "/canopy.db")) {
        return NotFound("no campaign was ever launched in " + folder +
                        ": start one with `canopy run FILE`, or name another folder with --state-dir");
      }
      found = StartOwn(context, settings);
      if (!absl::IsAborted(found.status())) return found;
    }
    if (!found.ok() && (!MayPass(found.status()) || waited_ms > kOtherCommandMs)) return found;
    if (InterruptGuard::SleepFor(kStartPollMs)) return Interrupted();
  }
}

StatusOr<std::unique_ptr<Connection>> Connection::FindGranting(const config::Settings& settings) {
  const SystemClock clock;
  const int64_t begun_ms = clock.MonotonicMs();
  for (;;) {
    auto found = FindLocal(settings);
    if (found.ok() ? !*found || (*found)->hello().grants_leases() : !MayPass(found.status())) return found;
    if (clock.MonotonicMs() - begun_ms > kOtherCommandMs) {
      if (!found.ok()) return found;
      return FailedPrecondition("the controller in " + StateDirectory(settings, "controller") + " (process " +
                                std::to_string(ServerOf(LocalSocket(settings))) +
                                ") grants no leases: it serves another command; run this again once that has "
                                "ended");
    }
    if (InterruptGuard::SleepFor(kStartPollMs)) return Interrupted();
  }
}

}  // namespace canopy::cli
