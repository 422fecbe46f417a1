#pragma once

#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace canopy {

using absl::Status;
using absl::StatusOr;

// Status makers over std types: Debian's absl::string_view is not std::string_view. Each message says
// what failed, where, what was expected and what to do next.
Status InvalidArgument(std::string_view message);
Status NotFound(std::string_view message);
Status AlreadyExists(std::string_view message);
Status FailedPrecondition(std::string_view message);
Status PermissionDenied(std::string_view message);
Status Unauthenticated(std::string_view message);
Status ResourceExhausted(std::string_view message);
Status Unavailable(std::string_view message);
Status Internal(std::string_view message);
Status DataLoss(std::string_view message);
Status Aborted(std::string_view message);
Status DeadlineExceeded(std::string_view message);
Status Unimplemented(std::string_view message);
// A status for errno after the call that `what` describes ("open /x/y"): ENOENT is NotFound, EACCES
// PermissionDenied, ENOSPC ResourceExhausted, EEXIST AlreadyExists, the rest Unavailable.
Status FromErrno(int error, std::string_view what);

std::string Message(const Status& status);
// The status with "context: " before its message; OK stays OK.
Status WithContext(const Status& status, std::string_view context);

}  // namespace canopy

#define CANOPY_RETURN_IF_ERROR(expression)                                                         \
  do {                                                                                             \
    if (::absl::Status canopy_status_ = (expression); !canopy_status_.ok()) return canopy_status_; \
  } while (false)

#define CANOPY_CONCAT_INNER_(a, b) a##b
#define CANOPY_CONCAT_(a, b) CANOPY_CONCAT_INNER_(a, b)
#define CANOPY_ASSIGN_OR_RETURN_IMPL_(result, lhs, expression) \
  auto result = (expression);                                  \
  if (!result.ok()) return std::move(result).status();         \
  lhs = *std::move(result)
#define CANOPY_ASSIGN_OR_RETURN(lhs, expression) \
  CANOPY_ASSIGN_OR_RETURN_IMPL_(CANOPY_CONCAT_(canopy_result_, __LINE__), lhs, expression)
