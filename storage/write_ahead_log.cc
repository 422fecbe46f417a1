#include "storage/write_ahead_log.h"

#include <sqlite3.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "storage/database.h"

namespace canopy::storage {
namespace {

// Writes a file's bytes again as they are, and syncs them.
int WriteAgain(sqlite3_file* file) {
  constexpr int64_t kChunk = 65'536;  // the VFS of Unix takes less than 128 KiB at once
  sqlite3_int64 size = 0;
  int code = file->pMethods->xFileSize(file, &size);
  std::string bytes;
  for (int64_t offset = 0; code == SQLITE_OK && offset < size; offset += kChunk) {
    bytes.resize(static_cast<size_t>(std::min<int64_t>(kChunk, size - offset)));
    const int count = static_cast<int>(bytes.size());
    code = file->pMethods->xRead(file, bytes.data(), count, offset);
    if (code == SQLITE_OK) code = file->pMethods->xWrite(file, bytes.data(), count, offset);
  }
  return code == SQLITE_OK ? file->pMethods->xSync(file, SQLITE_SYNC_NORMAL) : code;
}

}  // namespace

Status MakeLogDurable(const std::string& path) {
  const std::string name = path + "-wal";
  sqlite3_vfs* const vfs = sqlite3_vfs_find(nullptr);
  int there = 0;
  int code = vfs->xAccess(vfs, name.c_str(), SQLITE_ACCESS_EXISTS, &there);
  if (code == SQLITE_OK && there == 0) return {};
  const auto size = static_cast<size_t>(vfs->szOsFile);
  std::vector<std::max_align_t> memory(size / sizeof(std::max_align_t) + 1);
  auto* const file = reinterpret_cast<sqlite3_file*>(memory.data());
  if (code == SQLITE_OK)
    code = vfs->xOpen(vfs, name.c_str(), file, SQLITE_OPEN_READWRITE | SQLITE_OPEN_WAL, nullptr);
  if (code == SQLITE_OK) {
    code = WriteAgain(file);
    file->pMethods->xClose(file);
  }
  return code == SQLITE_OK ? Status() : SqliteStatus(nullptr, code, "make the log '" + name + "' durable");
}

TrialStore::Checkpointer MovesLog(const std::string& path) {
  return [path, database = std::shared_ptr<Database>()]() mutable -> Status {
    if (database == nullptr) {
      CANOPY_ASSIGN_OR_RETURN(database, Database::Open(path, Database::Mode::kReadWrite));
      CANOPY_RETURN_IF_ERROR(database->RunScript("PRAGMA synchronous = FULL"));
    }
    // What was written meanwhile is a small part of the first round, and less of the next.
    constexpr int kRounds = 2;
    for (int round = 0; round < kRounds; ++round) CANOPY_RETURN_IF_ERROR(database->Checkpoint(0).status());
    return absl::OkStatus();
  };
}

}  // namespace canopy::storage
