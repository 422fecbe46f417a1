#include "worker/agent/state_directory.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <system_error>
#include <utility>
#include <vector>

#include "base/random.h"
#include "base/strings.h"

namespace canopy::agent {
namespace {

constexpr size_t kKeptAttemptLogs = 100;
constexpr size_t kKeptCheckpoints = 1'000;
constexpr std::chrono::hours kCheckpointsFor{30 * 24};

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

}  // namespace

void StateDirectory::RemoveOldLogs() const {
  namespace fs = std::filesystem;
  std::error_code ignored;
  std::vector<std::pair<fs::file_time_type, fs::path>> logs;
  for (const auto& entry : fs::directory_iterator(path_ + "/logs/attempts", ignored))
    logs.emplace_back(entry.last_write_time(ignored), entry.path());
  if (logs.size() <= kKeptAttemptLogs) return;
  std::sort(logs.begin(), logs.end());
  for (size_t i = 0; i + kKeptAttemptLogs < logs.size(); ++i) fs::remove(logs[i].second, ignored);
}

Status StateDirectory::KeepWeights(const std::string& result_id) const {
  return Keep(UnfinishedWeights(result_id), Weights(result_id));
}

Status StateDirectory::KeepCheckpoint(const std::string& result_id) const {
  return Keep(UnfinishedCheckpoint(result_id), Checkpoint(result_id));
}

Status StateDirectory::Keep(const std::string& from, const std::string& to) const {
  if (::rename(from.c_str(), to.c_str()) != 0) return FromErrno(errno, "rename " + from + " to " + to);
  return SyncDirectory(path_ + "/checkpoints");
}

void StateDirectory::DropCheckpoint(const std::string& path) const {
  namespace fs = std::filesystem;
  const fs::path file(path);
  if (file.parent_path() != fs::path(path_ + "/checkpoints") || !path.ends_with(kCheckpointSuffix)) return;
  std::error_code ignored;
  fs::remove(file, ignored);
}

void StateDirectory::RemoveOldCheckpoints() const {
  namespace fs = std::filesystem;
  std::error_code ignored;
  std::vector<std::pair<fs::file_time_type, fs::path>> files;
  for (const auto& entry : fs::directory_iterator(path_ + "/checkpoints", ignored))
    if (entry.path().string().ends_with(kCheckpointSuffix))
      files.emplace_back(entry.last_write_time(ignored), entry.path());
  std::sort(files.begin(), files.end());
  const auto oldest = fs::file_time_type::clock::now() - kCheckpointsFor;
  for (size_t i = 0; i < files.size(); ++i)
    if (i + kKeptCheckpoints < files.size() || files[i].first < oldest) fs::remove(files[i].second, ignored);
}

void StateDirectory::DropUnfinishedWeights(const std::string& result_id) const {
  namespace fs = std::filesystem;
  std::error_code ignored;
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(Unfinished(), ignored))
    if (entry.path().filename().string().starts_with(result_id + ".")) files.push_back(entry.path());
  for (const fs::path& file : files) fs::remove(file, ignored);
}

StatusOr<StateDirectory> StateDirectory::Open(const std::string& path, const std::string& certified_id) {
  CANOPY_RETURN_IF_ERROR(MakeDirectories(path, 0700));
  auto lock = FileLock::Acquire(path + "/lock");
  if (!lock.ok())
    return WithContext(lock.status(),
                       "an agent already uses this state directory; choose another with --state-dir");
  // What an agent that was killed left there belongs to no outcome.
  std::error_code ignored;
  std::filesystem::remove_all(path + "/checkpoints/unfinished", ignored);
  for (const char* folder :
       {"/spool", "/cache", "/checkpoints", "/checkpoints/unfinished", "/logs", "/logs/attempts"})
    CANOPY_RETURN_IF_ERROR(MakeDirectories(path + folder, 0700));
  std::string worker_id = certified_id;
  if (worker_id.empty()) {
    CANOPY_ASSIGN_OR_RETURN(worker_id, OwnWorkerId(path + "/worker_id"));
  }
  StateDirectory directory(path, std::move(worker_id), *std::move(lock));
  directory.RemoveOldLogs();
  directory.RemoveOldCheckpoints();
  return directory;
}

}  // namespace canopy::agent
