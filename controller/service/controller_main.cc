#include "controller/service/controller_main.h"

#include <pthread.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/status.h"
#include "config/credentials.h"
#include "controller/engine/backups.h"
#include "controller/engine/engine.h"
#include "controller/engine/paced_copy.h"
#include "controller/http/http_server.h"
#include "controller/service/campaign_desk.h"
#include "controller/service/campaign_service.h"
#include "controller/service/report.h"
#include "controller/service/server.h"
#include "controller/service/work_pool.h"
#include "controller/service/worker_service.h"
#include "storage/reader.h"
#include "storage/sqlite_trial_store.h"

namespace canopy::controller {
namespace {

constexpr int kUserThreads = 4;
constexpr size_t kMaxWaitingCalls = 1024;

std::string OwnProgram() {
  std::array<char, 4096> path{};
  const ssize_t size = readlink("/proc/self/exe", path.data(), path.size());
  return size > 0 ? std::string(path.data(), static_cast<size_t>(size)) : "canopy";
}

// SIGTERM and SIGINT are kept for Wait: every thread that starts later has them blocked, too.
class StopSignals {
 public:
  StopSignals() {
    sigemptyset(&signals_);
    sigaddset(&signals_, SIGTERM);
    sigaddset(&signals_, SIGINT);
    pthread_sigmask(SIG_BLOCK, &signals_, &before_);
  }
  ~StopSignals() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  void Wait() const {
    int signal = 0;
    while (sigwait(&signals_, &signal) != 0) {
    }
  }

 private:
  sigset_t signals_{}, before_{};
};

// Each worker has a connection, and a usual soft limit is 1,024 descriptors.
void RaiseDescriptorLimit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
    CANOPY_LOG(Warning, "The limit of open files stays low; `ulimit -n` raises it");
}

// Writes the result of a campaign that has ended, where it has one.
void WriteResultOf(int64_t campaign_id, storage::Reader& reader, const std::string& state_dir,
                   const std::string& database_id) {
  const Status status = [&]() -> Status {
    CANOPY_ASSIGN_OR_RETURN(const storage::CampaignRow campaign,
                            reader.Campaign(std::to_string(campaign_id)));
    CANOPY_ASSIGN_OR_RETURN(const v1::CampaignReport report, BuildReport(reader, campaign, database_id));
    return report.complete() ? WriteResult(state_dir, campaign.campaign, report).status() : absl::OkStatus();
  }();
  if (!status.ok())
    CANOPY_LOG(Error, "The campaign's result.json could not be written; `canopy best` tries again",
               {{"campaign", std::to_string(campaign_id)}, {"error", Message(status)}});
}

Status MakeStateDirectories(const std::string& state_dir) {
  CANOPY_RETURN_IF_ERROR(MakeDirectories(state_dir, 0700));
  for (const char* name : {"artifacts", "campaigns", "logs"})
    CANOPY_RETURN_IF_ERROR(MakeDirectories(state_dir + "/" + name));
  return MakeDirectories(state_dir + "/run", 0700);
}

Status Serve(const ControllerOptions& options, const StopSignals& signals) {
  if (!storage::SqliteTrialStore::ConfigureProcess())
    CANOPY_LOG(Warning, "SQLite was in use before its settings were made: the controller works more slowly");
  if (!options.listen.empty() && options.credentials_dir.empty())
    return InvalidArgument("listen " + options.listen +
                           ": TCP is served with mutual TLS alone; make credentials with "
                           "`canopy cluster init` and name their folder with --credentials");
  std::optional<config::Credential> credential;
  if (!options.listen.empty()) {
    CANOPY_ASSIGN_OR_RETURN(credential, config::LoadCredential(options.credentials_dir, "controller"));
  }
  RaiseDescriptorLimit();
  CANOPY_RETURN_IF_ERROR(MakeStateDirectories(options.state_dir));
  const std::string database_path = options.state_dir + "/canopy.db";
  CANOPY_ASSIGN_OR_RETURN(std::unique_ptr<storage::TrialStore> store,
                          storage::SqliteTrialStore::Open(database_path));
  const std::string database_id = store->database_id();
  const int64_t incarnation = store->incarnation();

  CANOPY_ASSIGN_OR_RETURN(const std::unique_ptr<storage::Reader> reader,
                          storage::Reader::Open(database_path));

  const SystemClock clock;
  WorkPool pool(kUserThreads, kMaxWaitingCalls);
  engine::EngineOptions engine_options;
  engine_options.ticks = options.grant_leases;
  engine_options.make_schedule = options.make_schedule;
  CoreLimits& limits = engine_options.limits;
  limits.lease_ttl_ms = options.lease_ttl_ms;
  limits.heartbeat_interval_ms = std::min(limits.heartbeat_interval_ms, options.lease_ttl_ms / 5);
  limits.project_shares = options.project_shares;
  engine_options.disk.folder = options.state_dir;
  engine_options.on_campaign_ended = [&](int64_t campaign_id) {
    pool.Add([&, campaign_id] { WriteResultOf(campaign_id, *reader, options.state_dir, database_id); });
  };
  CANOPY_ASSIGN_OR_RETURN(const std::unique_ptr<engine::Engine> engine,
                          engine::Engine::Start(engine_options, std::move(store), clock));
  engine::Backups::Options backup_options;
  backup_options.database = database_path;
  backup_options.folder = options.state_dir + "/backups";
  backup_options.interval_ms = options.grant_leases ? options.backup_interval_ms : 0;
  backup_options.retention.newest = options.backup_keep;
  backup_options.copy.copy_pages = engine::CopiesBetweenTransactions(*engine, database_path);
  engine::Backups backups(std::move(backup_options), clock);
  CampaignDesk desk({options.state_dir, database_path, database_id, OwnProgram(), options.grant_leases},
                    *engine, *reader, backups);
  if (options.grant_leases) pool.Add([&desk] { (void)desk.SkipSetAside(); });  // the rest is the next start's
  WorkerService workers({database_id, incarnation, limits, options.grant_leases}, *engine);
  CampaignService campaigns(desk, pool);
  std::unique_ptr<http::HttpServer> http;
  if (options.http_port != 0) {
    CANOPY_ASSIGN_OR_RETURN(http, http::HttpServer::Start({static_cast<int>(options.http_port),
                                                           options.state_dir + "/http_token"},
                                                          *engine, *reader, backups));
  }
  CANOPY_ASSIGN_OR_RETURN(
      const std::unique_ptr<Server> server,
      Server::Start({SocketPath(options.state_dir), options.listen, credential}, workers, campaigns));
  CANOPY_LOG(
      Info, "The controller is ready",
      {{"database", database_path}, {"socket", SocketPath(options.state_dir)}, {"listen", options.listen}});
  signals.Wait();
  CANOPY_LOG(Info, "The controller is stopping");
  // People's calls wait for the engine or a copy, and every call in flight for one of the two.
  backups.Stop();
  pool.Stop();
  engine->Stop();
  server->Stop();
  return absl::OkStatus();
}

}  // namespace

std::string SocketPath(const std::string& state_dir) { return state_dir + "/run/controller.sock"; }

int RunController(const ControllerOptions& options) {
  const StopSignals signals;
  const Status status = Serve(options, signals);
  if (status.ok()) return 0;
  CANOPY_LOG(Error, "The controller could not start", {{"error", Message(status)}});
  return 1;
}

}  // namespace canopy::controller
