#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/status.h"

struct sqlite3;
struct sqlite3_stmt;

namespace canopy::storage {

struct Blob {
  std::string bytes;
};
// What a statement's ? stands for.
using SqlValue = std::variant<std::nullptr_t, int64_t, double, std::string, Blob>;

// The status for an SQLite result code: a full disk is ResourceExhausted, damage DataLoss, a broken UNIQUE
// AlreadyExists, a lock Unavailable, an interrupt DeadlineExceeded, anything unexpected Internal.
Status SqliteStatus(sqlite3* connection, int code, std::string_view what);

// The rows of one query, read forward. Must not outlive its Database.
class Rows {
 public:
  Rows(sqlite3_stmt* statement, bool* in_use) : statement_(statement), in_use_(in_use) {}
  Rows(Rows&& other) noexcept
      : statement_(std::exchange(other.statement_, nullptr)),
        in_use_(std::exchange(other.in_use_, nullptr)) {}
  Rows& operator=(Rows&&) = delete;
  ~Rows();

  // True: the next row is there; false: that was all.
  StatusOr<bool> Next();
  // Columns of the current row, from 0. NULL reads as 0, 0.0 and "".
  bool IsNull(int column) const;
  int64_t Int(int column) const;
  double Real(int column) const;
  std::string Text(int column) const;

 private:
  sqlite3_stmt* statement_;
  bool* in_use_;
};

// One prepared statement for what runs often. Must not outlive its Database. Not thread-safe.
class Statement {
 public:
  Statement() = default;
  Statement(Statement&& other) noexcept
      : statement_(std::exchange(other.statement_, nullptr)), bind_code_(other.bind_code_) {}
  Statement& operator=(Statement&& other) noexcept {
    std::swap(statement_, other.statement_);
    std::swap(bind_code_, other.bind_code_);
    return *this;
  }
  ~Statement();
  bool prepared() const { return statement_ != nullptr; }
  // Gives the ? at `position`, counted from 1, its value. Text is not copied: it stays until Run has come
  // back.
  void Bind(int position, std::nullptr_t);
  void Bind(int position, int64_t value);
  void Bind(int position, double value);
  void Bind(int position, std::string_view text);
  void Bind(int position, const SqlValue& value);
  // Runs it to its end and gives the number of rows that it changed. REQUIRES that all its `count` positions
  // have a value.
  StatusOr<int64_t> Run(int count);

 private:
  friend class Database;
  explicit Statement(sqlite3_stmt* statement) : statement_(statement) {}
  void Note(int code) {
    if (code != 0) bind_code_ = code;
  }
  sqlite3_stmt* statement_ = nullptr;
  int bind_code_ = 0;  // the last error of a Bind, for Run
};

// One SQLite connection with its prepared statements. Values are bound, never pasted. Not thread-safe.
class Database {
 public:
  // kImmutable: a file that nobody writes; needs no locks and leaves no file beside it.
  enum class Mode { kReadOnly, kReadWrite, kCreate, kImmutable };
  // NotFound, PermissionDenied or Unavailable name the path.
  static StatusOr<std::unique_ptr<Database>> Open(const std::string& path, Mode mode);
  ~Database();
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  // Runs one statement to its end and gives the number of rows that it changed.
  StatusOr<int64_t> Run(std::string_view sql, const std::vector<SqlValue>& values = {});
  StatusOr<Statement> Prepare(std::string_view sql);
  // Runs several statements without values.
  Status RunScript(const std::string& sql);
  StatusOr<Rows> Query(std::string_view sql, const std::vector<SqlValue>& values = {});
  // The first column of the first row, 0 where there is none.
  StatusOr<int64_t> QueryInt(std::string_view sql, const std::vector<SqlValue>& values = {});
  bool in_transaction() const;
  // Of the newest row that this connection has inserted.
  int64_t LastInsertId() const;
  // From here on the WAL's size is known; it is moved into the database file when it has `auto_pages`.
  Status WatchWal(int auto_pages);
  // After the last commit of this connection, 0 before the first. REQUIRES WatchWal.
  int64_t wal_bytes() const { return wal_.pages * wal_.page_bytes; }
  // Moves the WAL into the database file and gives the WAL's size, which is 0 where it begins anew. Waits
  // that long for readers; 0: leaves what they hold back.
  StatusOr<int64_t> Checkpoint(int64_t patience_ms);
  // Statements that run longer than this after the call end with DeadlineExceeded; 0: no bound.
  void SetDeadline(int64_t timeout_ms);
  sqlite3* connection() const { return connection_; }

 private:
  struct Wal {
    int64_t pages = 0, page_bytes = 0;
    int auto_pages = 0;
  };
  struct Prepared {
    sqlite3_stmt* statement = nullptr;
    bool in_use = false;
  };
  explicit Database(sqlite3* connection) : connection_(connection) {}
  StatusOr<Prepared*> Bound(std::string_view sql, const std::vector<SqlValue>& values);

  sqlite3* connection_;
  std::multimap<std::string, Prepared, std::less<>> prepared_;
  int64_t deadline_ns_ = 0;
  Wal wal_;
};

// "name" as an identifier in SQL. REQUIRES a name of letters, digits and underscores.
std::string QuoteIdentifier(std::string_view name);

}  // namespace canopy::storage
