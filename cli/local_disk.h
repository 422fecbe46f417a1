#pragma once

#include <functional>
#include <optional>
#include <string>

#include "base/file.h"
#include "base/status.h"

namespace canopy::cli {

// Tells the network file system that holds an existing path; nullopt where it is local.
using NetworkProbe = std::function<std::optional<std::string>(const std::string&)>;

// The state directory `base` (an absolute path, which need not exist), or, where it would lie on a network
// file system, the one that stands for it below `local_parent`, always the same: it is created, private to
// the user. FailedPrecondition where no such folder can be had. Says on standard error that it created one.
StatusOr<std::string> OnLocalDisk(const std::string& base, const NetworkProbe& probe = NetworkFileSystemOf,
                                  const std::string& local_parent = "/var/tmp");

}  // namespace canopy::cli
