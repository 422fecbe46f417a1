#include "cli/host_checks.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/timex.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>

#include "base/clock.h"
#include "base/strings.h"

namespace canopy::cli {
namespace {

using Level = HostCheck::Level;

constexpr int64_t kMiB = int64_t{1} << 20, kGiB = int64_t{1} << 30;
// 2024-01-01: a clock before it was never set.
constexpr int64_t kPlausibleUs = int64_t{1'704'067'200} * 1'000'000;

std::string Size(int64_t bytes) {
  if (bytes >= 10 * kGiB) return FormatCount(bytes / kGiB) + " GiB";
  if (bytes >= kMiB) return FormatCount(bytes / kMiB) + " MiB";
  return FormatCount(bytes) + " bytes";
}

}  // namespace

std::string LevelName(Level level) {
  switch (level) {
    case Level::kOk:
      return "ok";
    case Level::kWarning:
      return "warning";
    case Level::kError:
      break;
  }
  return "error";
}

HostCheck JudgeFileSystem(const std::optional<std::string>& network) {
  if (!network) return {"file system", Level::kOk, "local", ""};
  return {"file system", Level::kError, "a network file system (" + *network + ")",
          "name a folder on a local disk with --state-dir: the database's locks do not hold here"};
}

HostCheck JudgeDiskSpace(int64_t free_bytes, int64_t database_bytes) {
  const std::string found = Size(free_bytes) + " free, database " + Size(database_bytes);
  if (free_bytes < 256 * kMiB)
    return {"disk space", Level::kError, found, "free space: the controller refuses new work on a full disk"};
  if (free_bytes < 3 * database_bytes + kGiB)
    return {"disk space", Level::kWarning, found,
            "free space, or keep fewer backups (backup_keep): the database grows, and each backup is a copy"};
  return {"disk space", Level::kOk, found, ""};
}

HostCheck JudgeSyncLatency(double median_ms, double worst_ms) {
  const std::string found =
      "median " + FormatFixed(median_ms, 2) + " ms, worst " + FormatFixed(worst_ms, 2) + " ms";
  if (median_ms < 10) return {"sync latency", Level::kOk, found, ""};
  return {"sync latency", Level::kWarning, found,
          "place the state directory on a faster disk: every commit waits for a sync"};
}

HostCheck JudgeOpenFiles(int64_t limit) {
  const std::string found = "at most " + FormatCount(limit);
  if (limit >= 4096) return {"open files", Level::kOk, found, ""};
  return {"open files", Level::kWarning, found,
          "raise it (ulimit -n, LimitNOFILE=) above the number of workers: each holds a connection"};
}

HostCheck JudgeClock(bool synchronized, int64_t wall_us) {
  const std::string now = FormatWallUs(wall_us);
  if (wall_us < kPlausibleUs)
    return {"clock", Level::kError, now,
            "set the clock: certificates, budgets by date and the names of backups need it"};
  if (!synchronized)
    return {"clock", Level::kWarning, now + ", and nothing keeps it right",
            "run a time service (chrony, systemd-timesyncd); leases do not depend on it, times shown do"};
  return {"clock", Level::kOk, now + ", synchronized", ""};
}

HostCheck JudgeFolder(const std::string& path, uint32_t mode, bool own, bool writable) {
  if (!writable)
    return {"state directory", Level::kError, path + " can't be written",
            "run this as its owner, or name another folder with --state-dir"};
  if (!own || (mode & 077U) != 0)
    return {"state directory", Level::kWarning,
            path + (own ? " is open to other users" : " is another user's"),
            own ? "chmod 700 " + path : "let the user who runs the controller own it"};
  return {"state directory", Level::kOk, path, ""};
}

HostCheck JudgeBackups(int64_t newest_us, int64_t interval_ms, int64_t now_us) {
  if (interval_ms == 0)
    return {"backups", Level::kWarning, "none are taken (backup_interval is 0)",
            "set backup_interval, or run `canopy db backup` on a schedule of your own"};
  if (newest_us == 0)
    return {"backups", Level::kWarning, "there is none",
            "a running controller takes one at once; without one, `canopy db backup` does"};
  const int64_t age_ms = std::max<int64_t>(0, now_us - newest_us) / 1000;
  const std::string found = "the newest is " + FormatDuration(age_ms) + " old";
  if (age_ms <= 3 * interval_ms) return {"backups", Level::kOk, found, ""};
  return {"backups", Level::kWarning, found,
          "if the controller runs, `canopy status` and its log say why there is none since"};
}

HostCheck JudgeSlots(int64_t slots, int64_t cores, int64_t memory_bytes) {
  const std::string found =
      std::to_string(slots) + " of " + std::to_string(cores) + " cores, " + Size(memory_bytes) + " of memory";
  if (slots > cores)
    return {"worker slots", Level::kWarning, found,
            "set slots to " + std::to_string(cores) + " or less: candidates on one core slow each other"};
  if (memory_bytes > 0 && memory_bytes / std::max<int64_t>(1, slots) < kGiB)
    return {"worker slots", Level::kWarning, found,
            "set slots lower: a candidate has less than 1 GiB, and may be killed for memory"};
  return {"worker slots", Level::kOk, found, ""};
}

StatusOr<std::vector<double>> MeasureSyncMs(const std::string& folder, int times) {
  const std::string path = folder + "/sync_probe." + std::to_string(::getpid());
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0) return FromErrno(errno, "create " + path);
  const std::string block(4096, 'c');
  std::vector<double> ms;
  Status status;
  for (int i = 0; i < times && status.ok(); ++i) {
    const auto begun = std::chrono::steady_clock::now();
    if (::write(fd, block.data(), block.size()) < 0 || ::fdatasync(fd) != 0)
      status = FromErrno(errno, "write and sync " + path);
    ms.push_back(std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begun).count());
  }
  ::close(fd);
  ::unlink(path.c_str());
  CANOPY_RETURN_IF_ERROR(status);
  std::sort(ms.begin(), ms.end());
  return ms;
}

bool ClockIsSynchronized() {
  timex state{};
  const int found = ::adjtimex(&state);
  return found != TIME_ERROR && (state.status & STA_UNSYNC) == 0;
}

int64_t OpenFileLimit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return 0;
  return limit.rlim_cur == RLIM_INFINITY ? INT64_MAX : static_cast<int64_t>(limit.rlim_cur);
}

}  // namespace canopy::cli
