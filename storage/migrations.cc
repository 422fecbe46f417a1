#include "storage/migrations.h"

#include <algorithm>
#include <filesystem>
#include <system_error>
#include <vector>

#include "base/log.h"
#include "storage/backup_folder.h"
#include "storage/database_copy.h"

namespace canopy::storage {
namespace {

constexpr size_t kKeptOfAVersion = 3;

Status BackUp(const std::string& path, const std::string& directory, int64_t version, int64_t now_us) {
  CANOPY_RETURN_IF_ERROR(MakeBackupFolder(directory));
  const std::string prefix = "before-migration-" + std::to_string(version) + "-";
  const std::string copy = directory + "/" + prefix + CompactTime(now_us) + ".db";
  if (const Status copied = CopyDatabase(path, copy).status(); !copied.ok())
    return WithContext(copied, "the backup before migration " + std::to_string(version) +
                                   ", without which nothing is migrated");
  CANOPY_LOG(Info, "database backed up before its migration", {{"backup", copy}});
  // A controller that is started again and again, and fails each time, must not fill the disk.
  std::vector<std::string> copies;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(directory, error))
    if (entry.path().filename().string().rfind(prefix, 0) == 0) copies.push_back(entry.path().string());
  std::sort(copies.begin(), copies.end());
  for (size_t i = 0; i + kKeptOfAVersion < copies.size(); ++i) std::filesystem::remove(copies[i], error);
  return {};
}

Status Apply(Database& database, const Migration& migration) {
  CANOPY_RETURN_IF_ERROR(database.RunScript("BEGIN IMMEDIATE"));
  Status status = database.RunScript(std::string(migration.sql));
  if (status.ok())
    status = database.RunScript("PRAGMA application_id = " + std::to_string(kApplicationId) +
                                "; PRAGMA user_version = " + std::to_string(migration.version));
  if (status.ok()) status = database.RunScript("COMMIT");
  if (!status.ok() && database.in_transaction()) (void)database.RunScript("ROLLBACK");
  return WithContext(status, "migration '" + std::string(migration.name) + "'");
}

}  // namespace

Status Migrate(Database& database, const std::string& path, const std::string& backup_directory,
               std::span<const Migration> migrations, int64_t now_us) {
  const auto application_id = database.QueryInt("PRAGMA application_id");
  if (absl::IsDataLoss(application_id.status()))
    return FailedPrecondition("'" + path +
                              "' is not an SQLite database; name another path for the controller's");
  CANOPY_RETURN_IF_ERROR(application_id.status());
  CANOPY_ASSIGN_OR_RETURN(const int64_t version, database.QueryInt("PRAGMA user_version"));
  CANOPY_ASSIGN_OR_RETURN(const int64_t tables, database.QueryInt("SELECT COUNT(*) FROM sqlite_schema"));
  const bool fresh = *application_id == 0 && version == 0 && tables == 0;
  if (!fresh && *application_id != kApplicationId) {
    return FailedPrecondition("'" + path + "' is another program's database (application_id " +
                              std::to_string(*application_id) + "); name another path for the controller's");
  }
  const int64_t newest = migrations.empty() ? 0 : migrations.back().version;
  if (version > newest) {
    return FailedPrecondition("'" + path + "' has schema version " + std::to_string(version) +
                              ", and this canopy knows versions up to " + std::to_string(newest) +
                              "; start the newer canopy that wrote it, or restore a copy from '" +
                              backup_directory + "'");
  }
  for (const Migration& migration : migrations) {
    if (migration.version <= version) continue;
    if (!fresh) CANOPY_RETURN_IF_ERROR(BackUp(path, backup_directory, migration.version, now_us));
    CANOPY_RETURN_IF_ERROR(Apply(database, migration));
  }
  return {};
}

}  // namespace canopy::storage
