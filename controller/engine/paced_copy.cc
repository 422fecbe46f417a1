#include "controller/engine/paced_copy.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <functional>
#include <memory>
#include <thread>
#include <utility>

#include "storage/online_copy.h"

namespace canopy::engine {
namespace {

using storage::OnlineCopy;
using Microseconds = std::chrono::microseconds;

// The engine's callers wait for a slice, and a disk's cache for what a round leaves to sync.
constexpr Microseconds kSlice{2'000};
constexpr int kPagesAtOnce = 16;
constexpr int64_t kPageBytes = 4'096, kRoundBytes = int64_t{8} << 20, kRoundPages = kRoundBytes / kPageBytes;
// Of the engine's time, at most one part in so many is the copy's where others wait for the engine.
constexpr int kShare = 4;

// Makes durable what was written, so that the engine's own syncs have little of it to wait for.
Status SyncFile(const std::string& path) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
  if (fd < 0) return FromErrno(errno, "open " + path);
  const Status status = ::fdatasync(fd) == 0 ? Status() : FromErrno(errno, "sync " + path);
  ::close(fd);
  return status;
}

class PacedCopy {
 public:
  explicit PacedCopy(Engine& engine) : engine_(engine) {}

  const OnlineCopy::Progress& progress() const { return progress_; }

  // Some pages, on the engine's thread, and a pause.
  Status Slice() {
    CANOPY_RETURN_IF_ERROR(engine_.BetweenTransactions([&](storage::TrialStore& store) -> Status {
      const auto start = std::chrono::steady_clock::now();
      int64_t at_least = 0, copied = 0;
      do {
        const int64_t known = progress_.pages;
        CANOPY_ASSIGN_OR_RETURN(progress_, store.ContinueCopy(kPagesAtOnce));
        // A database that grows as fast as it is copied would never be.
        if (known > 0) at_least += 2 * (progress_.pages - known);
        copied += kPagesAtOnce;
        took_ = std::chrono::steady_clock::now() - start;
      } while (!progress_.complete && (took_ < kSlice || copied < at_least));
      return absl::OkStatus();
    }));
    // Paces the caller, which nobody waits for: those whose calls are queued come first.
    if (!progress_.complete && engine_.statistics().queued > 0)
      std::this_thread::sleep_for(
          std::min<std::chrono::steady_clock::duration>((kShare - 1) * took_, kLongestPause));
    return absl::OkStatus();
  }

 private:
  static constexpr std::chrono::milliseconds kLongestPause{100};

  Engine& engine_;
  OnlineCopy::Progress progress_;
  std::chrono::steady_clock::duration took_{};
};

StatusOr<storage::Fingerprint> CopyPages(Engine& engine, const std::string& database,
                                         const std::string& partial, const storage::CopyOptions& options) {
  CANOPY_ASSIGN_OR_RETURN(const auto ahead, storage::ReadAhead::Open(database));
  PacedCopy copy(engine);
  for (int64_t until_page = kRoundPages;; until_page += kRoundPages) {
    ahead->Read((until_page - kRoundPages) * kPageBytes, kRoundBytes);
    while (!copy.progress().complete && copy.progress().pages - copy.progress().pages_left < until_page) {
      if (options.cancelled && options.cancelled()) return absl::CancelledError("the copy was given up");
      CANOPY_RETURN_IF_ERROR(copy.Slice());
    }
    if (copy.progress().complete) return *copy.progress().complete;
    CANOPY_RETURN_IF_ERROR(SyncFile(partial));
    CANOPY_RETURN_IF_ERROR(storage::CheckRoomForCopy(database, partial, options.reserve_bytes));
  }
}

}  // namespace

std::function<StatusOr<storage::Fingerprint>(const std::string& partial, const storage::CopyOptions& options)>
CopiesBetweenTransactions(Engine& engine, const std::string& database) {
  return [&engine, database](const std::string& partial,
                             const storage::CopyOptions& options) -> StatusOr<storage::Fingerprint> {
    CANOPY_RETURN_IF_ERROR(
        engine.BetweenTransactions([&](storage::TrialStore& store) { return store.BeginCopy(partial); }));
    auto copied = CopyPages(engine, database, partial, options);
    // An engine that has stopped has closed it.
    if (!copied.ok())
      (void)engine.BetweenTransactions([](storage::TrialStore& store) {
        store.EndCopy();
        return absl::OkStatus();
      });
    return copied;
  };
}

}  // namespace canopy::engine
