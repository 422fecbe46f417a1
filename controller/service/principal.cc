#include "controller/service/principal.h"

#include <grpcpp/security/auth_context.h>
#include <grpcpp/server_context.h>
#include <pwd.h>
#include <unistd.h>

#include <array>
#include <memory>
#include <utility>
#include <vector>

#include "config/credentials.h"

namespace canopy::controller {
namespace {

using Role = Principal::Role;

struct Grant {
  Verb verb;
  Role role;
};

constexpr std::array kGrants = {
    Grant{Verb::kWorkerHello, Role::kLocal}, Grant{Verb::kWorkerHello, Role::kWorker},
    Grant{Verb::kExchange, Role::kLocal},    Grant{Verb::kExchange, Role::kWorker},
    Grant{Verb::kReportRung, Role::kLocal},  Grant{Verb::kReportRung, Role::kWorker},
    Grant{Verb::kHeartbeat, Role::kLocal},   Grant{Verb::kHeartbeat, Role::kWorker},
    Grant{Verb::kUserHello, Role::kLocal},   Grant{Verb::kUserHello, Role::kUser},
    Grant{Verb::kLaunch, Role::kLocal},      Grant{Verb::kLaunch, Role::kUser},
    Grant{Verb::kCommand, Role::kLocal},     Grant{Verb::kCommand, Role::kUser},
    Grant{Verb::kDrain, Role::kLocal},       Grant{Verb::kDrain, Role::kUser},
    Grant{Verb::kRead, Role::kLocal},        Grant{Verb::kRead, Role::kUser},
    Grant{Verb::kQuery, Role::kLocal},       Grant{Verb::kQuery, Role::kUser},
    Grant{Verb::kBackup, Role::kLocal},      Grant{Verb::kSnapshot, Role::kLocal},
    Grant{Verb::kSnapshot, Role::kUser},
};

// The socket's mode admits this process's own user and root alone.
std::string OwnUserName() {
  passwd entry{};
  passwd* found = nullptr;
  std::array<char, 4096> buffer{};
  if (getpwuid_r(geteuid(), &entry, buffer.data(), buffer.size(), &found) == 0 && found != nullptr)
    return found->pw_name;
  return std::to_string(geteuid());
}

}  // namespace

std::string Principal::ToString() const {
  switch (role) {
    case Role::kLocal:
      return "local:" + name;
    case Role::kUser:
      return "user:" + name;
    case Role::kWorker:
      break;
  }
  return "worker:" + name;
}

std::string_view ToString(Verb verb) {
  switch (verb) {
    case Verb::kWorkerHello:
      return "say Hello as a worker";
    case Verb::kExchange:
      return "report results and take leases";
    case Verb::kReportRung:
      return "report rungs";
    case Verb::kHeartbeat:
      return "send heartbeats";
    case Verb::kUserHello:
      return "say Hello as a user";
    case Verb::kLaunch:
      return "launch campaigns";
    case Verb::kCommand:
      return "pause, resume or cancel campaigns";
    case Verb::kDrain:
      return "drain workers";
    case Verb::kRead:
      return "read campaigns and trials";
    case Verb::kQuery:
      return "query the database";
    case Verb::kBackup:
      return "take backups, which a process on the controller's host does";
    case Verb::kSnapshot:
      return "copy the database";
  }
  return "do that";
}

Status Authorize(const Principal& principal, Verb verb) {
  for (const Grant& grant : kGrants)
    if (grant.verb == verb && grant.role == principal.role) return absl::OkStatus();
  return PermissionDenied(principal.ToString() + " may not " + std::string(ToString(verb)) +
                          "; use the credential that `canopy cluster` made for this purpose");
}

Status AuthorizeWorker(const Principal& principal, const std::string& worker_id) {
  if (principal.role != Role::kWorker || principal.name == worker_id) return absl::OkStatus();
  return PermissionDenied(principal.ToString() + " may not act as worker " + worker_id +
                          "; each worker has a credential of its own (`canopy cluster add-worker`)");
}

StatusOr<Principal> PrincipalOf(const grpc::ServerContextBase& context) {
  if (context.peer().rfind("unix:", 0) == 0) {
    static const std::string* const own_name = new std::string(OwnUserName());
    return Principal{Role::kLocal, *own_name};
  }
  const std::shared_ptr<const grpc::AuthContext> peer = context.auth_context();
  if (peer == nullptr || !peer->IsPeerAuthenticated())
    return Unauthenticated("the connection carries no client certificate");
  const std::vector<grpc::string_ref> uris = peer->FindPropertyValues("peer_uri");
  if (uris.size() != 1) return Unauthenticated("the client certificate names no role");
  CANOPY_ASSIGN_OR_RETURN(config::Identity identity,
                          config::Identity::FromUri(std::string_view(uris[0].data(), uris[0].size())));
  switch (identity.role) {
    case config::Identity::Role::kUser:
      return Principal{Role::kUser, std::move(identity.name)};
    case config::Identity::Role::kWorker:
      return Principal{Role::kWorker, std::move(identity.name)};
    case config::Identity::Role::kController:
      break;
  }
  return Unauthenticated("a controller's certificate is no client's");
}

StatusOr<Principal> Admit(const grpc::ServerContextBase& context, Verb verb) {
  CANOPY_ASSIGN_OR_RETURN(Principal principal, PrincipalOf(context));
  CANOPY_RETURN_IF_ERROR(Authorize(principal, verb));
  return principal;
}

}  // namespace canopy::controller
