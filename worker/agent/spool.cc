#include "worker/agent/spool.h"

#include <google/protobuf/util/json_util.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <system_error>

#include "base/check.h"
#include "base/file.h"
#include "base/log.h"

namespace canopy::agent {
namespace {

constexpr std::uintmax_t kMaxOutcomeBytes = 4 << 20;
constexpr std::chrono::hours kKeptFor{7 * 24};
// A busy worker's bound must not drop what the controller's newest backup may lack: one is taken each hour,
// and one that failed is tried again within minutes.
constexpr std::chrono::hours kKeptAtLeast{3};
constexpr std::uintmax_t kMaxKeptBytes = 64 << 20, kMostKeptBytes = 512 << 20;
constexpr std::string_view kSuffix = ".json";

std::string FileOf(const std::string& folder, const std::string& result_id) {
  return folder + "/" + result_id + std::string(kSuffix);
}

StatusOr<v1::Outcome> ReadOutcome(const std::string& path) {
  std::error_code error;
  if (std::filesystem::file_size(path, error) > kMaxOutcomeBytes && !error)
    return DataLoss(path + ": expected an outcome of at most 4 MiB");
  CANOPY_ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  v1::Outcome outcome;
  google::protobuf::util::JsonParseOptions options;
  options.ignore_unknown_fields = true;  // a newer agent's
  if (!google::protobuf::util::JsonStringToMessage(text, &outcome, options).ok() ||
      std::filesystem::path(path).stem().string() != outcome.result_id())
    return DataLoss(path + ": expected an outcome in JSON whose result_id is the file's name");
  return outcome;
}

}  // namespace

StatusOr<Spool> Spool::Open(const std::string& folder) {
  for (const char* part : {"", "/foreign", "/refused", "/kept"})
    CANOPY_RETURN_IF_ERROR(MakeDirectories(folder + part, 0700));
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(folder, error))
    if (entry.is_regular_file(error) && entry.path().extension() != kSuffix)
      std::filesystem::remove(entry.path(), error);
  const Spool spool(folder);
  spool.PruneKept();
  return spool;
}

Status Spool::Put(const v1::Outcome& outcome) const { return Write(folder_, outcome); }

Status Spool::Write(const std::string& folder, const v1::Outcome& outcome) const {
  CANOPY_CHECK(!outcome.result_id().empty());
  std::string text;
  google::protobuf::util::JsonPrintOptions options;
  options.preserve_proto_field_names = true;
  if (!google::protobuf::util::MessageToJsonString(outcome, &text, options).ok())
    return Internal("an attempt's outcome has no JSON form");
  return WriteFileDurably(FileOf(folder, outcome.result_id()), text + "\n", 0600);
}

Status Spool::Remove(const std::string& result_id) const {
  const std::string path = FileOf(folder_, result_id);
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) return FromErrno(errno, "remove " + path);
  return absl::OkStatus();
}

Status Spool::Keep(const v1::Outcome& outcome, int64_t incarnation) const {
  const std::string kept = folder_ + "/kept";
  if (outcome.incarnation() != incarnation) {
    v1::Outcome known = outcome;
    known.set_incarnation(incarnation);
    CANOPY_RETURN_IF_ERROR(Write(kept, known));
    return Remove(outcome.result_id());
  }
  // Not synced: what a power loss brings back is sent again, and counted once.
  const std::string source = FileOf(folder_, outcome.result_id());
  const std::string target = FileOf(kept, outcome.result_id());
  if (::rename(source.c_str(), target.c_str()) != 0 && errno != ENOENT)
    return FromErrno(errno, "rename " + source + " to " + target);
  return absl::OkStatus();
}

StatusOr<std::vector<v1::Outcome>> Spool::KeptBefore(const std::string& database_id,
                                                     int64_t incarnation) const {
  CANOPY_ASSIGN_OR_RETURN(std::vector<v1::Outcome> kept, ReadFolder(folder_ + "/kept"));
  std::erase_if(kept, [&](const v1::Outcome& outcome) {
    return outcome.database_id() != database_id || outcome.incarnation() >= incarnation;
  });
  return kept;
}

void Spool::PruneKept() const {
  struct File {
    std::filesystem::file_time_type written;
    std::string path;
    std::uintmax_t bytes = 0;
  };
  std::vector<File> files;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(folder_ + "/kept", error)) {
    File file{entry.last_write_time(error), entry.path().string(), entry.file_size(error)};
    if (!error) files.push_back(std::move(file));
    error.clear();
  }
  std::sort(files.begin(), files.end(), [](const File& a, const File& b) { return a.written > b.written; });
  const auto now = std::filesystem::file_time_type::clock::now();
  std::uintmax_t bytes = 0;
  int64_t young = 0;
  for (const File& file : files) {
    bytes += file.bytes;
    const bool too_old = file.written < now - kKeptFor;
    const bool too_large = bytes > (file.written < now - kKeptAtLeast ? kMaxKeptBytes : kMostKeptBytes);
    if (!too_old && !too_large) continue;
    std::filesystem::remove(file.path, error);
    young += file.written >= now - kKeptAtLeast;
  }
  if (young > 0)
    CANOPY_LOG(Warning,
               "Results of the last hours are not kept for a restore, as there are too many: a shorter "
               "backup_interval of the controller loses less",
               {{"results", std::to_string(young)}, {"kept_bytes", std::to_string(kMostKeptBytes)}});
}

Status Spool::SetRefused(const std::string& result_id) const {
  return Move(result_id, folder_, folder_ + "/refused");
}

Status Spool::SetForeign(const std::string& result_id) const {
  return Move(result_id, folder_, folder_ + "/foreign");
}

Status Spool::Move(const std::string& result_id, const std::string& from, const std::string& to) const {
  const std::string source = FileOf(from, result_id);
  const std::string target = FileOf(to, result_id);
  if (::rename(source.c_str(), target.c_str()) != 0)
    return FromErrno(errno, "rename " + source + " to " + target);
  return SyncDirectory(to);
}

StatusOr<std::vector<v1::Outcome>> Spool::ReadFolder(const std::string& folder) const {
  std::error_code error;
  std::vector<v1::Outcome> outcomes;
  std::filesystem::directory_iterator entries(folder, error);
  if (error) return FromErrno(error.value(), "read folder " + folder);
  for (const auto& entry : entries) {
    if (entry.path().extension() != kSuffix) continue;
    auto outcome = ReadOutcome(entry.path().string());
    if (outcome.ok()) {
      outcomes.push_back(*std::move(outcome));
    } else if (!absl::IsDataLoss(outcome.status())) {
      return outcome.status();  // too many open files, a disk that fails: the file may be fine
    } else {
      CANOPY_LOG(Warning, "set a spool file aside in refused/: " + Message(outcome.status()));
      CANOPY_RETURN_IF_ERROR(Move(entry.path().stem().string(), folder, folder_ + "/refused"));
    }
  }
  std::sort(outcomes.begin(), outcomes.end(),
            [](const auto& a, const auto& b) { return a.attempt_id() < b.attempt_id(); });
  return outcomes;
}

StatusOr<std::vector<v1::Outcome>> Spool::Waiting() const { return ReadFolder(folder_); }

StatusOr<std::vector<v1::Outcome>> Spool::Take(const std::string& database_id) const {
  const std::string foreign = folder_ + "/foreign";
  CANOPY_ASSIGN_OR_RETURN(const std::vector<v1::Outcome> returning, ReadFolder(foreign));
  for (const v1::Outcome& outcome : returning)
    if (outcome.database_id() == database_id)
      CANOPY_RETURN_IF_ERROR(Move(outcome.result_id(), foreign, folder_));
  CANOPY_ASSIGN_OR_RETURN(std::vector<v1::Outcome> waiting, Waiting());
  std::vector<v1::Outcome> ours;
  for (v1::Outcome& outcome : waiting) {
    if (outcome.database_id() == database_id) {
      ours.push_back(std::move(outcome));
      continue;
    }
    CANOPY_RETURN_IF_ERROR(Move(outcome.result_id(), folder_, foreign));
    CANOPY_LOG(Warning, "an unsent result belongs to another database; it is kept in " + foreign,
               {{"result_id", outcome.result_id()}, {"database_id", outcome.database_id()}});
  }
  return ours;
}

}  // namespace canopy::agent
