#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/status.h"
#include "storage/database_copy.h"

namespace canopy::storage {

struct Restored {
  DatabaseFacts backup;
  // Of the database that was replaced; absent: there was none, or it can't be read.
  std::optional<DatabaseFacts> replaced;
  std::string kept_at;  // where that one lies now; empty: there was none
  int64_t incarnation = 0;
};

// Puts a verified copy of `backup` in the place of `database`, which stays beside it as
// <database>.replaced-<time>. The incarnation rises above that of both, so that every lease which either gave
// is void; attempts and fences are numbered on beyond both. A kill at any moment leaves the one or the other
// at `database`. Aborted: a controller serves it, and the message names its process. FailedPrecondition: the
// backup is no database of ours, of a newer schema, or of another database than the one to be replaced.
// DataLoss: the backup is damaged; ResourceExhausted: no room for the copy.
StatusOr<Restored> RestoreBackup(const std::string& database, const std::string& backup, int64_t now_us);

}  // namespace canopy::storage
