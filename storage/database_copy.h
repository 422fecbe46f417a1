#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "base/status.h"
#include "storage/online_copy.h"

namespace canopy::storage {

// What a database file of ours holds.
struct DatabaseFacts {
  std::string database_id;
  int64_t schema_version = 0, incarnation = 0;
  int64_t campaigns = 0, trials = 0, results = 0;
  int64_t last_commit_us = 0;  // of its newest event; 0: none
  int64_t bytes = 0;
};

struct CopyOptions {
  // A copy reads one state of the database, and the write-ahead log can't be reset meanwhile: the copy is
  // given up where the log grows beyond this.
  int64_t max_wal_bytes = int64_t{192} << 20;
  // Left free on the target's disk.
  int64_t reserve_bytes = int64_t{64} << 20;
  // Asked after every so many pages of 4 KiB; true gives the copy up. May be empty.
  std::function<bool()> cancelled;
  int pages_per_step = 1024;
  // Writes the pages to the file `partial` and gives what the copy must agree with; empty: they are read in
  // one read transaction on a connection of its own, and `max_wal_bytes` holds.
  std::function<StatusOr<Fingerprint>(const std::string& partial, const CopyOptions& options)> copy_pages;
};

// ResourceExhausted where the rest of a copy of `source` at `target` leaves less than that free.
Status CheckRoomForCopy(const std::string& source, const std::string& target, int64_t reserve_bytes);

// What interrupted copies and restores leave ends in this.
inline constexpr char kPartialSuffix[] = ".partial";

// Copies the database at `source`, as of one commit, to the one file `target`, while the writer goes on.
// The copy has no write-ahead log, so any program reads it where it
// lies. It is written to `target`.partial, synced, opened and verified, and renamed last: whatever happens,
// `target` is what it was or whole. ResourceExhausted: no room, or the log has grown too much; DataLoss: the
// copy does not verify, as the source is damaged; Cancelled.
StatusOr<DatabaseFacts> CopyDatabase(const std::string& source, const std::string& target,
                                     const CopyOptions& options = {});

// Opens a file that nobody writes, and reads all of it. FailedPrecondition: it is not ours, or its schema is
// newer than `newest_schema`; DataLoss: it is damaged.
StatusOr<DatabaseFacts> VerifyDatabaseFile(const std::string& path, int64_t newest_schema);
// The same without reading all of it. The file may be one that another process writes.
StatusOr<DatabaseFacts> ReadDatabaseFacts(const std::string& path);

}  // namespace canopy::storage
