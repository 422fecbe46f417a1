#include "worker/agent/state_directory.h"

#include <algorithm>
#include <filesystem>
#include <system_error>
#include <utility>
#include <vector>

#include "base/random.h"
#include "base/strings.h"

namespace canopy::agent {
namespace {

constexpr size_t kKeptAttemptLogs = 100;

StatusOr<std::string> OwnWorkerId(const std::string& file) {
  if (!FileExists(file)) {
    const std::string id = NewUuid();
    CANOPY_RETURN_IF_ERROR(WriteFileDurably(file, id + "\n", 0600));
    return id;
  }
  CANOPY_ASSIGN_OR_RETURN(const std::string text, ReadFile(file, 4096));
  std::string id(Trim(text));
  if (!IsUuid(id))
    return DataLoss(file + ": expected one UUID; remove the file, and the agent takes a new identity");
  return id;
}

// Logs of failed attempts: the newest ones stay.
void RemoveOldLogs(const std::string& folder) {
  namespace fs = std::filesystem;
  std::error_code ignored;
  std::vector<std::pair<fs::file_time_type, fs::path>> logs;
  for (const auto& entry : fs::directory_iterator(folder, ignored))
    logs.emplace_back(entry.last_write_time(ignored), entry.path());
  if (logs.size() <= kKeptAttemptLogs) return;
  std::sort(logs.begin(), logs.end());
  for (size_t i = 0; i + kKeptAttemptLogs < logs.size(); ++i) fs::remove(logs[i].second, ignored);
}

}  // namespace

StatusOr<StateDirectory> StateDirectory::Open(const std::string& path, const std::string& certified_id) {
  CANOPY_RETURN_IF_ERROR(MakeDirectories(path, 0700));
  auto lock = FileLock::Acquire(path + "/lock");
  if (!lock.ok())
    return WithContext(lock.status(),
                       "an agent already uses this state directory; choose another with --state-dir");
  for (const char* folder : {"/spool", "/cache", "/checkpoints", "/logs", "/logs/attempts"})
    CANOPY_RETURN_IF_ERROR(MakeDirectories(path + folder, 0700));
  RemoveOldLogs(path + "/logs/attempts");
  std::string worker_id = certified_id;
  if (worker_id.empty()) {
    CANOPY_ASSIGN_OR_RETURN(worker_id, OwnWorkerId(path + "/worker_id"));
  }
  return StateDirectory(path, std::move(worker_id), *std::move(lock));
}

}  // namespace canopy::agent
