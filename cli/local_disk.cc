#include "cli/local_disk.h"

#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <iostream>

#include "base/sha256.h"

namespace canopy::cli {

StatusOr<std::string> OnLocalDisk(const std::string& base, const NetworkProbe& probe,
                                  const std::string& local_parent) {
  std::filesystem::path existing = base;
  while (existing.has_relative_path() && !FileExists(existing)) existing = existing.parent_path();
  const auto network = probe(existing);
  if (!network) return base;
  const std::string own = local_parent + "/canopy-" + std::to_string(getuid());
  const std::string local = own + "/" + Sha256Hex(base).substr(0, 12);
  const bool created = !FileExists(local);
  CANOPY_RETURN_IF_ERROR(MakeDirectories(local, 0700));
  struct stat folder {};
  if (lstat(own.c_str(), &folder) != 0 || !S_ISDIR(folder.st_mode) || folder.st_uid != getuid() ||
      (folder.st_mode & 077) != 0 || probe(local)) {
    return FailedPrecondition(base + " lies on a network file system (" + *network + "), and " + local +
                              " is no private folder on a local disk: name one with --state-dir");
  }
  if (created) {
    std::cerr << base << " lies on a network file system (" << *network
              << "), where a database is not safe.\nWhat would be kept there is kept in " << local
              << " instead; name another folder with --state-dir.\n";
  }
  return local;
}

}  // namespace canopy::cli
