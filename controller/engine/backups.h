#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <thread>

#include "base/clock.h"
#include "base/mutex.h"
#include "base/status.h"
#include "storage/backup_folder.h"

namespace canopy::engine {

// What status pages show of the backups.
struct BackupStatistics {
  int64_t last_us = 0, last_bytes = 0,
          last_ms = 0;            // the newest backup; 0: there is none, or not of this process
  int64_t taken = 0, failed = 0;  // by this process
  std::string failure;            // of the newest try; empty: it succeeded
};

// Copies of the database while it is written, on a thread of its own: one every interval, and whenever
// somebody asks. Thread-safe.
class Backups {
 public:
  struct Options {
    std::string database, folder;
    int64_t interval_ms = 0;  // 0: only when asked
    storage::BackupRetention retention;
    storage::CopyOptions copy;
  };
  // Removes what interrupted copies left in the folder. REQUIRES that this process holds the database's lock.
  // `clock` outlives it.
  Backups(Options options, const Clock& clock);
  ~Backups() { Stop(); }

  // Takes a backup now and removes those that the retention does not keep; blocks until it is verified.
  StatusOr<storage::TakenBackup> TakeNow() CANOPY_EXCLUDES(copying_, mutex_);
  // A copy in the folder under a name that is no backup's, which the caller removes; a kill leaves it to the
  // next start.
  struct Snapshot {
    std::string path;
    storage::DatabaseFacts facts;
  };
  StatusOr<Snapshot> TakeSnapshot() CANOPY_EXCLUDES(copying_);

  BackupStatistics statistics() const CANOPY_EXCLUDES(mutex_);
  // What a person has to know: why the newest try failed. Empty: all is well.
  std::string Warning() const;
  // Gives up a copy that is being made and ends the thread; what is asked later is Cancelled. Repeatable.
  void Stop() CANOPY_EXCLUDES(mutex_);

 private:
  void Run() CANOPY_EXCLUDES(mutex_);
  int64_t DueInMs() const CANOPY_REQUIRES(mutex_);

  const Options options_;
  const Clock& clock_;
  std::atomic<bool> stopping_{false};
  std::atomic<int64_t> snapshots_{0};
  Mutex copying_;  // one copy at a time: each keeps the write-ahead log from being reset
  mutable Mutex mutex_;
  CondVar changed_;
  BackupStatistics statistics_ CANOPY_GUARDED_BY(mutex_);
  int64_t failed_at_ms_ CANOPY_GUARDED_BY(mutex_) = 0;  // monotonic; 0: the newest try succeeded
  std::thread thread_;
};

// When the next backup is due, in milliseconds from now: an interval after the newest one, and at most ten
// minutes after a try that failed `failed_ago_ms` ago (-1: it succeeded).
int64_t BackupDueInMs(int64_t interval_ms, int64_t newest_us, int64_t now_us, int64_t failed_ago_ms);

}  // namespace canopy::engine
