#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <iostream>
#include <memory>
#include <string>
#include <system_error>
#include <vector>

#include "CLI/CLI.hpp"
#include "base/clock.h"
#include "base/file.h"
#include "base/strings.h"
#include "cli/connection.h"
#include "cli/dataset_folders.h"
#include "cli/exit_code.h"
#include "cli/host_checks.h"
#include "cli/nouns.h"
#include "cli/table.h"
#include "config/credentials.h"
#include "rpc/channel.h"
#include "storage/backup_folder.h"
#include "storage/database_copy.h"
#include "storage/migrations.h"
#include "worker/agent/host.h"
#include "worker/agent/trainer_probe.h"

namespace canopy::cli {
namespace {

using Level = HostCheck::Level;
using Checks = std::vector<HostCheck>;

HostCheck Failed(const std::string& name, const Status& status, const std::string& remedy,
                 Level level = Level::kError) {
  return {name, level, Message(status), remedy};
}

int64_t FileBytes(const std::string& path) {
  std::error_code error;
  const auto bytes = std::filesystem::file_size(path, error);
  return error ? 0 : static_cast<int64_t>(bytes);
}

void CheckFolder(const std::string& folder, const std::string& database, Checks& checks) {
  constexpr int kSyncs = 20;
  if (const Status made = MakeDirectories(folder, 0700); !made.ok()) {
    checks.push_back(Failed("state directory", made, "name a folder that you may write with --state-dir"));
    return;
  }
  struct stat info {};
  ::stat(folder.c_str(), &info);
  checks.push_back(
      JudgeFolder(folder, info.st_mode, info.st_uid == ::geteuid(), ::access(folder.c_str(), W_OK) == 0));
  checks.push_back(JudgeFileSystem(NetworkFileSystemOf(folder)));
  if (const auto free_bytes = FreeBytes(folder); free_bytes.ok())
    checks.push_back(JudgeDiskSpace(*free_bytes, FileBytes(database)));
  const auto syncs = MeasureSyncMs(folder, kSyncs);
  if (syncs.ok())
    checks.push_back(JudgeSyncLatency((*syncs)[syncs->size() / 2], syncs->back()));
  else
    checks.push_back(Failed("sync latency", syncs.status(), "see to the disk of the state directory"));
}

void CheckDatabaseFile(const config::Settings& settings, const std::string& database, Checks& checks) {
  if (!FileExists(database)) {
    checks.push_back({"database", Level::kOk, "there is none yet; a controller makes it", ""});
    return;
  }
  const int64_t newest = storage::Migrations().back().version;
  const auto facts = storage::ReadDatabaseFacts(database);
  if (!facts.ok()) {
    checks.push_back(Failed("database", facts.status(), "canopy db check; canopy db restore latest"));
    return;
  }
  const std::string found = "schema " + std::to_string(facts->schema_version) + ", " +
                            FormatCount(facts->trials) + " trials, " + FormatCount(facts->results) +
                            " results, incarnation " + std::to_string(facts->incarnation);
  if (facts->schema_version > newest)
    checks.push_back({"database", Level::kError,
                      found + "; this program knows schemas up to " + std::to_string(newest),
                      "use the newer canopy that wrote it"});
  else
    checks.push_back({"database", Level::kOk, found, ""});
  const std::string folder = std::filesystem::path(database).parent_path().string() + "/backups";
  const std::vector<storage::Backup> backups = storage::ListBackups(folder);
  const auto interval = settings.GetDurationMs("backup_interval");
  if (interval.ok())
    checks.push_back(
        JudgeBackups(backups.empty() ? 0 : backups.back().taken_us, *interval, SystemClock().WallUs()));
  else
    checks.push_back(Failed("backups", interval.status(), "correct the setting"));
}

void CheckController(const config::Settings& settings, Checks& checks) {
  const std::string& elsewhere = settings.Get("controller");
  if (const std::string& folder = settings.Get("credentials"); !folder.empty()) {
    const auto credential = config::LoadCredential(folder, elsewhere.empty() ? "controller" : "user");
    if (credential.ok())
      checks.push_back({"credentials", Level::kOk, folder, ""});
    else
      checks.push_back(Failed("credentials", credential.status(), "make them with `canopy cluster init`"));
  }
  auto found = elsewhere.empty() ? Connection::FindLocal(settings) : Connection::Connect(elsewhere, settings);
  if (!found.ok()) {
    checks.push_back(Failed("controller", found.status(),
                            elsewhere.empty()
                                ? "see its log in " + StateDirectory(settings, "controller") + "/logs"
                                : "see whether it runs there, and lets you in"));
  } else if (*found == nullptr) {
    checks.push_back(
        {"controller", Level::kOk, "none serves the state directory; verbs start one for themselves", ""});
  } else {
    checks.push_back({"controller", Level::kOk, "answers, " + (*found)->hello().build(), ""});
  }
}

StatusOr<agent::TrainerVersion> ProbeTrainer(const config::Settings& settings, const std::string& program) {
  agent::TrainerCommand command{program};
  if (const std::string& libraries = settings.Get("operator_libraries"); !libraries.empty())
    command.arguments = {"--operator-libraries", libraries};
  return agent::ProbeTrainer(command);
}

void CheckWorker(const config::Settings& settings, Checks& checks) {
  const agent::HostResources host = agent::ReadHostResources();
  const auto slots = settings.GetInt("slots", 0);
  if (slots.ok())
    checks.push_back(
        JudgeSlots(*slots > 0 ? *slots : agent::DefaultSlots(host), host.cores, host.memory_bytes));
  else
    checks.push_back(Failed("worker slots", slots.status(), "correct the setting"));
  const auto program = agent::TrainerProgram(settings.Get("trainer"));
  const auto version = program.ok() ? ProbeTrainer(settings, *program) : program.status();
  if (version.ok())
    checks.push_back({"trainer", Level::kOk,
                      *program + ", " + version->build +
                          (version->libtorch_version.empty() ? ", without LibTorch"
                                                             : ", LibTorch " + version->libtorch_version) +
                          (version->fast_bf16 ? ", fast bf16" : ""),
                      ""});
  else
    checks.push_back(
        Failed("trainer", version.status(),
               "install canopy-trainer beside canopy, or name one with --trainer; a host that trains "
               "nothing needs none",
               Level::kWarning));
  const auto folders = ReadDatasetFolders(settings.Get("data"));
  if (!folders.ok()) {
    checks.push_back(Failed("datasets", folders.status(), "correct the setting"));
    return;
  }
  for (const auto& [name, folder] : *folders)
    if (!std::filesystem::is_directory(folder))
      checks.push_back({"dataset " + name, Level::kError, folder + " is no folder",
                        "correct --data, or fetch the data set"});
    else
      checks.push_back({"dataset " + name, Level::kOk, folder, ""});
}

Status Examine(const Context& context, Format format) {
  CANOPY_ASSIGN_OR_RETURN(const config::Settings settings, LoadSettings(context));
  Checks checks;
  const bool here = settings.Get("controller").empty();
  if (here) {
    const std::string folder = StateDirectory(settings, "controller"), database = folder + "/canopy.db";
    CheckFolder(folder, database, checks);
    CheckDatabaseFile(settings, database, checks);
    const auto socket = rpc::UnixTarget(LocalSocket(settings));
    if (!socket.ok()) checks.push_back(Failed("socket", socket.status(), "name a shorter --state-dir"));
  }
  CheckController(settings, checks);
  CheckWorker(settings, checks);
  checks.push_back(JudgeOpenFiles(OpenFileLimit()));
  checks.push_back(JudgeClock(ClockIsSynchronized(), SystemClock().WallUs()));

  Table table({{"check"}, {"level"}, {"found"}, {"remedy"}});
  for (const HostCheck& check : checks)
    table.AddRow({check.name, LevelName(check.level), check.found, check.remedy});
  table.Print(std::cout, format, 0);
  const auto errors = std::count_if(checks.begin(), checks.end(),
                                    [](const HostCheck& check) { return check.level == Level::kError; });
  if (errors == 0) return {};
  return ProblemsFound(std::to_string(errors) + (errors == 1 ? " error" : " errors") + " found, see above");
}

}  // namespace

void AddDoctor(CLI::App& app, Context& context) {
  auto format = std::make_shared<Format>(Format::kTable);
  CLI::App* verb =
      AddVerb(app, context, "doctor", "Examine this host, its database and its trainer, and say what to do",
              "canopy doctor --format json", [&context, format] { return Examine(context, *format); });
  AddConnectionSettings(verb, context);
  for (const char* setting : {"slots", "trainer", "operator_libraries", "data"})
    AddSetting(verb, context, setting);
  AddFormat(verb, *format);
}

}  // namespace canopy::cli
