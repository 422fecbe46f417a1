#include "controller/engine/backups.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "base/log.h"

namespace canopy::engine {
namespace {

constexpr int64_t kRetryMs = 600'000;
// How long the thread sleeps at the most: the wall clock may be set.
constexpr int64_t kLongestWaitMs = 60'000;

}  // namespace

int64_t BackupDueInMs(int64_t interval_ms, int64_t newest_us, int64_t now_us, int64_t failed_ago_ms) {
  if (failed_ago_ms >= 0) return std::max<int64_t>(0, std::min(interval_ms, kRetryMs) - failed_ago_ms);
  // A backup from the future, by a clock that was wrong, delays the next one by an interval at the most.
  const int64_t age_ms = std::max<int64_t>(0, (now_us - newest_us) / 1000);
  return std::max<int64_t>(0, interval_ms - age_ms);
}

Backups::Backups(Options options, const Clock& clock) : options_(std::move(options)), clock_(clock) {
  storage::RemovePartialCopies(options_.folder);
  if (const std::vector<storage::Backup> known = storage::ListBackups(options_.folder); !known.empty())
    statistics_.last_us = known.back().taken_us;
  if (options_.interval_ms > 0) thread_ = std::thread([this] { Run(); });
}

StatusOr<storage::TakenBackup> Backups::TakeNow() {
  const MutexLock one_at_a_time(copying_);
  const int64_t begun_ms = clock_.MonotonicMs();
  const int64_t now_us = clock_.WallUs();
  storage::CopyOptions copy = options_.copy;
  copy.cancelled = [this] { return stopping_.load(); };
  auto taken = storage::TakeBackup(options_.database, options_.folder, now_us, copy);
  Status status = taken.status();
  if (status.ok()) status = storage::PruneBackups(options_.folder, options_.retention, now_us);
  const MutexLock lock(mutex_);
  if (taken.ok()) {
    ++statistics_.taken;
    statistics_.last_us = now_us;
    statistics_.last_bytes = taken->facts.bytes;
    statistics_.last_ms = clock_.MonotonicMs() - begun_ms;
    CANOPY_LOG(Info, "backup taken",
               {{"backup", taken->backup.path},
                {"bytes", std::to_string(taken->facts.bytes)},
                {"ms", std::to_string(statistics_.last_ms)}});
  }
  if (absl::IsCancelled(status)) return status;
  failed_at_ms_ = status.ok() ? 0 : std::max<int64_t>(1, clock_.MonotonicMs());
  statistics_.failure = status.ok() ? "" : Message(status);
  if (!status.ok()) {
    ++statistics_.failed;
    CANOPY_LOG(Error, "The database was not backed up",
               {{"error", Message(status)}, {"folder", options_.folder}});
  }
  changed_.NotifyAll();
  if (!taken.ok()) return taken.status();
  return taken;
}

StatusOr<Backups::Snapshot> Backups::TakeSnapshot() {
  const MutexLock one_at_a_time(copying_);
  storage::CopyOptions copy = options_.copy;
  copy.cancelled = [this] { return stopping_.load(); };
  CANOPY_RETURN_IF_ERROR(storage::MakeBackupFolder(options_.folder));
  Snapshot snapshot;
  snapshot.path = options_.folder + "/snapshot-" + std::to_string(++snapshots_) + storage::kPartialSuffix;
  CANOPY_ASSIGN_OR_RETURN(snapshot.facts, storage::CopyDatabase(options_.database, snapshot.path, copy));
  return snapshot;
}

BackupStatistics Backups::statistics() const {
  const MutexLock lock(mutex_);
  return statistics_;
}

std::string Backups::Warning() const {
  const BackupStatistics now = statistics();
  if (now.failure.empty()) return "";
  return "the database was not backed up: " + now.failure + "; the newest backup is " +
         (now.last_us == 0 ? "none" : "of " + FormatWallUs(now.last_us));
}

int64_t Backups::DueInMs() const {
  return BackupDueInMs(options_.interval_ms, statistics_.last_us, clock_.WallUs(),
                       failed_at_ms_ == 0 ? -1 : clock_.MonotonicMs() - failed_at_ms_);
}

void Backups::Run() {
  while (!stopping_) {
    {
      const MutexLock lock(mutex_);
      if (const int64_t due_ms = DueInMs(); due_ms > 0) {
        if (!stopping_) changed_.WaitFor(mutex_, std::min(due_ms, kLongestWaitMs));
        continue;
      }
    }
    (void)TakeNow();  // logged, and shown
  }
}

void Backups::Stop() {
  {
    const MutexLock lock(mutex_);
    stopping_ = true;
  }
  changed_.NotifyAll();
  if (thread_.joinable()) thread_.join();
}

}  // namespace canopy::engine
