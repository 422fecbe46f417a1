#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/status.h"

namespace canopy {

// All block on disk. NotFound, PermissionDenied, ResourceExhausted or Unavailable name the path.

// ResourceExhausted where the file has more than `max_bytes`.
StatusOr<std::string> ReadFile(const std::string& path, int64_t max_bytes = int64_t{1} << 30);
// Writes a temporary file beside `path`, fsyncs it, renames it over `path` and fsyncs the folder: after
// OK the content survives a power loss, before it the old content stands.
Status WriteFileDurably(const std::string& path, std::string_view content, int mode = 0644);
// Creates the folder and its parents; OK where it exists already.
Status MakeDirectories(const std::string& path, int mode = 0755);
Status SyncDirectory(const std::string& path);
bool FileExists(const std::string& path);

// The name of the network file system that holds `path` ("nfs", "lustre", ...), nullopt when local.
std::optional<std::string> NetworkFileSystemOf(const std::string& path);
// Bytes that a user without privileges can still write there.
StatusOr<int64_t> FreeBytes(const std::string& path);

// An exclusive flock on a file, held for the object's life and released when the process dies.
class FileLock {
 public:
  // Aborted where another process holds it: the message names the holder's pid, which the holder wrote
  // into the file.
  static StatusOr<FileLock> Acquire(const std::string& path);
  FileLock(FileLock&& other) noexcept;
  FileLock& operator=(FileLock&& other) noexcept;
  ~FileLock();

 private:
  explicit FileLock(int fd) : fd_(fd) {}
  int fd_ = -1;
};

// $CANOPY_STATE_DIR/<role>, else $XDG_STATE_HOME/canopy/<role>, else ~/.local/state/canopy/<role>.
std::string DefaultStateDirectory(std::string_view role);

}  // namespace canopy
