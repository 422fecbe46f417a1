#include "storage/online_copy.h"

#include <sqlite3.h>

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "storage/database.h"

namespace canopy::storage {

StatusOr<Fingerprint> ReadFingerprint(Database& database) {
  Fingerprint read;
  CANOPY_ASSIGN_OR_RETURN(read.application_id, database.QueryInt("PRAGMA application_id"));
  CANOPY_ASSIGN_OR_RETURN(read.schema_version, database.QueryInt("PRAGMA user_version"));
  CANOPY_ASSIGN_OR_RETURN(read.pages, database.QueryInt("PRAGMA page_count"));
  CANOPY_ASSIGN_OR_RETURN(read.tables, database.QueryInt("SELECT COUNT(*) FROM sqlite_schema"));
  CANOPY_ASSIGN_OR_RETURN(
      const int64_t events,
      database.QueryInt("SELECT COUNT(*) FROM sqlite_schema WHERE type = 'table' AND name = 'event'"));
  if (events > 0) {
    CANOPY_ASSIGN_OR_RETURN(read.last_event, database.QueryInt("SELECT MAX(seq) FROM event"));
  }
  return read;
}

StatusOr<std::unique_ptr<OnlineCopy>> OnlineCopy::Begin(Database& source, const std::string& target) {
  std::unique_ptr<OnlineCopy> copy(new OnlineCopy(source, target));
  // Nobody else knows the file, so it needs no locks, which a network share may not have.
  const int code =
      sqlite3_open_v2(target.c_str(), &copy->connection_,
                      SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, "unix-none");
  if (code != SQLITE_OK) return SqliteStatus(copy->connection_, code, "create '" + target + "'");
  sqlite3_exec(copy->connection_, "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF", nullptr, nullptr,
               nullptr);
  copy->backup_ = sqlite3_backup_init(copy->connection_, "main", source.connection(), "main");
  if (copy->backup_ == nullptr)
    return SqliteStatus(copy->connection_, sqlite3_extended_errcode(copy->connection_),
                        "copy to '" + target + "'");
  return copy;
}

OnlineCopy::~OnlineCopy() { Close(); }

void OnlineCopy::Close() {
  sqlite3_backup_finish(std::exchange(backup_, nullptr));
  sqlite3_close(std::exchange(connection_, nullptr));
}

StatusOr<OnlineCopy::Progress> OnlineCopy::Step(int pages) {
  CANOPY_CHECK(backup_ != nullptr, "the copy is complete");
  const int code = sqlite3_backup_step(backup_, pages);
  if (code != SQLITE_OK && code != SQLITE_DONE)
    return SqliteStatus(nullptr, code, "copy the database to '" + target_ + "'");
  Progress progress{sqlite3_backup_pagecount(backup_), sqlite3_backup_remaining(backup_), std::nullopt};
  if (code == SQLITE_DONE) {
    CANOPY_ASSIGN_OR_RETURN(progress.complete, ReadFingerprint(source_));
    Close();
  }
  return progress;
}

StatusOr<std::unique_ptr<ReadAhead>> ReadAhead::Open(const std::string& path) {
  CANOPY_ASSIGN_OR_RETURN(auto database, Database::Open(path, Database::Mode::kReadOnly));
  return std::unique_ptr<ReadAhead>(new ReadAhead(std::move(database)));
}

ReadAhead::ReadAhead(std::unique_ptr<Database> database) : database_(std::move(database)) {
  sqlite3_file_control(database_->connection(), "main", SQLITE_FCNTL_FILE_POINTER, &file_);
}

ReadAhead::~ReadAhead() = default;

void ReadAhead::Read(int64_t offset, int64_t bytes) {
  constexpr int64_t kChunk = 65'536;  // the VFS of Unix takes less than 128 KiB at once
  if (file_ == nullptr || file_->pMethods == nullptr) return;
  bytes_.resize(kChunk);
  for (const int64_t end = offset + bytes; offset < end; offset += kChunk)
    if (file_->pMethods->xRead(file_, bytes_.data(), static_cast<int>(std::min(kChunk, end - offset)),
                               offset) != SQLITE_OK)
      return;
}

}  // namespace canopy::storage
