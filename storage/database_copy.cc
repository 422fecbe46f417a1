#include "storage/database_copy.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "base/file.h"
#include "base/mutex.h"
#include "storage/database.h"
#include "storage/migrations.h"
#include "storage/online_copy.h"

namespace canopy::storage {
namespace {

int64_t FileBytes(const std::string& path) {
  struct stat info {};
  return ::stat(path.c_str(), &info) == 0 ? static_cast<int64_t>(info.st_size) : 0;
}

StatusOr<bool> HasTable(Database& database, const std::string& name) {
  CANOPY_ASSIGN_OR_RETURN(
      const int64_t count,
      database.QueryInt("SELECT COUNT(*) FROM sqlite_schema WHERE type = 'table' AND name = ?", {name}));
  return count > 0;
}

StatusOr<DatabaseFacts> ReadFacts(Database& database) {
  DatabaseFacts facts;
  CANOPY_ASSIGN_OR_RETURN(facts.schema_version, database.QueryInt("PRAGMA user_version"));
  CANOPY_ASSIGN_OR_RETURN(const bool ours, HasTable(database, "trial_count"));
  if (!ours) return facts;
  CANOPY_ASSIGN_OR_RETURN(Rows meta, database.Query("SELECT name, value FROM meta"));
  for (;;) {
    CANOPY_ASSIGN_OR_RETURN(const bool more, meta.Next());
    if (!more) break;
    if (meta.Text(0) == "database_id") facts.database_id = meta.Text(1);
    if (meta.Text(0) == "incarnation") facts.incarnation = meta.Int(1);
  }
  CANOPY_ASSIGN_OR_RETURN(facts.campaigns, database.QueryInt("SELECT COUNT(*) FROM campaign"));
  CANOPY_ASSIGN_OR_RETURN(facts.trials, database.QueryInt("SELECT SUM(trials) FROM trial_count"));
  CANOPY_ASSIGN_OR_RETURN(facts.results, database.QueryInt("SELECT SUM(results) FROM result_count"));
  CANOPY_ASSIGN_OR_RETURN(facts.last_commit_us,
                          database.QueryInt("SELECT wall_us FROM event ORDER BY seq DESC LIMIT 1"));
  return facts;
}

Status CheckOurs(Database& database, const std::string& path, int64_t newest_schema) {
  const auto application_id = database.QueryInt("PRAGMA application_id");
  if (absl::IsDataLoss(application_id.status()) || (application_id.ok() && *application_id != kApplicationId))
    return FailedPrecondition("'" + path + "' is no database of Canopy; name a file of backups/");
  CANOPY_RETURN_IF_ERROR(application_id.status());
  CANOPY_ASSIGN_OR_RETURN(const int64_t version, database.QueryInt("PRAGMA user_version"));
  if (version <= newest_schema) return {};
  return FailedPrecondition("'" + path + "' has schema version " + std::to_string(version) +
                            ", and this canopy knows versions up to " + std::to_string(newest_schema) +
                            "; use the newer canopy that wrote it");
}

Status QuickCheck(Database& database, const std::string& path) {
  CANOPY_ASSIGN_OR_RETURN(Rows rows, database.Query("PRAGMA quick_check(1)"));
  CANOPY_ASSIGN_OR_RETURN(const bool found, rows.Next());
  const std::string text = found ? rows.Text(0) : "no answer";
  return text == "ok" ? Status() : DataLoss("'" + path + "' is damaged: " + text);
}

// Ends what a connection does once the copy is given up: a check of a large database takes long.
class InterruptWhenCancelled {
 public:
  InterruptWhenCancelled(Database& database, const std::function<bool()>& cancelled) {
    if (!cancelled) return;
    thread_ = std::thread([this, &database, &cancelled] {
      constexpr int64_t kPollMs = 50;
      const MutexLock lock(mutex_);
      while (!done_) {
        if (cancelled()) sqlite3_interrupt(database.connection());
        ended_.WaitFor(mutex_, kPollMs);
      }
    });
  }
  ~InterruptWhenCancelled() {
    {
      const MutexLock lock(mutex_);
      done_ = true;
    }
    ended_.NotifyAll();
    if (thread_.joinable()) thread_.join();
  }

 private:
  Mutex mutex_;
  CondVar ended_;
  bool done_ CANOPY_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

// The pages of one state of the source, which a read transaction holds.
StatusOr<Fingerprint> CopyPages(const std::string& source_path, const std::string& partial,
                                const CopyOptions& options) {
  CANOPY_ASSIGN_OR_RETURN(const auto source, Database::Open(source_path, Database::Mode::kReadOnly));
  CANOPY_RETURN_IF_ERROR(source->RunScript("BEGIN"));
  CANOPY_RETURN_IF_ERROR(source->QueryInt("PRAGMA application_id").status());
  CANOPY_ASSIGN_OR_RETURN(const auto copy, OnlineCopy::Begin(*source, partial));
  for (;;) {
    if (options.cancelled && options.cancelled()) return absl::CancelledError("the copy was given up");
    CANOPY_ASSIGN_OR_RETURN(const OnlineCopy::Progress progress, copy->Step(options.pages_per_step));
    if (progress.complete) return *progress.complete;
    const int64_t wal_bytes = FileBytes(source_path + "-wal");
    if (wal_bytes > options.max_wal_bytes)
      return ResourceExhausted("the copy of '" + source_path +
                               "' was given up, as the write-ahead log grew to " + std::to_string(wal_bytes) +
                               " bytes meanwhile; it is tried again later, on a faster disk it succeeds");
  }
}

// The header's format versions (bytes 18 and 19) say 2 for a write-ahead log and 1 for none.
Status SyncWithoutWal(const std::string& partial) {
  const int fd = ::open(partial.c_str(), O_RDWR | O_CLOEXEC);
  if (fd < 0) return FromErrno(errno, "open " + partial);
  const char versions[2] = {1, 1};
  Status status;
  if (::pwrite(fd, versions, 2, 18) != 2 || ::fsync(fd) != 0) status = FromErrno(errno, "write " + partial);
  ::close(fd);
  return status;
}

std::string FolderOf(const std::string& path) {
  const std::string folder = std::filesystem::path(path).parent_path().string();
  return folder.empty() ? "." : folder;
}

StatusOr<DatabaseFacts> CopyToPartial(const std::string& source_path, const std::string& partial,
                                      const CopyOptions& options) {
  CANOPY_RETURN_IF_ERROR(CheckRoomForCopy(source_path, partial, options.reserve_bytes));
  CANOPY_ASSIGN_OR_RETURN(const Fingerprint original, options.copy_pages
                                                          ? options.copy_pages(partial, options)
                                                          : CopyPages(source_path, partial, options));
  CANOPY_RETURN_IF_ERROR(SyncWithoutWal(partial));
  CANOPY_ASSIGN_OR_RETURN(const auto copy, Database::Open(partial, Database::Mode::kImmutable));
  {
    const InterruptWhenCancelled interrupt(*copy, options.cancelled);
    const Status whole = QuickCheck(*copy, partial);
    if (absl::IsDeadlineExceeded(whole)) return absl::CancelledError("the copy was given up");
    CANOPY_RETURN_IF_ERROR(whole);
  }
  CANOPY_ASSIGN_OR_RETURN(const Fingerprint copied, ReadFingerprint(*copy));
  if (!(copied == original))
    return DataLoss("the copy '" + partial + "' differs from '" + source_path + "' that it was made of");
  CANOPY_ASSIGN_OR_RETURN(DatabaseFacts facts, ReadFacts(*copy));
  facts.bytes = FileBytes(partial);
  return facts;
}

}  // namespace

Status CheckRoomForCopy(const std::string& source, const std::string& target, int64_t reserve_bytes) {
  const int64_t bytes = FileBytes(source) + FileBytes(source + "-wal") - FileBytes(target);
  CANOPY_ASSIGN_OR_RETURN(const int64_t free_bytes, FreeBytes(FolderOf(target)));
  if (free_bytes >= bytes + reserve_bytes) return {};
  return ResourceExhausted("a copy of '" + source + "' needs " + std::to_string(bytes) + " bytes in " +
                           FolderOf(target) + " and leaves " + std::to_string(reserve_bytes) +
                           " free, and there are " + std::to_string(free_bytes) +
                           "; free space there, or name a file elsewhere");
}

StatusOr<DatabaseFacts> CopyDatabase(const std::string& source, const std::string& target,
                                     const CopyOptions& options) {
  const std::string partial = target + kPartialSuffix;
  ::unlink(partial.c_str());
  auto facts = CopyToPartial(source, partial, options);
  if (facts.ok() && ::rename(partial.c_str(), target.c_str()) != 0)
    facts = FromErrno(errno, "rename " + partial + " to " + target);
  if (!facts.ok()) {
    ::unlink(partial.c_str());
    return facts;
  }
  CANOPY_RETURN_IF_ERROR(SyncDirectory(FolderOf(target)));
  return facts;
}

StatusOr<DatabaseFacts> VerifyDatabaseFile(const std::string& path, int64_t newest_schema) {
  if (!FileExists(path)) return NotFound("there is no file '" + path + "'");
  CANOPY_ASSIGN_OR_RETURN(const auto database, Database::Open(path, Database::Mode::kImmutable));
  CANOPY_RETURN_IF_ERROR(CheckOurs(*database, path, newest_schema));
  CANOPY_RETURN_IF_ERROR(QuickCheck(*database, path));
  CANOPY_ASSIGN_OR_RETURN(DatabaseFacts facts, ReadFacts(*database));
  facts.bytes = FileBytes(path);
  return facts;
}

StatusOr<DatabaseFacts> ReadDatabaseFacts(const std::string& path) {
  if (!FileExists(path)) return NotFound("there is no database '" + path + "'");
  CANOPY_ASSIGN_OR_RETURN(const auto database, Database::Open(path, Database::Mode::kReadOnly));
  CANOPY_ASSIGN_OR_RETURN(DatabaseFacts facts, ReadFacts(*database));
  facts.bytes = FileBytes(path);
  return facts;
}

}  // namespace canopy::storage
