#include "storage/backup_folder.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <filesystem>
#include <optional>
#include <set>
#include <string_view>
#include <system_error>

#include "base/file.h"

namespace canopy::storage {
namespace {

constexpr std::string_view kPrefix = "canopy-", kSuffix = ".db";
constexpr char kTimeFormat[] = "%Y%m%dT%H%M%SZ";
constexpr int64_t kDayUs = int64_t{86'400} * 1'000'000;

std::optional<int64_t> TimeOf(std::string_view name) {
  if (name.size() <= kPrefix.size() + kSuffix.size() || name.substr(0, kPrefix.size()) != kPrefix ||
      name.substr(name.size() - kSuffix.size()) != kSuffix)
    return std::nullopt;
  const std::string text(name.substr(kPrefix.size(), name.size() - kPrefix.size() - kSuffix.size()));
  std::tm time{};
  const char* const end = strptime(text.c_str(), kTimeFormat, &time);
  if (end == nullptr || *end != '\0') return std::nullopt;
  return static_cast<int64_t>(timegm(&time)) * 1'000'000;
}

}  // namespace

std::string CompactTime(int64_t wall_us) {
  const std::time_t seconds = wall_us / 1'000'000;
  std::tm time{};
  gmtime_r(&seconds, &time);
  char text[32];
  return std::string(text, std::strftime(text, sizeof text, kTimeFormat, &time));
}

Status MakeBackupFolder(const std::string& folder) { return MakeDirectories(folder, 0700); }

std::vector<Backup> ListBackups(const std::string& folder) {
  std::vector<Backup> backups;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(folder, error))
    if (const auto taken_us = TimeOf(entry.path().filename().string()))
      backups.push_back({entry.path().string(), *taken_us});
  std::sort(backups.begin(), backups.end(),
            [](const Backup& a, const Backup& b) { return a.taken_us < b.taken_us; });
  return backups;
}

StatusOr<TakenBackup> TakeBackup(const std::string& database, const std::string& folder, int64_t now_us,
                                 const CopyOptions& options) {
  CANOPY_RETURN_IF_ERROR(MakeBackupFolder(folder));
  TakenBackup taken;
  taken.backup.taken_us = now_us - now_us % 1'000'000;
  taken.backup.path = folder + "/" + std::string(kPrefix) + CompactTime(now_us) + std::string(kSuffix);
  CANOPY_ASSIGN_OR_RETURN(taken.facts, CopyDatabase(database, taken.backup.path, options));
  return taken;
}

std::vector<Backup> Dispensable(const std::vector<Backup>& backups, const BackupRetention& retention,
                                int64_t now_us) {
  std::vector<Backup> dispensable;
  std::set<int64_t> days;
  int64_t newer = 0;
  for (auto backup = backups.rbegin(); backup != backups.rend(); ++backup) {
    const int64_t day = backup->taken_us / kDayUs;
    const bool newest_of_day = days.insert(day).second && day > now_us / kDayUs - retention.days;
    if (newer++ >= std::max<int64_t>(1, retention.newest) && !newest_of_day) dispensable.push_back(*backup);
  }
  std::reverse(dispensable.begin(), dispensable.end());
  return dispensable;
}

Status PruneBackups(const std::string& folder, const BackupRetention& retention, int64_t now_us) {
  for (const Backup& backup : Dispensable(ListBackups(folder), retention, now_us))
    if (::unlink(backup.path.c_str()) != 0 && errno != ENOENT)
      return FromErrno(errno, "remove the old backup " + backup.path);
  return {};
}

void RemovePartialCopies(const std::string& folder) {
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(folder, error))
    if (entry.path().extension() == kPartialSuffix) std::filesystem::remove(entry.path(), error);
}

}  // namespace canopy::storage
