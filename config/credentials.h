#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace canopy::config {

// One side of a mutual TLS connection, as PEM texts.
struct Credential {
  std::string ca_certificate, certificate, private_key;
};

// Who a certificate speaks for: the only URI among its subject's alternative names.
//   canopy://role/user/<name>   canopy://role/worker/<uuid>   canopy://role/controller
struct Identity {
  enum class Role { kUser, kWorker, kController };
  Role role = Role::kUser;
  std::string name;  // of the user, or the worker's UUID; empty for the controller

  std::string ToUri() const;
  static StatusOr<Identity> FromUri(std::string_view uri);
};

// Reads ca.crt, <name>.crt and <name>.key of a folder. Errors name the file and the remedy: missing,
// readable by others than its owner, not PEM, key and certificate don't belong together, not signed by that
// CA, expired.
StatusOr<Credential> LoadCredential(const std::string& folder, std::string_view name);
// The identity in a credential's certificate.
StatusOr<Identity> IdentityOf(const Credential& credential);

// Makes a certificate authority (ca.crt, ca.key), the controller's credential for these host names and IP
// addresses, and one for the user `user`, all in `folder` (0700; files 0600). AlreadyExists where the folder
// has an authority: certificates in use would stop working.
Status InitCluster(const std::string& folder, const std::vector<std::string>& hosts, std::string_view user);

struct WorkerBundle {
  std::string worker_id;  // a new UUID
  std::string folder;     // <folder>/workers/<name>, with ca.crt, worker.crt, worker.key
};
// Makes a worker's credential, signed by the folder's authority. AlreadyExists where `name` is taken.
StatusOr<WorkerBundle> AddWorker(const std::string& folder, std::string_view name);

}  // namespace canopy::config
