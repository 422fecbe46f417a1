#pragma once

#include <cstdint>
#include <string>

namespace canopy::controller {

// The main function of the process that runs one stranger's SQL, started by the controller as
// `canopy query-process DATABASE MAX_ROWS`. Reads the SQL from stdin to its end and writes JSON lines to
// stdout: {"columns":[...]}, then {"row":[...]} each, at the end {"end":true,"truncated":false}, or
// {"error":"...","code":3} with a code of absl::StatusCode. Returns the exit status.
int RunQueryProcess(const std::string& database_path, int64_t max_rows);

}  // namespace canopy::controller
