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

// Brings the database at `path` to the newest of `migrations`, each in a transaction of its own, after
// saving a verified copy in `backup_directory` where there is anything to lose. FailedPrecondition where
// the file is not ours or its schema is newer.
Status Migrate(Database& database, const std::string& path, const std::string& backup_directory,
               std::span<const Migration> migrations);

}  // namespace canopy::storage
