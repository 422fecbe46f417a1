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
// is void; attempts and fences are numbered on beyond both. After a kill at any moment EndInterruptedRestore
// leaves the one or the other at `database`. Aborted: a controller serves it, and the message names its
// process. FailedPrecondition: the backup is no database of ours, of a newer schema, or of another database
// than the one to be replaced. DataLoss: the backup is damaged; ResourceExhausted: no room for the copy.
StatusOr<Restored> RestoreBackup(const std::string& database, const std::string& backup, int64_t now_us);

// Before the database is opened for writing: a restore that a kill interrupted is undone where nothing was
// replaced yet, and otherwise brought to its end; the log says which. REQUIRES that this process holds the
// database's lock.
Status EndInterruptedRestore(const std::string& database);

// How far a database has numbered what it gave out.
struct GivenNumbers {
  int64_t next_attempt_id = 1, next_fence = 1;
};
StatusOr<GivenNumbers> ReadGivenNumbers(const std::string& path);
// The part of RestoreBackup that makes the copy at `path` another incarnation of its database, durably.
// `replaced` are the numbers of the database in whose place it comes, nullopt where they can't be read.
Status BeginIncarnation(const std::string& path, int64_t incarnation,
                        const std::optional<GivenNumbers>& replaced, const std::string& backup,
                        int64_t now_us);

}  // namespace canopy::storage
