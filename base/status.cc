#include "base/status.h"

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "base/check.h"
#include "base/strings.h"

namespace canopy {

void CheckFailed(const char* file, int line, const char* condition, std::string_view message) {
  std::fprintf(stderr, "%s:%d: check failed: %s %.*s\n", file, line, condition,
               static_cast<int>(message.size()), message.data());
  std::abort();
}

namespace {
Status Make(absl::StatusCode code, std::string_view message) { return Status(code, ToAbsl(message)); }
}  // namespace

Status InvalidArgument(std::string_view m) { return Make(absl::StatusCode::kInvalidArgument, m); }
Status NotFound(std::string_view m) { return Make(absl::StatusCode::kNotFound, m); }
Status AlreadyExists(std::string_view m) { return Make(absl::StatusCode::kAlreadyExists, m); }
Status FailedPrecondition(std::string_view m) { return Make(absl::StatusCode::kFailedPrecondition, m); }
Status PermissionDenied(std::string_view m) { return Make(absl::StatusCode::kPermissionDenied, m); }
Status Unauthenticated(std::string_view m) { return Make(absl::StatusCode::kUnauthenticated, m); }
Status ResourceExhausted(std::string_view m) { return Make(absl::StatusCode::kResourceExhausted, m); }
Status Unavailable(std::string_view m) { return Make(absl::StatusCode::kUnavailable, m); }
Status Internal(std::string_view m) { return Make(absl::StatusCode::kInternal, m); }
Status DataLoss(std::string_view m) { return Make(absl::StatusCode::kDataLoss, m); }
Status Aborted(std::string_view m) { return Make(absl::StatusCode::kAborted, m); }
Status DeadlineExceeded(std::string_view m) { return Make(absl::StatusCode::kDeadlineExceeded, m); }
Status Unimplemented(std::string_view m) { return Make(absl::StatusCode::kUnimplemented, m); }

Status FromErrno(int error, std::string_view what) {
  const std::string message = std::string(what) + ": " + std::strerror(error);
  switch (error) {
    case ENOENT:
      return NotFound(message);
    case EEXIST:
      return AlreadyExists(message);
    case EACCES:
    case EPERM:
      return PermissionDenied(message);
    case ENOSPC:
    case EDQUOT:
    case EMFILE:
    case ENOMEM:
      return ResourceExhausted(message);
    default:
      return Unavailable(message);
  }
}

std::string Message(const Status& status) { return std::string(ToStd(status.message())); }

Status WithContext(const Status& status, std::string_view context) {
  if (status.ok()) return status;
  return Make(status.code(), std::string(context) + ": " + Message(status));
}

}  // namespace canopy
