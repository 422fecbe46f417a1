#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace canopy::storage {

struct SqlQueryLimits {
  int64_t max_rows = 10'000;
  int64_t max_result_bytes = 64 << 20;
  int64_t timeout_ms = 5'000;
  int64_t max_memory_bytes = 256 << 20;  // of SQLite, for the whole process
};

struct SqlQueryResult {
  std::vector<std::string> columns;
  std::vector<std::string> rows_json;  // an array each: null, number or string (blobs in hexadecimal)
  bool truncated = false;              // a limit on rows or bytes cut it off
};

// Runs one SELECT of a stranger on a read-only connection of its own: an authorizer admits reading tables
// and views and nothing else. PermissionDenied for what else it does, InvalidArgument for bad SQL,
// DeadlineExceeded and ResourceExhausted beyond the limits. For a process of its own, whose SQLite memory it
// bounds: never the controller's.
StatusOr<SqlQueryResult> RunSqlQuery(const std::string& path, const std::string& sql,
                                     const SqlQueryLimits& limits);

}  // namespace canopy::storage
