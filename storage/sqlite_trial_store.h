#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/status.h"
#include "storage/trial_store.h"

namespace canopy::storage {

struct SqliteOptions {
  // Where a copy goes before an older schema is migrated; empty: backups/ beside the database.
  std::string backup_directory;
  // The database is full beyond so many pages of 4 KiB; 0: as large as the disk allows.
  int64_t max_pages = 0;
};

// TrialStore over one SQLite file in WAL mode (docs/storage_format.md).
class SqliteTrialStore {
 public:
  // Settings of SQLite for a process that is to write much. False, and nothing is set, where the process has
  // used SQLite already.
  static bool ConfigureProcess();
  // Creates or opens the database, migrates it, and holds `path`.lock for the store's life. Aborted where
  // another controller holds it (the message names its pid); FailedPrecondition where the file is not
  // ours, its schema is newer, or it lies on a network file system.
  static StatusOr<std::unique_ptr<TrialStore>> Open(const std::string& path,
                                                    const SqliteOptions& options = {});
};

}  // namespace canopy::storage
