#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/status.h"
#include "storage/database_copy.h"

namespace canopy::storage {

// A folder of verified copies of one database, named by when they were taken: canopy-20260301T120000Z.db.
// Copies from before a migration (before-migration-<version>-...) lie there too and are never removed.

struct Backup {
  std::string path;
  int64_t taken_us = 0;
};

// How many copies stay: the newest `newest`, and beside them the newest of each of the last `days` UTC days.
struct BackupRetention {
  int64_t newest = 24, days = 30;
};

// "20260301T120000Z".
std::string CompactTime(int64_t wall_us);

// Makes the folder where there is none, private.
Status MakeBackupFolder(const std::string& folder);
// Oldest first; none where there is no folder.
std::vector<Backup> ListBackups(const std::string& folder);

struct TakenBackup {
  Backup backup;
  DatabaseFacts facts;
};
// Copies the database into the folder (CopyDatabase); a copy of the same second is replaced.
StatusOr<TakenBackup> TakeBackup(const std::string& database, const std::string& folder, int64_t now_us,
                                 const CopyOptions& options = {});

// Of `backups`, oldest first, those that the retention does not keep. The newest always stays.
std::vector<Backup> Dispensable(const std::vector<Backup>& backups, const BackupRetention& retention,
                                int64_t now_us);
// Removes them.
Status PruneBackups(const std::string& folder, const BackupRetention& retention, int64_t now_us);
// Removes what copies that a kill interrupted left. REQUIRES that none is being made.
void RemovePartialCopies(const std::string& folder);

}  // namespace canopy::storage
