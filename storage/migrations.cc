#include "storage/migrations.h"

#include "base/file.h"
#include "base/log.h"

namespace canopy::storage {
namespace {

StatusOr<std::string> IntegrityProblem(Database& database) {
  CANOPY_ASSIGN_OR_RETURN(Rows rows, database.Query("PRAGMA integrity_check(1)"));
  CANOPY_ASSIGN_OR_RETURN(const bool found, rows.Next());
  const std::string text = found ? rows.Text(0) : "no answer";
  return text == "ok" ? std::string() : text;
}

// A copy as of now that opens, is whole and has the version that it was taken of.
Status Backup(Database& database, const std::string& directory, int64_t version) {
  CANOPY_RETURN_IF_ERROR(MakeDirectories(directory, 0700));
  const std::string stem = directory + "/canopy-v" + std::to_string(version);
  std::string copy = stem + ".db";
  for (int n = 2; FileExists(copy); ++n) copy = stem + "-" + std::to_string(n) + ".db";
  CANOPY_RETURN_IF_ERROR(database.Run("VACUUM INTO ?", {copy}).status());
  CANOPY_ASSIGN_OR_RETURN(const auto written, Database::Open(copy, Database::Mode::kReadOnly));
  CANOPY_ASSIGN_OR_RETURN(const std::string problem, IntegrityProblem(*written));
  CANOPY_ASSIGN_OR_RETURN(const int64_t copied_version, written->QueryInt("PRAGMA user_version"));
  if (!problem.empty() || copied_version != version) {
    return DataLoss("the backup '" + copy + "' taken before a migration does not verify: " + problem +
                    "; nothing was migrated");
  }
  CANOPY_RETURN_IF_ERROR(SyncDirectory(directory));
  CANOPY_LOG(Info, "database backed up before its migration", {{"backup", copy}});
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
               std::span<const Migration> migrations) {
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
  if (!fresh && version < newest) CANOPY_RETURN_IF_ERROR(Backup(database, backup_directory, version));
  for (const Migration& migration : migrations)
    if (migration.version > version) CANOPY_RETURN_IF_ERROR(Apply(database, migration));
  return {};
}

}  // namespace canopy::storage
