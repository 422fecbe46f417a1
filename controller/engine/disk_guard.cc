#include "controller/engine/disk_guard.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "base/file.h"
#include "base/log.h"
#include "base/mutant.h"

namespace canopy::engine {
namespace {

int64_t FileBytes(const std::string& path) {
  struct stat info {};
  return ::stat(path.c_str(), &info) == 0 ? static_cast<int64_t>(info.st_size) : 0;
}

}  // namespace

DiskGuard::DiskGuard(Options options) : options_(std::move(options)), path_(options_.folder + "/reserve") {
  held_ = !options_.folder.empty() && FileBytes(path_) >= options_.reserve_bytes;
}

void DiskGuard::Look() {
  if (options_.folder.empty()) return;
  const auto free_bytes = options_.free_bytes ? options_.free_bytes() : FreeBytes(options_.folder);
  if (!free_bytes.ok()) return;
  // Beyond the mark by what the reserve takes, or making it would bring the disk below the mark again.
  const int64_t mark = options_.low_bytes + (held_ ? 0 : options_.reserve_bytes);
  const bool low = *free_bytes < mark && kMutant != Mutant::kIgnoreFullDisk;
  if (low != low_.exchange(low)) {
    if (low)
      CANOPY_LOG(Error, "The disk is nearly full: new work is refused until there is room",
                 {{"folder", options_.folder}, {"free_bytes", std::to_string(*free_bytes)}});
    else
      CANOPY_LOG(Info, "There is room on the disk again", {{"free_bytes", std::to_string(*free_bytes)}});
  }
  if (!low && !held_) MakeReserve();
  // A batch writes less than this.
  if (held_ && *free_bytes < 2 * options_.reserve_bytes) GiveReserveBack();
}

Status DiskGuard::Refusal() const {
  return ResourceExhausted("less than " + std::to_string(options_.low_bytes >> 20) +
                           " MiB are free on the controller's disk (" + options_.folder +
                           "); free space there, and what was refused is taken when it comes again");
}

void DiskGuard::MakeReserve() {
  const int fd = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  const int error = fd < 0 ? errno : ::posix_fallocate(fd, 0, options_.reserve_bytes);
  if (fd >= 0) ::close(fd);
  held_ = error == 0;
  if (held_) return;
  ::unlink(path_.c_str());
  CANOPY_LOG(Warning, "No space could be reserved for a full disk",
             {{"error", Message(FromErrno(error, "reserve " + path_))}});
}

void DiskGuard::GiveReserveBack() {
  held_ = false;
  if (::unlink(path_.c_str()) == 0)
    CANOPY_LOG(Warning, "The reserved space is given back, so that what is under way can be committed",
               {{"bytes", std::to_string(options_.reserve_bytes)}});
}

}  // namespace canopy::engine
