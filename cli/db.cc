#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "CLI/CLI.hpp"
#include "base/clock.h"
#include "base/file.h"
#include "base/strings.h"
#include "cli/connection.h"
#include "cli/exit_code.h"
#include "cli/nouns.h"
#include "cli/table.h"
#include "storage/backup_folder.h"
#include "storage/database_check.h"
#include "storage/restore_backup.h"

namespace canopy::cli {
namespace {

std::string Counts(int64_t campaigns, int64_t trials, int64_t results) {
  const auto count = [](int64_t n, const std::string& word) {
    return FormatCount(n) + " " + word + (n == 1 ? "" : "s");
  };
  return count(campaigns, "campaign") + ", " + count(trials, "trial") + ", " + count(results, "result");
}

std::string Contents(const v1::DatabaseFacts& facts) {
  return Counts(facts.campaigns(), facts.trials(), facts.results()) + ", " + FormatCount(facts.bytes()) +
         " bytes";
}

std::string DatabasePath(const config::Settings& settings) {
  return StateDirectory(settings, "controller") + "/canopy.db";
}

// The file that a stream is written to; it takes its name once it is whole.
class PartialFile {
 public:
  explicit PartialFile(std::string path)
      : path_(std::move(path)), partial_(path_ + storage::kPartialSuffix) {}
  ~PartialFile() {
    if (fd_ < 0) return;
    ::close(fd_);
    ::unlink(partial_.c_str());
  }
  Status Create() {
    fd_ = ::open(partial_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    return fd_ < 0 ? FromErrno(errno, "create " + partial_) : Status();
  }
  Status Write(std::string_view data) {
    while (!data.empty()) {
      const ssize_t n = ::write(fd_, data.data(), data.size());
      if (n < 0 && errno != EINTR) return FromErrno(errno, "write " + partial_);
      if (n > 0) data.remove_prefix(static_cast<size_t>(n));
    }
    return {};
  }
  Status Finish() {
    if (::fsync(fd_) != 0) return FromErrno(errno, "fsync " + partial_);
    CANOPY_RETURN_IF_ERROR(storage::VerifyDatabaseFile(partial_, INT64_MAX).status());
    if (::rename(partial_.c_str(), path_.c_str()) != 0)
      return FromErrno(errno, "rename " + partial_ + " to " + path_);
    ::close(std::exchange(fd_, -1));
    return SyncDirectory(std::filesystem::path(path_).parent_path());
  }

 private:
  const std::string path_, partial_;
  int fd_ = -1;
};

StatusOr<v1::DatabaseFacts> WriteSnapshot(Connection& connection, PartialFile& target) {
  v1::DatabaseFacts facts;
  CANOPY_RETURN_IF_ERROR(connection.client().Snapshot([&](const v1::SnapshotChunk& chunk) {
    if (chunk.has_facts()) facts = chunk.facts();
    return target.Write(chunk.data());
  }));
  CANOPY_RETURN_IF_ERROR(target.Finish());
  return facts;
}

Status Snapshot(const Context& context, const std::string& file) {
  CANOPY_ASSIGN_OR_RETURN(const config::Settings settings, LoadSettings(context));
  PartialFile target(std::filesystem::absolute(file));
  CANOPY_RETURN_IF_ERROR(target.Create());
  CANOPY_ASSIGN_OR_RETURN(const auto connection,
                          Connection::Open(context, settings, Connection::Missing::kRefuse));
  CANOPY_ASSIGN_OR_RETURN(const v1::DatabaseFacts facts, WriteSnapshot(*connection, target));
  std::cerr << "Wrote " << file << ": " << Contents(facts) << '\n';
  return {};
}

Status TakeBackup(const Context& context) {
  CANOPY_ASSIGN_OR_RETURN(const config::Settings settings, LoadSettings(context));
  CANOPY_ASSIGN_OR_RETURN(const auto connection,
                          Connection::Open(context, settings, Connection::Missing::kRefuse));
  CANOPY_ASSIGN_OR_RETURN(const v1::BackupReply reply, connection->client().Backup());
  std::cout << reply.path() << '\n';
  std::cerr << "Verified: " << Contents(reply.facts()) << '\n';
  return {};
}

// A path, the name of a file in backups/, or "latest".
StatusOr<std::string> FindBackup(const std::string& named, const std::string& folder) {
  const std::vector<storage::Backup> known = storage::ListBackups(folder);
  if (named == "latest" && !known.empty()) return known.back().path;
  for (const std::string& path : {named, folder + "/" + named})
    if (FileExists(path)) return path;
  std::string message = "there is no backup '" + named + "'; " + folder + " has ";
  if (known.empty()) return NotFound(message + "none");
  constexpr size_t kNamed = 5;
  message += FormatCount(static_cast<int64_t>(known.size())) + ", the newest of them";
  for (size_t i = 0; i < std::min(kNamed, known.size()); ++i)
    message += "\n  " + std::filesystem::path(known[known.size() - 1 - i].path).filename().string();
  return NotFound(message);
}

void PrintLoss(const storage::Restored& restored, int64_t now_us) {
  const storage::DatabaseFacts& backup = restored.backup;
  std::cout << "Its last commit was at " << FormatWallUs(backup.last_commit_us) << ", "
            << FormatDuration(std::max<int64_t>(0, now_us - backup.last_commit_us) / 1000)
            << " ago: what was committed since then is not in it.\n";
  if (restored.replaced) {
    const storage::DatabaseFacts& replaced = *restored.replaced;
    std::cout << "The replaced database went on until " << FormatWallUs(replaced.last_commit_us)
              << " and had "
              << Counts(replaced.campaigns - backup.campaigns, replaced.trials - backup.trials,
                        replaced.results - backup.results)
              << " more.\n";
  } else if (!restored.kept_at.empty()) {
    std::cout << "What the replaced database had beyond it can't be said: it can't be read.\n";
  }
}

Status Restore(const Context& context, const std::string& named) {
  CANOPY_ASSIGN_OR_RETURN(const config::Settings settings, LoadSettings(context));
  const std::string database = DatabasePath(settings);
  CANOPY_ASSIGN_OR_RETURN(const std::string backup,
                          FindBackup(named, StateDirectory(settings, "controller") + "/backups"));
  const int64_t now_us = SystemClock().WallUs();
  CANOPY_ASSIGN_OR_RETURN(const storage::Restored restored,
                          storage::RestoreBackup(database, std::filesystem::absolute(backup), now_us));
  std::cout << "Restored " << database << " from " << backup << ": "
            << Counts(restored.backup.campaigns, restored.backup.trials, restored.backup.results) << ".\n";
  PrintLoss(restored, now_us);
  if (!restored.kept_at.empty())
    std::cout << "The replaced database is kept as " << restored.kept_at
              << "; remove it when nobody needs it any more.\n";
  std::cout << "Leases from before are void (incarnation " << restored.incarnation
            << "); agents offer the results of the last 7 days again once the controller runs.\n";
  return {};
}

// A copy that nobody else sees, removed in the end.
struct TemporaryCopy {
  std::string path;
  ~TemporaryCopy() {
    if (!path.empty()) ::unlink(path.c_str());
  }
};

// Checks the file, or the database: where a controller serves that, a copy, which holds up nothing.
StatusOr<std::vector<storage::CheckResult>> CheckFileOrDatabase(const config::Settings& settings,
                                                                const std::string& database,
                                                                const std::string& file) {
  if (!file.empty()) return storage::CheckDatabase(file, true);
  if (!FileExists(database)) return storage::CheckDatabase(database, false);
  const auto lock = FileLock::Acquire(database + ".lock");
  if (lock.ok()) return storage::CheckDatabase(database, false);
  if (!absl::IsAborted(lock.status())) return lock.status();
  const std::string folder = std::filesystem::path(database).parent_path().string() + "/backups";
  CANOPY_RETURN_IF_ERROR(storage::MakeBackupFolder(folder));
  const TemporaryCopy copy{folder + "/check-" + std::to_string(::getpid()) + storage::kPartialSuffix};
  CANOPY_ASSIGN_OR_RETURN(const auto controller, Connection::FindLocal(settings));
  if (controller == nullptr) {
    CANOPY_RETURN_IF_ERROR(storage::CopyDatabase(database, copy.path).status());
  } else {
    PartialFile target(copy.path);
    CANOPY_RETURN_IF_ERROR(target.Create());
    CANOPY_RETURN_IF_ERROR(WriteSnapshot(*controller, target).status());
  }
  return storage::CheckDatabase(copy.path, true);
}

std::vector<std::string> NamesIn(const std::filesystem::path& folder) {
  std::vector<std::string> names;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(folder, error))
    if (!entry.is_directory(error)) names.push_back(entry.path().filename().string());
  return names;
}

// The same for this host's agent, where there is one; what it has not reported yet is named by its spool.
StatusOr<storage::WorkerFiles> AgentFiles(const std::string& database, const std::string& agent) {
  const auto worker_id = ReadFile(agent + "/worker_id");
  if (!worker_id.ok()) return storage::WorkerFiles();
  CANOPY_ASSIGN_OR_RETURN(
      storage::WorkerFiles files,
      storage::CompareWorkerFiles(database, std::string(Trim(*worker_id)), NamesIn(agent + "/checkpoints")));
  const std::vector<std::string> spooled = NamesIn(agent + "/spool");
  std::erase_if(files.orphans, [&](const std::string& orphan) {
    const std::string id = orphan.substr(0, orphan.find('.'));
    return std::any_of(spooled.begin(), spooled.end(),
                       [&](const std::string& name) { return name.find(id) != std::string::npos; });
  });
  return files;
}

// What of the state directory belongs to no row of the database.
std::vector<std::string> Orphans(const std::string& database) {
  const std::filesystem::path folder = std::filesystem::path(database).parent_path();
  std::vector<std::string> orphans;
  const auto names = storage::CampaignNames(database);
  if (!names.ok()) return orphans;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(folder / "campaigns", error))
    if (std::find(names->begin(), names->end(), entry.path().filename().string()) == names->end())
      orphans.push_back(entry.path().string());
  return orphans;
}

Status Check(const Context& context, const std::string& file, Format format) {
  CANOPY_ASSIGN_OR_RETURN(const config::Settings settings, LoadSettings(context));
  const std::string database = DatabasePath(settings);
  CANOPY_ASSIGN_OR_RETURN(const auto results, CheckFileOrDatabase(settings, database, file));
  Table table({{"check"}, {"level"}, {"violations", Display::kCount}, {"examples"}});
  int64_t violated = 0;
  for (const storage::CheckResult& result : results) {
    if (result.violations > 0) ++violated;
    table.AddRow({result.name, std::string(result.violations > 0 ? "error" : "ok"), result.violations,
                  Join(result.examples, "; ")});
  }
  const std::vector<std::string> orphans = file.empty() ? Orphans(database) : std::vector<std::string>();
  if (file.empty())
    table.AddRow({std::string("each campaign's folder is of a campaign"),
                  std::string(orphans.empty() ? "ok" : "warning"), static_cast<int64_t>(orphans.size()),
                  Join(orphans, "; ")});
  if (file.empty() && FileExists(database)) {
    CANOPY_ASSIGN_OR_RETURN(const storage::WorkerFiles files,
                            AgentFiles(database, StateDirectory(settings, "agent")));
    const auto add = [&](const std::string& name, const std::vector<std::string>& found) {
      constexpr size_t kShown = 3;
      const std::vector<std::string> shown(
          found.begin(), found.begin() + static_cast<std::ptrdiff_t>(std::min(kShown, found.size())));
      table.AddRow({name, std::string(found.empty() ? "ok" : "warning"), static_cast<int64_t>(found.size()),
                    Join(shown, "; ")});
    };
    add("each file in this host's checkpoints/ is of a trial", files.orphans);
    add("this host has the weights and checkpoints that trials name", files.missing);
  }
  table.Print(std::cout, format, 0);
  if (violated == 0) return {};
  return ProblemsFound(
      FormatCount(violated) + (violated == 1 ? " check" : " checks") + " of " +
      (file.empty() ? database : file) +
      " failed: stop the controller, keep the file, and restore a backup that passes (`canopy db "
      "check FILE`, `canopy db restore FILE`)");
}

}  // namespace

void AddDb(CLI::App& app, Context& context) {
  CLI::App* noun = AddNoun(app, "db", "Copy, back up, restore and check the trial database");
  auto file = std::make_shared<std::string>();
  CLI::App* snapshot = AddVerb(*noun, context, "snapshot",
                               "Write the database, as of now, to one file that any program may read",
                               "canopy db snapshot /shared/trials.db && sqlite3 /shared/trials.db .tables",
                               [&context, file] { return Snapshot(context, *file); });
  snapshot->add_option("FILE", *file, "where it goes; replaced once the new one is whole")->required();
  AddConnectionSettings(snapshot, context);

  CLI::App* backup =
      AddVerb(*noun, context, "backup", "Take a verified backup into the controller's backups/ now",
              "canopy db backup", [&context] { return TakeBackup(context); });
  AddConnectionSettings(backup, context);

  auto named = std::make_shared<std::string>();
  CLI::App* restore = AddVerb(
      *noun, context, "restore", "Put a backup in the place of the database; the controller must not run",
      "canopy db restore latest", [&context, named] { return Restore(context, *named); });
  restore->add_option("BACKUP", *named, "a file, the name of one in backups/, or 'latest'")->required();
  AddSetting(restore, context, "state_dir");

  struct CheckOptions {
    std::string file;
    Format format = Format::kTable;
  };
  auto options = std::make_shared<CheckOptions>();
  CLI::App* check =
      AddVerb(*noun, context, "check", "Check that the database, or a copy of it, is whole and consistent",
              "canopy db check backups/canopy-20260301T120000Z.db",
              [&context, options] { return Check(context, options->file, options->format); });
  check->add_option("FILE", options->file, "a backup or snapshot; without it the state directory's database");
  AddSetting(check, context, "state_dir");
  AddFormat(check, options->format);
}

}  // namespace canopy::cli
