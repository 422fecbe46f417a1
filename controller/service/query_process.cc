#include "controller/service/query_process.h"

#include <sys/prctl.h>

#include <csignal>
#include <iostream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "storage/sql_query.h"

namespace canopy::controller {
namespace {

// The controller holds a whole answer in memory.
constexpr int64_t kMaxResultBytes = 16 << 20;
constexpr int64_t kMaxSqlBytes = 1 << 20;

std::string Line(const nlohmann::ordered_json& json) {
  return json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

std::string Error(const Status& status) {
  return Line({{"error", Message(status)}, {"code", static_cast<int>(status.raw_code())}});
}

}  // namespace

int RunQueryProcess(const std::string& database_path, int64_t max_rows) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  const std::string sql(std::istreambuf_iterator<char>(std::cin), {});
  if (static_cast<int64_t>(sql.size()) > kMaxSqlBytes) {
    std::cout << Error(InvalidArgument("the query has more than 1 MiB of text"));
    return 0;
  }
  storage::SqlQueryLimits limits;
  limits.max_rows = max_rows;
  limits.max_result_bytes = kMaxResultBytes;
  const StatusOr<storage::SqlQueryResult> result = storage::RunSqlQuery(database_path, sql, limits);
  if (!result.ok()) {
    std::cout << Error(result.status()) << std::flush;
    return 0;
  }
  std::cout << Line({{"columns", result->columns}});
  for (const std::string& row : result->rows_json) std::cout << "{\"row\":" << row << "}\n";
  std::cout << Line({{"end", true}, {"truncated", result->truncated}}) << std::flush;
  return std::cout ? 0 : 1;
}

}  // namespace canopy::controller
