#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "base/status.h"

struct sqlite3;
struct sqlite3_backup;
struct sqlite3_file;

namespace canopy::storage {

class Database;

// What a copy must have in common with what it was made of.
struct Fingerprint {
  int64_t application_id = 0, schema_version = 0, pages = 0, tables = 0, last_event = 0;
  friend bool operator==(const Fingerprint&, const Fingerprint&) = default;
};
StatusOr<Fingerprint> ReadFingerprint(Database& database);

// A copy that grows a few pages at a time. What its source's connection commits between two steps is written
// to the copy as well, and no lock is held meanwhile: the source's log can be moved and begin anew. A commit
// by any other connection would begin the copy anew. Must not outlive its source. Not thread-safe.
class OnlineCopy {
 public:
  // Creates the file `target`. Blocks on disk.
  static StatusOr<std::unique_ptr<OnlineCopy>> Begin(Database& source, const std::string& target);
  // Closes the file as it is.
  ~OnlineCopy();
  OnlineCopy(const OnlineCopy&) = delete;
  OnlineCopy& operator=(const OnlineCopy&) = delete;

  struct Progress {
    int64_t pages = 0, pages_left = 0;  // of the source, after the step
    // Set: the file is the source as of its newest commit, with this in common, and stays so.
    std::optional<Fingerprint> complete;
  };
  // Copies up to `pages` pages; nothing is synced. REQUIRES that the source has no transaction that has
  // written, and that the copy is not complete. ResourceExhausted: the target's disk is full; nothing but
  // the destructor may follow an error.
  StatusOr<Progress> Step(int pages);

 private:
  OnlineCopy(Database& source, std::string target) : source_(source), target_(std::move(target)) {}
  void Close();

  Database& source_;
  const std::string target_;
  sqlite3* connection_ = nullptr;
  sqlite3_backup* backup_ = nullptr;
};

// Reads a database's file ahead of a copy, so that its steps find in memory what they need, through a
// connection, as a file that is opened and closed beside SQLite loses the locks of the process.
class ReadAhead {
 public:
  static StatusOr<std::unique_ptr<ReadAhead>> Open(const std::string& path);
  ~ReadAhead();
  ReadAhead(const ReadAhead&) = delete;
  ReadAhead& operator=(const ReadAhead&) = delete;
  // Blocks until the bytes were read; beyond the file's end there is nothing to read.
  void Read(int64_t offset, int64_t bytes);

 private:
  explicit ReadAhead(std::unique_ptr<Database> database);

  const std::unique_ptr<Database> database_;
  sqlite3_file* file_ = nullptr;  // the connection's
  std::string bytes_;
};

}  // namespace canopy::storage
