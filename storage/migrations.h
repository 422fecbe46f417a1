#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/status.h"
#include "storage/database.h"

namespace canopy::storage {

// "CNPY": marks a file as ours.
inline constexpr int64_t kApplicationId = 0x434e5059;

// Brings a schema of `version` - 1 to `version`. Never edited once released.
struct Migration {
  int64_t version = 0;
  std::string_view name, sql;
};
// storage/schema/NNN_*.sql in order, embedded at build time.
std::span<const Migration> Migrations();

// Brings the database at `path` to the newest of `migrations`. Each step is a transaction of its own, and
// before it a verified copy goes to <backup_directory>/before-migration-<version>-<time>.db; the newest three
// of a version stay. A new database has nothing to lose and gets no copy. FailedPrecondition where the file
// is not ours or its schema is newer; ResourceExhausted where a copy has no room.
Status Migrate(Database& database, const std::string& path, const std::string& backup_directory,
               std::span<const Migration> migrations, int64_t now_us);

}  // namespace canopy::storage
