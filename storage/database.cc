#include "storage/database.h"

#include <sqlite3.h>

#include <algorithm>
#include <chrono>
#include <functional>

#include "base/check.h"
#include "base/strings.h"

namespace canopy::storage {
namespace {

constexpr int kBusyTimeoutMs = 5'000;

int64_t SteadyNs() { return std::chrono::steady_clock::now().time_since_epoch().count(); }

int Bind(sqlite3_stmt* statement, int index, const SqlValue& value) {
  struct Binder {
    sqlite3_stmt* statement;
    int index;
    int operator()(std::nullptr_t) { return sqlite3_bind_null(statement, index); }
    int operator()(int64_t v) { return sqlite3_bind_int64(statement, index, v); }
    int operator()(double v) { return sqlite3_bind_double(statement, index, v); }
    int operator()(const std::string& v) {
      return sqlite3_bind_text64(statement, index, v.data(), v.size(), SQLITE_TRANSIENT, SQLITE_UTF8);
    }
    int operator()(const Blob& v) {
      return sqlite3_bind_blob64(statement, index, v.bytes.data(), v.bytes.size(), SQLITE_TRANSIENT);
    }
  };
  return std::visit(Binder{statement, index}, value);
}

// The path as a URI has it.
std::string UriPath(const std::string& path) {
  std::string escaped;
  for (const char c : path) {
    if (c == '%' || c == '?' || c == '#')
      escaped += "%" + HexEncode(std::string_view(&c, 1));
    else
      escaped += c;
  }
  return escaped;
}

}  // namespace

Status SqliteStatus(sqlite3* connection, int code, std::string_view what) {
  const std::string message =
      std::string(what) + ": " + (connection ? sqlite3_errmsg(connection) : sqlite3_errstr(code));
  switch (code & 0xff) {
    case SQLITE_FULL:
      return ResourceExhausted(message + "; free space on the database's disk and start again");
    case SQLITE_NOMEM:
      return ResourceExhausted(message);
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return DataLoss(message + "; restore the newest copy from backups/");
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
      return Unavailable(message);
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_AUTH:
      return PermissionDenied(message);
    case SQLITE_INTERRUPT:
      return DeadlineExceeded(message);
    case SQLITE_CONSTRAINT:
      if (code == SQLITE_CONSTRAINT_UNIQUE || code == SQLITE_CONSTRAINT_PRIMARYKEY)
        return AlreadyExists(message);
      return Internal(message);
    default:
      return Internal(message);
  }
}

std::string QuoteIdentifier(std::string_view name) {
  CANOPY_CHECK(std::all_of(name.begin(), name.end(), [](char c) {
    return c == '_' || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
  }));
  return "\"" + std::string(name) + "\"";
}

Statement::~Statement() { sqlite3_finalize(statement_); }

void Statement::Bind(int position, std::nullptr_t) { Note(sqlite3_bind_null(statement_, position)); }
void Statement::Bind(int position, int64_t value) { Note(sqlite3_bind_int64(statement_, position, value)); }
void Statement::Bind(int position, double value) { Note(sqlite3_bind_double(statement_, position, value)); }
void Statement::Bind(int position, std::string_view text) {
  // A null pointer would be NULL.
  const char* const bytes = text.data() == nullptr ? "" : text.data();
  Note(sqlite3_bind_text64(statement_, position, bytes, text.size(), SQLITE_STATIC, SQLITE_UTF8));
}
void Statement::Bind(int position, const SqlValue& value) {
  Note(canopy::storage::Bind(statement_, position, value));
}

StatusOr<int64_t> Statement::Run(int count) {
  CANOPY_CHECK(count == sqlite3_bind_parameter_count(statement_), sqlite3_sql(statement_));
  sqlite3* const connection = sqlite3_db_handle(statement_);
  int code = std::exchange(bind_code_, SQLITE_OK);
  if (code == SQLITE_OK) {
    do code = sqlite3_step(statement_);
    while (code == SQLITE_ROW);
  }
  const Status status =
      code == SQLITE_DONE ? Status() : SqliteStatus(connection, code, sqlite3_sql(statement_));
  sqlite3_reset(statement_);
  if (!status.ok()) return status;
  return sqlite3_changes64(connection);
}

Rows::~Rows() {
  if (statement_ == nullptr) return;
  sqlite3_reset(statement_);
  *in_use_ = false;
}

StatusOr<bool> Rows::Next() {
  const int code = sqlite3_step(statement_);
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) return false;
  return SqliteStatus(sqlite3_db_handle(statement_), sqlite3_extended_errcode(sqlite3_db_handle(statement_)),
                      sqlite3_sql(statement_));
}

bool Rows::IsNull(int column) const { return sqlite3_column_type(statement_, column) == SQLITE_NULL; }
int64_t Rows::Int(int column) const { return sqlite3_column_int64(statement_, column); }
double Rows::Real(int column) const { return sqlite3_column_double(statement_, column); }
std::string Rows::Text(int column) const {
  const auto* bytes = static_cast<const char*>(sqlite3_column_blob(statement_, column));
  return bytes ? std::string(bytes, static_cast<size_t>(sqlite3_column_bytes(statement_, column))) : "";
}

StatusOr<std::unique_ptr<Database>> Database::Open(const std::string& path, Mode mode) {
  int flags = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
  switch (mode) {
    case Mode::kReadOnly:
      flags |= SQLITE_OPEN_READONLY;
      break;
    case Mode::kReadWrite:
      flags |= SQLITE_OPEN_READWRITE;
      break;
    case Mode::kCreate:
      flags |= SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
      break;
    case Mode::kImmutable:
      flags |= SQLITE_OPEN_READONLY | SQLITE_OPEN_URI;
      break;
  }
  sqlite3* connection = nullptr;
  const std::string name = mode == Mode::kImmutable ? "file:" + UriPath(path) + "?immutable=1" : path;
  const int code = sqlite3_open_v2(name.c_str(), &connection, flags, nullptr);
  std::unique_ptr<Database> database(new Database(connection));
  if (code != SQLITE_OK) return SqliteStatus(connection, code, "open database '" + path + "'");
  sqlite3_busy_timeout(connection, kBusyTimeoutMs);
  sqlite3_db_config(connection, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
  sqlite3_db_config(connection, SQLITE_DBCONFIG_DQS_DML, 0, nullptr);
  sqlite3_db_config(connection, SQLITE_DBCONFIG_DQS_DDL, 0, nullptr);
  return database;
}

Database::~Database() {
  for (auto& [sql, prepared] : prepared_) sqlite3_finalize(prepared.statement);
  sqlite3_close(connection_);
}

StatusOr<Statement> Database::Prepare(std::string_view sql) {
  sqlite3_stmt* statement = nullptr;
  const int code = sqlite3_prepare_v3(connection_, sql.data(), static_cast<int>(sql.size()),
                                      SQLITE_PREPARE_PERSISTENT, &statement, nullptr);
  if (code != SQLITE_OK) return SqliteStatus(connection_, code, sql);
  return Statement(statement);
}

StatusOr<Database::Prepared*> Database::Bound(std::string_view sql, const std::vector<SqlValue>& values) {
  auto [entry, end] = prepared_.equal_range(sql);
  while (entry != end && entry->second.in_use) ++entry;
  if (entry == end) {
    sqlite3_stmt* statement = nullptr;
    const int code = sqlite3_prepare_v3(connection_, sql.data(), static_cast<int>(sql.size()),
                                        SQLITE_PREPARE_PERSISTENT, &statement, nullptr);
    if (code != SQLITE_OK) return SqliteStatus(connection_, code, sql);
    entry = prepared_.emplace(std::string(sql), Prepared{statement});
  }
  sqlite3_stmt* const statement = entry->second.statement;
  CANOPY_CHECK(static_cast<int>(values.size()) == sqlite3_bind_parameter_count(statement), sql);
  for (size_t i = 0; i < values.size(); ++i) {
    const int code = Bind(statement, static_cast<int>(i) + 1, values[i]);
    if (code != SQLITE_OK) return SqliteStatus(connection_, code, sql);
  }
  entry->second.in_use = true;
  return &entry->second;
}

StatusOr<Rows> Database::Query(std::string_view sql, const std::vector<SqlValue>& values) {
  CANOPY_ASSIGN_OR_RETURN(Prepared* const prepared, Bound(sql, values));
  return Rows(prepared->statement, &prepared->in_use);
}

StatusOr<int64_t> Database::Run(std::string_view sql, const std::vector<SqlValue>& values) {
  CANOPY_ASSIGN_OR_RETURN(Rows rows, Query(sql, values));
  while (true) {
    CANOPY_ASSIGN_OR_RETURN(const bool more, rows.Next());
    if (!more) return sqlite3_changes64(connection_);
  }
}

Status Database::RunScript(const std::string& sql) {
  const int code = sqlite3_exec(connection_, sql.c_str(), nullptr, nullptr, nullptr);
  return code == SQLITE_OK ? Status() : SqliteStatus(connection_, code, sql.substr(0, 60));
}

StatusOr<int64_t> Database::QueryInt(std::string_view sql, const std::vector<SqlValue>& values) {
  CANOPY_ASSIGN_OR_RETURN(Rows rows, Query(sql, values));
  CANOPY_ASSIGN_OR_RETURN(const bool found, rows.Next());
  return found ? rows.Int(0) : 0;
}

Status Database::WatchWal(int auto_pages) {
  CANOPY_ASSIGN_OR_RETURN(wal_.page_bytes, QueryInt("PRAGMA page_size"));
  wal_.auto_pages = auto_pages;
  const auto committed = [](void* wal, sqlite3* connection, const char* name, int pages) {
    static_cast<Wal*>(wal)->pages = pages;
    // A checkpoint that readers or another one keep from its work is tried again with the next commit.
    if (pages >= static_cast<Wal*>(wal)->auto_pages) sqlite3_wal_checkpoint(connection, name);
    return SQLITE_OK;
  };
  sqlite3_wal_hook(connection_, committed, &wal_);
  return absl::OkStatus();
}

StatusOr<int64_t> Database::Checkpoint(int64_t patience_ms) {
  int pages = 0, moved = 0;
  if (patience_ms > 0) sqlite3_busy_timeout(connection_, static_cast<int>(patience_ms));
  const int code = sqlite3_wal_checkpoint_v2(
      connection_, "main", patience_ms > 0 ? SQLITE_CHECKPOINT_TRUNCATE : SQLITE_CHECKPOINT_PASSIVE, &pages,
      &moved);
  sqlite3_busy_timeout(connection_, kBusyTimeoutMs);
  // Readers that stay are no error.
  if (code != SQLITE_OK && (code & 0xff) != SQLITE_BUSY) return SqliteStatus(connection_, code, "checkpoint");
  CANOPY_ASSIGN_OR_RETURN(const int64_t page_bytes, QueryInt("PRAGMA page_size"));
  return std::max(0, pages) * page_bytes;
}

int64_t Database::LastInsertId() const { return sqlite3_last_insert_rowid(connection_); }

bool Database::in_transaction() const { return sqlite3_get_autocommit(connection_) == 0; }

void Database::SetDeadline(int64_t timeout_ms) {
  deadline_ns_ = timeout_ms == 0 ? 0 : SteadyNs() + timeout_ms * 1'000'000;
  const auto passed = [](void* self) {
    return static_cast<int>(SteadyNs() > static_cast<Database*>(self)->deadline_ns_);
  };
  sqlite3_progress_handler(connection_, 1'000, timeout_ms == 0 ? nullptr : +passed, this);
}

}  // namespace canopy::storage
