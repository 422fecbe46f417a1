#include "storage/restore_backup.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "base/log.h"
#include "storage/backup_folder.h"
#include "storage/database.h"
#include "storage/migrations.h"

namespace canopy::storage {
namespace {

// How far attempts and fences are numbered on where the replaced database can't say what it gave out.
constexpr int64_t kUnknownNumbers = 1'000'000;

StatusOr<GivenNumbers> ReadNumbers(Database& database) {
  const auto counter = [&](const char* name) {
    return database.QueryInt("SELECT value FROM counter WHERE name = ?", {name});
  };
  GivenNumbers numbers;
  CANOPY_ASSIGN_OR_RETURN(const int64_t attempt, counter("next_attempt_id"));
  CANOPY_ASSIGN_OR_RETURN(const int64_t fence, counter("next_fence"));
  numbers.next_attempt_id = std::max<int64_t>(1, attempt);
  numbers.next_fence = std::max<int64_t>(1, fence);
  return numbers;
}

// What SQLite keeps beside a database file, and would take for that of another file of its name.
constexpr const char* kParts[] = {"-wal", "-shm", "-journal"};

// Moves the write-ahead log into the database file, where that can be read and no reader is in the way.
void FoldLog(const std::string& path) {
  constexpr int64_t kPatienceMs = 100;
  const auto database = Database::Open(path, Database::Mode::kReadWrite);
  if (database.ok()) (void)(*database)->Checkpoint(kPatienceMs);
}

Status Rename(const std::string& from, const std::string& to) {
  if (::rename(from.c_str(), to.c_str()) == 0) return {};
  return FromErrno(errno, "rename " + from + " to " + to);
}

std::string FolderOf(const std::string& path) { return std::filesystem::path(path).parent_path().string(); }

std::string RestoringPath(const std::string& database) { return database + ".restoring"; }
// A restored database that waits for its place: from here on the restore is done, or will be.
std::string RestoredPath(const std::string& database) { return database + ".restored"; }
std::string ReplacedStem(const std::string& database) { return database + ".replaced"; }

void RemoveRestoring(const std::string& database) {
  const std::string restoring = RestoringPath(database);
  for (const std::string part : {"", kPartialSuffix, "-wal", "-shm", "-journal"})
    (void)::unlink((restoring + part).c_str());
}

// Under which the database is kept beside its own name; empty: it has none.
std::string SecondName(const std::string& database) {
  std::error_code error;
  const std::string prefix = std::filesystem::path(ReplacedStem(database)).filename().string();
  for (const auto& entry : std::filesystem::directory_iterator(FolderOf(database), error))
    if (entry.path().filename().string().rfind(prefix, 0) == 0 &&
        std::filesystem::equivalent(entry.path(), database, error))
      return entry.path().string();
  return "";
}

// The database gets a second name, so that at no moment there is none under its own.
StatusOr<std::string> KeepBeside(const std::string& database, int64_t now_us) {
  FoldLog(database);
  if (std::string kept = SecondName(database); !kept.empty()) return kept;
  const std::string stem = ReplacedStem(database) + "-" + CompactTime(now_us);
  std::string kept = stem;
  for (int n = 2; FileExists(kept); ++n) kept = stem + "-" + std::to_string(n);
  if (::link(database.c_str(), kept.c_str()) != 0)
    return FromErrno(errno, "keep " + database + " under a second name, " + kept);
  return kept;
}

// The restored database gets its name, and what it replaces goes with the name that it is kept under. After a
// kill it can be called again.
Status PutInPlace(const std::string& database) {
  // A log that lies there without its database is nobody's, and must not become the restored one's.
  const std::string second = SecondName(database), kept = second.empty() ? ReplacedStem(database) : second;
  for (const char* part : kParts)
    if (FileExists(database + part)) CANOPY_RETURN_IF_ERROR(Rename(database + part, kept + part));
  CANOPY_RETURN_IF_ERROR(SyncDirectory(FolderOf(database)));
  CANOPY_RETURN_IF_ERROR(Rename(RestoredPath(database), database));
  return SyncDirectory(FolderOf(database));
}

}  // namespace

StatusOr<GivenNumbers> ReadGivenNumbers(const std::string& path) {
  CANOPY_ASSIGN_OR_RETURN(const auto database, Database::Open(path, Database::Mode::kReadOnly));
  return ReadNumbers(*database);
}

Status BeginIncarnation(const std::string& path, int64_t incarnation,
                        const std::optional<GivenNumbers>& replaced, const std::string& backup,
                        int64_t now_us) {
  CANOPY_ASSIGN_OR_RETURN(const auto database, Database::Open(path, Database::Mode::kReadWrite));
  CANOPY_RETURN_IF_ERROR(database->RunScript("PRAGMA synchronous = FULL; BEGIN IMMEDIATE"));
  CANOPY_ASSIGN_OR_RETURN(const GivenNumbers own, ReadNumbers(*database));
  const auto set_counter = [&](const char* name, int64_t value) {
    return database
        ->Run(
            "INSERT INTO counter (name, value) VALUES (?, ?) ON CONFLICT DO UPDATE SET value = "
            "excluded.value",
            {name, value})
        .status();
  };
  CANOPY_RETURN_IF_ERROR(
      database->Run("UPDATE meta SET value = ? WHERE name = 'incarnation'", {std::to_string(incarnation)})
          .status());
  CANOPY_RETURN_IF_ERROR(
      set_counter("next_attempt_id", replaced ? std::max(own.next_attempt_id, replaced->next_attempt_id)
                                              : own.next_attempt_id + kUnknownNumbers));
  CANOPY_RETURN_IF_ERROR(set_counter("next_fence", replaced ? std::max(own.next_fence, replaced->next_fence)
                                                            : own.next_fence + kUnknownNumbers));
  CANOPY_ASSIGN_OR_RETURN(const int64_t last_event, database->QueryInt("SELECT MAX(seq) FROM event"));
  CANOPY_ASSIGN_OR_RETURN(const int64_t counted,
                          database->QueryInt("SELECT value FROM counter WHERE name = 'next_event_seq'"));
  const int64_t seq = std::max(last_event + 1, counted);
  const std::string payload = nlohmann::json{{"incarnation", incarnation},
                                             {"backup", std::filesystem::path(backup).filename().string()}}
                                  .dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  CANOPY_RETURN_IF_ERROR(
      database
          ->Run("INSERT INTO event (seq, kind, principal, payload_json, wall_us) VALUES (?, "
                "'database_restored', 'operator', ?, ?)",
                {seq, payload, now_us})
          .status());
  CANOPY_RETURN_IF_ERROR(set_counter("next_event_seq", seq + 1));
  return database->RunScript("COMMIT");
}

StatusOr<Restored> RestoreBackup(const std::string& database, const std::string& backup, int64_t now_us) {
  const std::string folder = FolderOf(database);
  CANOPY_RETURN_IF_ERROR(MakeDirectories(folder, 0700));
  const auto lock = FileLock::Acquire(database + ".lock");
  if (!lock.ok())
    return WithContext(lock.status(), "a controller serves '" + database + "': stop it, then restore");
  CANOPY_RETURN_IF_ERROR(EndInterruptedRestore(database));
  RemoveRestoring(database);
  Restored restored;
  CANOPY_ASSIGN_OR_RETURN(restored.backup, VerifyDatabaseFile(backup, Migrations().back().version));
  restored.incarnation = restored.backup.incarnation + 1;
  std::optional<GivenNumbers> numbers;
  if (!FileExists(database)) {
    numbers.emplace();
  } else if (auto facts = ReadDatabaseFacts(database); facts.ok()) {
    if (facts->database_id != restored.backup.database_id)
      return FailedPrecondition("'" + backup + "' is of database " + restored.backup.database_id + ", and '" +
                                database + "' is database " + facts->database_id +
                                ": move that one away first, or restore into another --state-dir");
    restored.replaced = *facts;
    restored.incarnation = std::max(restored.backup.incarnation, facts->incarnation) + 1;
    if (auto read = ReadGivenNumbers(database); read.ok()) numbers = *read;
  }
  // The clock is above all incarnations that were counted up, known or not.
  if (!numbers) restored.incarnation = std::max(restored.incarnation, now_us / 1'000'000);

  const std::string restoring = RestoringPath(database);
  CANOPY_RETURN_IF_ERROR(CopyDatabase(backup, restoring).status());
  CANOPY_RETURN_IF_ERROR(BeginIncarnation(restoring, restored.incarnation, numbers, backup, now_us));
  if (FileExists(database)) {
    CANOPY_ASSIGN_OR_RETURN(restored.kept_at, KeepBeside(database, now_us));
  }
  CANOPY_RETURN_IF_ERROR(SyncDirectory(folder));
  CANOPY_RETURN_IF_ERROR(Rename(restoring, RestoredPath(database)));
  CANOPY_RETURN_IF_ERROR(SyncDirectory(folder));
  CANOPY_RETURN_IF_ERROR(PutInPlace(database));
  return restored;
}

Status EndInterruptedRestore(const std::string& database) {
  const std::string restored = RestoredPath(database);
  if (!FileExists(restored)) {
    const std::string restoring = RestoringPath(database);
    if (!FileExists(database) || (!FileExists(restoring) && !FileExists(restoring + kPartialSuffix)))
      return {};
    RemoveRestoring(database);
    CANOPY_LOG(Warning, "A restore was interrupted before it changed anything: run it again",
               {{"database", database}});
    return {};
  }
  CANOPY_RETURN_IF_ERROR(PutInPlace(database));
  CANOPY_LOG(Info, "A restore that was interrupted is brought to its end", {{"database", database}});
  return {};
}

}  // namespace canopy::storage
