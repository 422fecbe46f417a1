#include "storage/sql_query.h"

#include <sqlite3.h>

#include <cmath>
#include <memory>
#include <nlohmann/json.hpp>
#include <string_view>

#include "base/strings.h"
#include "storage/database.h"

namespace canopy::storage {
namespace {

int Authorize(void* denied, int action, const char*, const char* name, const char*, const char*) {
  const bool reads = action == SQLITE_SELECT || action == SQLITE_READ || action == SQLITE_RECURSIVE ||
                     (action == SQLITE_FUNCTION && std::string_view(name) != "load_extension");
  if (reads) return SQLITE_OK;
  *static_cast<bool*>(denied) = true;
  return SQLITE_DENY;
}

nlohmann::json ColumnJson(sqlite3_stmt* statement, int column) {
  const auto bytes = [&](const void* data) {
    return std::string(static_cast<const char*>(data),
                       static_cast<size_t>(sqlite3_column_bytes(statement, column)));
  };
  switch (sqlite3_column_type(statement, column)) {
    case SQLITE_INTEGER:
      return static_cast<int64_t>(sqlite3_column_int64(statement, column));
    case SQLITE_FLOAT: {
      const double value = sqlite3_column_double(statement, column);
      return std::isfinite(value) ? nlohmann::json(value) : nlohmann::json(FormatDouble(value));
    }
    case SQLITE_TEXT:
      return bytes(sqlite3_column_text(statement, column));
    case SQLITE_BLOB:
      return HexEncode(bytes(sqlite3_column_blob(statement, column)));
    default:
      return nullptr;
  }
}

// The caller's fault is InvalidArgument; what SQLite met on the way keeps its code.
Status QueryError(sqlite3* connection, int code, bool denied) {
  if (denied) return PermissionDenied("the query may only read tables and views");
  const std::string message = sqlite3_errmsg(connection);
  switch (code & 0xff) {
    case SQLITE_INTERRUPT:
      return DeadlineExceeded("the query ran out of time; narrow it, or ask a snapshot of the database");
    case SQLITE_NOMEM:
      return ResourceExhausted("the query ran out of memory; narrow it, or ask a snapshot of the database");
    case SQLITE_TOOBIG:
      return ResourceExhausted("the query made a value that is too large");
    case SQLITE_ERROR:
    case SQLITE_RANGE:
    case SQLITE_MISMATCH:
      return InvalidArgument("in the SQL: " + message + "; docs/storage_format.md lists tables and views");
    default:
      return SqliteStatus(connection, code, "query");
  }
}

bool OnlySpace(const char* text) { return Trim(text).empty() || Trim(text) == ";"; }

}  // namespace

StatusOr<SqlQueryResult> RunSqlQuery(const std::string& path, const std::string& sql,
                                     const SqlQueryLimits& limits) {
  sqlite3_hard_heap_limit64(limits.max_memory_bytes);
  CANOPY_ASSIGN_OR_RETURN(const auto database, Database::Open(path, Database::Mode::kReadOnly));
  // Sorting must not fill the disk instead of the memory.
  CANOPY_RETURN_IF_ERROR(
      database->RunScript("PRAGMA query_only = ON; PRAGMA trusted_schema = OFF; PRAGMA temp_store = MEMORY"));
  sqlite3* const connection = database->connection();
  sqlite3_limit(connection, SQLITE_LIMIT_LENGTH, 16 << 20);
  sqlite3_limit(connection, SQLITE_LIMIT_SQL_LENGTH, 100'000);
  sqlite3_limit(connection, SQLITE_LIMIT_ATTACHED, 0);
  database->SetDeadline(limits.timeout_ms);
  bool denied = false;
  sqlite3_set_authorizer(connection, Authorize, &denied);

  sqlite3_stmt* raw = nullptr;
  const char* tail = nullptr;
  const int prepared =
      sqlite3_prepare_v2(connection, sql.c_str(), static_cast<int>(sql.size()) + 1, &raw, &tail);
  const std::unique_ptr<sqlite3_stmt, int (*)(sqlite3_stmt*)> statement(raw, sqlite3_finalize);
  if (prepared != SQLITE_OK) return QueryError(connection, prepared, denied);
  if (raw == nullptr) return InvalidArgument("expected a SELECT, found nothing");
  if (!OnlySpace(tail)) return InvalidArgument("expected one statement, found more after its ';'");
  if (sqlite3_bind_parameter_count(raw) > 0) return InvalidArgument("expected no ? or :name in the query");

  SqlQueryResult result;
  const int columns = sqlite3_column_count(raw);
  for (int i = 0; i < columns; ++i) result.columns.emplace_back(sqlite3_column_name(raw, i));
  int64_t bytes = 0;
  int code;
  while ((code = sqlite3_step(raw)) == SQLITE_ROW) {
    if (static_cast<int64_t>(result.rows_json.size()) >= limits.max_rows ||
        bytes >= limits.max_result_bytes) {
      result.truncated = true;
      return result;
    }
    nlohmann::json row = nlohmann::json::array();
    for (int i = 0; i < columns; ++i) row.push_back(ColumnJson(raw, i));
    result.rows_json.push_back(row.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
    bytes += static_cast<int64_t>(result.rows_json.back().size());
  }
  if (code != SQLITE_DONE) return QueryError(connection, code, denied);
  return result;
}

}  // namespace canopy::storage
