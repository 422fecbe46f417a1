#pragma once

#include <string>
#include <string_view>

#include "base/status.h"

namespace grpc {
class ServerContextBase;
}

namespace canopy::controller {

// Who calls, as the connection proves it.
struct Principal {
  enum class Role {
    kLocal,   // a process of this host that may open the Unix socket: every right
    kUser,    // a user's certificate
    kWorker,  // a worker's certificate
  };
  Role role = Role::kLocal;
  std::string name;  // of the user, or the worker's UUID

  // "local:ada", "user:ada" or "worker:<uuid>", as events and logs carry it.
  std::string ToString() const;
};

// Every call of the two services.
enum class Verb {
  kWorkerHello,
  kExchange,
  kReportRung,
  kHeartbeat,
  kUserHello,
  kLaunch,
  kCommand,
  kDrain,
  kRead,
  kQuery,
  kBackup,
  kSnapshot,
};
std::string_view ToString(Verb verb);

// One table of roles and verbs; what it does not grant is PermissionDenied.
Status Authorize(const Principal& principal, Verb verb);
// PermissionDenied where a worker's certificate speaks for another worker.
Status AuthorizeWorker(const Principal& principal, const std::string& worker_id);

// Unauthenticated where the peer proves neither.
StatusOr<Principal> PrincipalOf(const grpc::ServerContextBase& context);
// The caller, once it may do that.
StatusOr<Principal> Admit(const grpc::ServerContextBase& context, Verb verb);

}  // namespace canopy::controller
