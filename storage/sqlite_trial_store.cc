#include "storage/sqlite_trial_store.h"

#include <sqlite3.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/random.h"
#include "base/sha256.h"
#include "storage/backup_folder.h"
#include "storage/database.h"
#include "storage/live_rows.h"
#include "storage/migrations.h"
#include "storage/model/failure_signature.h"
#include "storage/open_files.h"
#include "storage/ranking.h"
#include "storage/restore_backup.h"
#include "storage/row_counts.h"
#include "storage/row_mapping.h"
#include "storage/row_statement.h"
#include "storage/values_table.h"
#include "storage/write_ahead_log.h"

namespace canopy::storage {
namespace {

// An attempt's end is the next one of its campaign by its signature. ?: the columns', signature, campaign,
// id.
std::string EndAttemptSql(const ColumnWriter& columns) {
  return "UPDATE attempt SET " + columns.Assignments() +
         ", signature = ?, signature_seq = COALESCE(signature_seq, (SELECT COALESCE(MAX(signature_seq), 0) + "
         "1 "
         "FROM attempt WHERE campaign_id = ? AND signature_seq IS NOT NULL)) WHERE id = ?";
}

// An id that is assigned again, be it to itself, makes SQLite look through all attempts for its children.
std::string UpsertWorkerSql(const ColumnWriter& columns) {
  return columns.InsertInto("worker") + " ON CONFLICT (id) DO UPDATE SET " +
         columns.Excluded({"id", "first_seen_us"});
}

class Store final : public TrialStore {
 public:
  Store(FileLock lock, std::string path, std::unique_ptr<Database> database, std::string database_id,
        int64_t incarnation)
      : path_(std::move(path)),
        lock_(std::move(lock)),
        database_(std::move(database)),
        values_(*database_),
        counts_(*database_),
        database_id_(std::move(database_id)),
        incarnation_(incarnation) {}

  Status Transaction(const std::function<Status()>& body) override;
  Status InsertCampaign(const model::CampaignRecord& campaign, const model::CampaignProgress& progress,
                        const std::optional<model::CandidateFacts>& reference,
                        const std::vector<Column>& decisions, const std::vector<Column>& metrics) override;
  Status UpdateCampaign(int64_t campaign_id, const model::CampaignProgress& progress) override;
  Status InsertTrial(const model::TrialRecord& trial) override;
  Status UpdateTrial(const model::TrialRecord& trial) override;
  Status InsertAttempt(const model::AttemptRecord& attempt) override;
  Status UpdateAttempt(const model::AttemptRecord& attempt) override;
  Status InsertResult(const model::ResultRecord& result) override;
  Status InsertRungReport(const model::RungReportRecord& report) override;
  Status ArchiveOutcome(const std::string& worker_id, const std::string& result_id, int64_t trial_id,
                        int64_t attempt_id, int64_t fence, const std::string& why,
                        const std::string& payload_json, int64_t wall_us) override;
  Status InsertMeasurements(const std::vector<model::MeasurementRecord>& measurements) override;
  Status AppendEvent(const model::EventRecord& event) override;
  Status SaveProposerState(int64_t campaign_id, int64_t event_seq, int64_t seen_seq,
                           const std::string& state) override;
  Status UpsertWorker(const model::WorkerRecord& worker) override;
  Status SaveDrain(const model::Drain& drain) override;
  Status RemoveDrain(model::DrainScope scope, const std::string& name) override {
    return Write("DELETE FROM drain WHERE scope = ? AND name = ?", {ToSql(scope), name}).status();
  }
  Status SaveHealth(const model::DeviceHealth& health) override;
  Status SetCounter(const std::string& name, int64_t value) override;
  Status ChangeCampaign(const model::CampaignRecord& campaign,
                        const std::optional<model::CandidateFacts>& reference,
                        const std::vector<Column>& decisions) override;
  Status InsertSpaceVersion(const model::SpaceVersion& version,
                            const std::vector<model::SetAside>& set_aside) override;
  StatusOr<bool> SkipSetAside(int64_t campaign_id, int64_t version, int64_t limit) override {
    return storage::SkipSetAside(*database_, campaign_id, version, limit);
  }
  Status RankAgain(const std::vector<int64_t>& trials) override {
    return storage::RankAgain(*database_, trials);
  }
  Status CheckNewCampaign(const std::string& project, const std::string& name) override;
  StatusOr<model::KnownOutcome> FindOutcome(const std::string& worker_id, int64_t attempt_id,
                                            const std::string& result_id) override;
  StatusOr<std::optional<model::RungReportRecord>> FindRungReport(int64_t trial_id, int64_t rung) override {
    return ReadRungReport(*database_, trial_id, rung);
  }
  Status CheckDecisions(int64_t campaign_id, const std::vector<Column>& decisions) override {
    return CheckAddedColumns(*database_, campaign_id, decisions);
  }
  StatusOr<std::optional<std::string>> FindRequest(const std::string& request_id,
                                                   const std::string& digest) override;
  Status SaveRequest(const std::string& request_id, const std::string& digest, const std::string& answer,
                     int64_t wall_us) override;
  StatusOr<std::vector<LiveRows>> LoadLiveCampaigns() override { return ReadLiveCampaigns(*database_); }
  StatusOr<std::vector<LiveRows::Finished>> LoadBest(const model::CampaignRecord& campaign,
                                                     const std::vector<model::SetAside>* set_aside) override {
    return ReadBestFinished(*database_, campaign, set_aside);
  }
  StatusOr<int64_t> Counter(const std::string& name) override {
    return database_->QueryInt("SELECT value FROM counter WHERE name = ?", {name});
  }
  StatusOr<bool> HasOutcome(int64_t trial_id, const std::string& worker_id,
                            const std::string& result_id) override {
    constexpr char kSql[] = "SELECT 1 FROM attempt WHERE trial_id = ? AND worker_id = ? AND result_id = ?";
    CANOPY_ASSIGN_OR_RETURN(const int64_t found, database_->QueryInt(kSql, {trial_id, worker_id, result_id}));
    return found == 1;
  }
  StatusOr<bool> Contradicts(int64_t trial_id, const std::string& result_id,
                             const std::map<std::string, double>& metrics) override;
  StatusOr<bool> HasResult(const std::string& result_id) override;
  std::string database_id() const override { return database_id_; }
  int64_t incarnation() const override { return incarnation_; }
  StatusOr<ProposerRows> LoadProposer(int64_t campaign_id, int64_t last_seq) override {
    return ReadProposer(*database_, campaign_id, last_seq);
  }
  ProposerLoader LaterProposer(int64_t campaign_id, int64_t last_seq) override {
    return [path = path_, campaign_id, last_seq]() -> StatusOr<ProposerRows> {
      CANOPY_ASSIGN_OR_RETURN(const std::unique_ptr<Database> database,
                              Database::Open(path, Database::Mode::kReadOnly));
      return ReadProposer(*database, campaign_id, last_seq);
    };
  }
  StatusOr<std::vector<model::Drain>> LoadDrains() override { return ReadDrains(*database_); }
  StatusOr<std::vector<model::DeviceHealth>> LoadHealth() override { return ReadHealth(*database_); }
  int64_t WalBytes() const override { return database_->wal_bytes(); }
  Checkpointer LaterCheckpoint() override { return MovesLog(path_); }
  StatusOr<int64_t> Checkpoint(int64_t restart_bytes) override {
    CANOPY_ASSIGN_OR_RETURN(int64_t bytes, database_->Checkpoint(0));
    if (bytes <= restart_bytes) return bytes;
    constexpr int64_t kPatienceMs = 100;
    return database_->Checkpoint(kPatienceMs);
  }
  Status FinalCheckpoint() override {
    // The next start makes up for what a reader holds back.
    constexpr int64_t kPatienceMs = 1'000;
    return database_->Checkpoint(kPatienceMs).status();
  }
  Status BeginCopy(const std::string& target) override {
    copy_.reset();
    CANOPY_ASSIGN_OR_RETURN(copy_, OnlineCopy::Begin(*database_, target));
    return absl::OkStatus();
  }
  StatusOr<OnlineCopy::Progress> ContinueCopy(int pages) override { return copy_->Step(pages); }
  void EndCopy() override { copy_.reset(); }
  std::vector<std::string> OtherProcesses() override { return ProcessesWithOpen(path_); }

 private:
  // The candidate's row, and the graph as this writing has it where that differs; NULL otherwise.
  struct StoredCandidate {
    int64_t id = 0;
    SqlValue graph;
  };
  StatusOr<StoredCandidate> StoreCandidate(const model::CandidateFacts& candidate);
  // The campaign's columns of its reference, NULL where it has none.
  Status AddReference(ColumnWriter& row, const std::optional<model::CandidateFacts>& reference);
  // Runs a write; REQUIRES an open transaction. After an error SQLite may have rolled the whole back:
  // nothing more may run then, as it would be committed alone.
  StatusOr<int64_t> Write(std::string_view sql, const std::vector<SqlValue>& values);
  template <typename Visit>
  StatusOr<int64_t> Write(RowStatement& statement, const Visit& visit,
                          std::initializer_list<SqlValue> others = {}) {
    CANOPY_RETURN_IF_ERROR(CheckTransaction());
    return statement.Run(*database_, visit, others);
  }
  Status CheckTransaction() const;
  Status Insert(const ColumnWriter& row, std::string_view table) {
    return Write(row.InsertInto(table), row.values()).status();
  }
  // Internal where an update found no row of that id.
  static Status Changed(const StatusOr<int64_t>& rows, std::string_view table, int64_t id);
  Status Update(const ColumnWriter& row, std::string_view table, int64_t id);

  const std::string path_;
  const FileLock lock_;
  const std::unique_ptr<Database> database_;
  std::unique_ptr<OnlineCopy> copy_;
  ValuesTables values_;
  RowCounts counts_;
  const std::string database_id_;
  const int64_t incarnation_;

  // What each result writes.
  RowStatement insert_candidate_ =
      RowStatement::Insert("candidate", " ON CONFLICT (candidate_hash) DO NOTHING");
  RowStatement insert_trial_ = RowStatement::Insert("trial");
  RowStatement update_trial_ = RowStatement::Update("trial", "id");
  RowStatement insert_attempt_ = RowStatement::Insert("attempt");
  RowStatement update_attempt_ = RowStatement::Update("attempt", "id");
  RowStatement end_attempt_{EndAttemptSql};
  RowStatement insert_result_ = RowStatement::Insert("result");
  RowStatement insert_measurement_ = RowStatement::Insert("measurement", " ON CONFLICT DO NOTHING");
  RowStatement upsert_worker_{UpsertWorkerSql};
  RowStatement insert_event_ = RowStatement::Insert("event");
};

Status Store::Transaction(const std::function<Status()>& body) {
  CANOPY_CHECK(!database_->in_transaction(), "transactions do not nest");
  CANOPY_RETURN_IF_ERROR(database_->Run("BEGIN IMMEDIATE").status());
  Status status = body();
  if (status.ok() && !database_->in_transaction())
    status = Aborted("SQLite rolled the transaction back after an error that its body left unnoticed");
  if (status.ok()) status = counts_.Write();
  if (status.ok()) status = database_->Run("COMMIT").status();
  if (status.ok()) return status;
  values_.Forget();
  counts_.Forget();
  if (database_->in_transaction()) CANOPY_RETURN_IF_ERROR(database_->RunScript("ROLLBACK"));
  return status;
}

Status Store::CheckTransaction() const {
  if (database_->in_transaction()) return {};
  return Aborted("no transaction is open: SQLite rolled it back after an error");
}

StatusOr<int64_t> Store::Write(std::string_view sql, const std::vector<SqlValue>& values) {
  CANOPY_RETURN_IF_ERROR(CheckTransaction());
  return database_->Run(sql, values);
}

Status Store::Changed(const StatusOr<int64_t>& rows, std::string_view table, int64_t id) {
  CANOPY_RETURN_IF_ERROR(rows.status());
  if (*rows == 1) return {};
  return Internal("no row " + std::to_string(id) + " in table " + std::string(table));
}

Status Store::Update(const ColumnWriter& row, std::string_view table, int64_t id) {
  return Changed(Write(row.Update(table, "id"), row.ValuesAnd(id)), table, id);
}

StatusOr<Store::StoredCandidate> Store::StoreCandidate(const model::CandidateFacts& candidate) {
  CANOPY_ASSIGN_OR_RETURN(const int64_t inserted, Write(insert_candidate_, [&](auto& row) {
                            VisitCandidate(row, candidate);
                            row("graph_json", candidate.graph_json);
                          }));
  if (inserted == 1) return StoredCandidate{database_->LastInsertId(), nullptr};
  CANOPY_ASSIGN_OR_RETURN(
      Rows rows, database_->Query("SELECT id, graph_json = ? FROM candidate WHERE candidate_hash = ?",
                                  {candidate.graph_json, candidate.candidate_hash}));
  CANOPY_ASSIGN_OR_RETURN(const bool found, rows.Next());
  CANOPY_CHECK(found, "no candidate was inserted because it is there");
  return StoredCandidate{rows.Int(0), rows.Int(1) != 0 ? SqlValue(nullptr) : SqlValue(candidate.graph_json)};
}

Status Store::AddReference(ColumnWriter& row, const std::optional<model::CandidateFacts>& reference) {
  if (!reference) {
    for (const char* column :
         {"reference_candidate_id", "reference_graph_json", "reference_decisions_json",
          "reference_activation_memory", "reference_params_as_written", "reference_macs_as_written"})
      row.Add(column, nullptr);
    return {};
  }
  CANOPY_ASSIGN_OR_RETURN(const StoredCandidate stored, StoreCandidate(*reference));
  row.Reference("reference_candidate_id", stored.id);
  row.Add("reference_graph_json", stored.graph);
  VisitWriting(row, *reference, "reference_");
  return {};
}

Status Store::CheckNewCampaign(const std::string& project, const std::string& name) {
  CANOPY_ASSIGN_OR_RETURN(
      const int64_t taken,
      database_->QueryInt("SELECT COUNT(*) FROM campaign WHERE project = ? AND name = ?", {project, name}));
  if (taken > 0) {
    return AlreadyExists("campaign '" + project + "/" + name +
                         "' exists already; give the new one another name (campaign.name, or launch --name)");
  }
  return CheckViewName(*database_, project, name);
}

Status Store::InsertCampaign(const model::CampaignRecord& campaign, const model::CampaignProgress& progress,
                             const std::optional<model::CandidateFacts>& reference,
                             const std::vector<Column>& decisions, const std::vector<Column>& metrics) {
  CANOPY_RETURN_IF_ERROR(CheckNewCampaign(campaign.project, campaign.name));
  ColumnWriter row;
  VisitCampaign(row, campaign);
  VisitCampaignTexts(row, campaign);
  VisitProgress(row, progress);
  CANOPY_RETURN_IF_ERROR(AddReference(row, reference));
  CANOPY_RETURN_IF_ERROR(Insert(row, "campaign"));
  return CreateValuesTable(*database_, campaign, decisions, metrics);
}

Status Store::ChangeCampaign(const model::CampaignRecord& campaign,
                             const std::optional<model::CandidateFacts>& reference,
                             const std::vector<Column>& decisions) {
  ColumnWriter row;
  VisitCampaign(row, campaign);
  VisitCampaignTexts(row, campaign);
  CANOPY_RETURN_IF_ERROR(AddReference(row, reference));
  row.Remove("id");  // as UpsertWorkerSql says
  CANOPY_RETURN_IF_ERROR(Update(row, "campaign", campaign.id));
  values_.Forget();
  return AddColumns(*database_, campaign, decisions);
}

Status Store::InsertSpaceVersion(const model::SpaceVersion& version,
                                 const std::vector<model::SetAside>& set_aside) {
  ColumnWriter row;
  VisitSpaceVersion(row, version);
  row("space_text", version.space_text);
  row("trials_set_aside", static_cast<int64_t>(set_aside.size()));
  CANOPY_RETURN_IF_ERROR(Insert(row, "space_version"));
  return WriteSetAside(*database_, version.campaign_id, version.version, set_aside);
}

Status Store::UpdateCampaign(int64_t campaign_id, const model::CampaignProgress& progress) {
  ColumnWriter row;
  VisitProgress(row, progress);
  return Update(row, "campaign", campaign_id);
}

Status Store::InsertTrial(const model::TrialRecord& trial) {
  CANOPY_ASSIGN_OR_RETURN(const StoredCandidate stored, StoreCandidate(trial.candidate));
  CANOPY_RETURN_IF_ERROR(Write(insert_trial_, [&](auto& row) {
                           VisitTrial(row, trial);
                           VisitWriting(row, trial.candidate);
                           VisitTrialState(row, trial);
                           row.Reference("candidate_id", stored.id);
                           row.Add("graph_json", stored.graph);
                         }).status());
  counts_.AddTrials(trial.campaign_id, trial.purpose, trial.state, 1);
  if (trial.purpose == model::Purpose::kSearch)
    counts_.AddVersionTrial(trial.campaign_id, trial.space_version);
  return values_.InsertDecisions(trial.campaign_id, trial.id, trial.candidate.candidate_json);
}

Status Store::UpdateTrial(const model::TrialRecord& trial) {
  {
    CANOPY_ASSIGN_OR_RETURN(Rows before,
                            database_->Query("SELECT state FROM trial WHERE id = ?", {trial.id}));
    CANOPY_ASSIGN_OR_RETURN(const bool found, before.Next());
    if (const auto state = model::ParseTrialState(found ? before.Text(0) : "")) {
      counts_.AddTrials(trial.campaign_id, trial.purpose, *state, -1);
      counts_.AddTrials(trial.campaign_id, trial.purpose, trial.state, 1);
    }
  }
  const auto visit = [&](auto& row) { VisitTrialState(row, trial); };
  return Changed(Write(update_trial_, visit, {trial.id}), "trial", trial.id);
}

Status Store::InsertAttempt(const model::AttemptRecord& attempt) {
  const auto visit = [&](auto& row) {
    VisitAttempt(row, attempt);
    VisitAttemptState(row, attempt);
  };
  counts_.AddAttempts(attempt.campaign_id, attempt.state, 1, attempt.DeviceMs());
  return Write(insert_attempt_, visit).status();
}

Status Store::UpdateAttempt(const model::AttemptRecord& attempt) {
  {
    CANOPY_ASSIGN_OR_RETURN(
        Rows before, database_->Query("SELECT state, device_ms FROM attempt WHERE id = ?", {attempt.id}));
    CANOPY_ASSIGN_OR_RETURN(const bool found, before.Next());
    if (const auto state = model::ParseAttemptState(found ? before.Text(0) : "")) {
      counts_.AddAttempts(attempt.campaign_id, *state, -1, -before.Int(1));
      counts_.AddAttempts(attempt.campaign_id, attempt.state, 1, attempt.DeviceMs());
    }
  }
  const auto visit = [&](auto& row) { VisitAttemptState(row, attempt); };
  const std::optional<std::string> signature = model::FailureSignature(attempt);
  return Changed(signature ? Write(end_attempt_, visit, {*signature, attempt.campaign_id, attempt.id})
                           : Write(update_attempt_, visit, {attempt.id}),
                 "attempt", attempt.id);
}

Status Store::InsertResult(const model::ResultRecord& result) {
  {
    CANOPY_ASSIGN_OR_RETURN(
        Rows ran,
        database_->Query("SELECT t.purpose, TOTAL(a.busy_ms) FILTER (WHERE a.segment IS NOT NULL), "
                         "TOTAL(a.device_ms) FROM trial t LEFT JOIN attempt a ON a.trial_id = t.id AND "
                         "(a.segment IS NOT NULL OR a.id = ?) WHERE t.id = ?",
                         {result.feasible ? 0 : result.attempt_id, result.trial_id}));
    CANOPY_ASSIGN_OR_RETURN(const bool found, ran.Next());
    const auto purpose = model::ParsePurpose(found ? ran.Text(0) : "");
    if (!purpose)
      return Internal("a result for trial " + std::to_string(result.trial_id) + ", which does not exist");
    counts_.AddResult(result.campaign_id, *purpose, result.feasible, ran.Int(1), ran.Int(2));
    CANOPY_RETURN_IF_ERROR(Write(insert_result_, [&](auto& row) {
                             VisitResult(row, result);
                             row("purpose", *purpose);
                           }).status());
  }
  return values_.SetMetrics(result.campaign_id, result.trial_id, result.metrics);
}

Status Store::InsertRungReport(const model::RungReportRecord& report) {
  ColumnWriter row;
  VisitRungReport(row, report);
  return Insert(row, "rung_report");
}

// The number of an archived outcome's row, so that a repeat finds it without an index of its own.
int64_t ArchiveId(const std::string& worker_id, const std::string& result_id) {
  const std::string digest = Sha256(worker_id + "/" + result_id);
  uint64_t id = 0;
  for (size_t i = 0; i < sizeof id; ++i) id = id << 8 | static_cast<unsigned char>(digest[i]);
  return static_cast<int64_t>(id >> 1);
}

StatusOr<model::KnownOutcome> Store::FindOutcome(const std::string& worker_id, int64_t attempt_id,
                                                 const std::string& result_id) {
  CANOPY_ASSIGN_OR_RETURN(
      const int64_t counted,
      database_->QueryInt("SELECT 1 FROM attempt WHERE id = ? AND worker_id = ? AND result_id = ?",
                          {attempt_id, worker_id, result_id}));
  if (counted != 0) return model::KnownOutcome::kCounted;
  CANOPY_ASSIGN_OR_RETURN(
      const int64_t archived,
      database_->QueryInt("SELECT 1 FROM archived_outcome WHERE id = ?", {ArchiveId(worker_id, result_id)}));
  return archived != 0 ? model::KnownOutcome::kArchived : model::KnownOutcome::kNone;
}

Status Store::ArchiveOutcome(const std::string& worker_id, const std::string& result_id, int64_t trial_id,
                             int64_t attempt_id, int64_t fence, const std::string& why,
                             const std::string& payload_json, int64_t wall_us) {
  return Write(
             "INSERT INTO archived_outcome (id, worker_id, result_id, trial_id, attempt_id, fence, why, "
             "payload_json, wall_us) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
             {ArchiveId(worker_id, result_id), worker_id, result_id, trial_id, attempt_id, fence, why,
              payload_json, wall_us})
      .status();
}

StatusOr<bool> Store::Contradicts(int64_t trial_id, const std::string& result_id,
                                  const std::map<std::string, double>& metrics) {
  CANOPY_ASSIGN_OR_RETURN(
      Rows rows,
      database_->Query("SELECT metrics_json FROM result WHERE trial_id = ? AND result_id = ? AND rung = 0",
                       {trial_id, result_id}));
  CANOPY_ASSIGN_OR_RETURN(const bool found, rows.Next());
  std::map<std::string, double> stored;
  if (!found || !FromSql(rows, 0, stored)) return false;
  return stored != metrics;
}

StatusOr<bool> Store::HasResult(const std::string& result_id) {
  if (result_id.empty()) return false;
  CANOPY_ASSIGN_OR_RETURN(
      const int64_t found,
      database_->QueryInt("SELECT 1 FROM result WHERE result_id = ? AND result_id <> '' LIMIT 1",
                          {result_id}));
  return found == 1;
}

Status Store::InsertMeasurements(const std::vector<model::MeasurementRecord>& measurements) {
  for (const model::MeasurementRecord& measurement : measurements)
    CANOPY_RETURN_IF_ERROR(
        Write(insert_measurement_, [&](auto& row) { VisitMeasurement(row, measurement); }).status());
  return {};
}

Status Store::AppendEvent(const model::EventRecord& event) {
  counts_.AddEvent(event.campaign_id, event.kind);
  return Write(insert_event_, [&](auto& row) { VisitEvent(row, event); }).status();
}

Status Store::SaveProposerState(int64_t campaign_id, int64_t event_seq, int64_t seen_seq,
                                const std::string& state) {
  return Write(
             "INSERT INTO proposer_state (campaign_id, event_seq, seen_seq, state) VALUES (?, ?, ?, ?) "
             "ON CONFLICT DO UPDATE SET event_seq = excluded.event_seq, seen_seq = excluded.seen_seq, "
             "state = excluded.state",
             {campaign_id, event_seq, seen_seq, state})
      .status();
}

Status Store::UpsertWorker(const model::WorkerRecord& worker) {
  return Write(upsert_worker_, [&](auto& row) { VisitWorker(row, worker); }).status();
}

Status Store::SaveDrain(const model::Drain& drain) {
  ColumnWriter row;
  VisitDrain(row, drain);
  CANOPY_RETURN_IF_ERROR(RemoveDrain(drain.scope, drain.name));
  return Insert(row, "drain");
}

Status Store::SaveHealth(const model::DeviceHealth& health) {
  const model::DevicePlace& place = health.place;
  CANOPY_RETURN_IF_ERROR(
      Write("DELETE FROM device_health WHERE host = ? AND device_uuid = ?", {place.host, place.device_uuid})
          .status());
  if (health.blames.empty()) return {};
  ColumnWriter row;
  VisitHealth(row, health);
  return Insert(row, "device_health");
}

Status Store::SetCounter(const std::string& name, int64_t value) {
  return Write(
             "INSERT INTO counter (name, value) VALUES (?, ?) ON CONFLICT DO UPDATE SET value = "
             "excluded.value",
             {name, value})
      .status();
}

StatusOr<std::optional<std::string>> Store::FindRequest(const std::string& request_id,
                                                        const std::string& digest) {
  CANOPY_ASSIGN_OR_RETURN(Rows rows,
                          database_->Query("SELECT digest, answer FROM request WHERE id = ?", {request_id}));
  CANOPY_ASSIGN_OR_RETURN(const bool found, rows.Next());
  if (!found) return std::nullopt;
  if (rows.Text(0) != digest) {
    return FailedPrecondition(
        "request id '" + request_id +
        "' was used for another request; repeat a request unchanged or give it a new id");
  }
  return rows.Text(1);
}

Status Store::SaveRequest(const std::string& request_id, const std::string& digest, const std::string& answer,
                          int64_t wall_us) {
  return Write("INSERT INTO request (id, digest, answer, wall_us) VALUES (?, ?, ?, ?)",
               {request_id, digest, Blob{answer}, wall_us})
      .status();
}

// WAL keeps readers and the writer apart; FULL makes a commit durable. A log that a reader has let grow does
// not keep its size.
constexpr char kPragmas[] =
    "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA trusted_schema = "
    "OFF; PRAGMA cache_size = -65536; PRAGMA journal_size_limit = 134217728";
// For whoever does not come round to Checkpoint.
constexpr int kAutoCheckpointPages = 49'152;

StatusOr<std::string> MetaText(Database& database, const std::string& name) {
  CANOPY_ASSIGN_OR_RETURN(Rows rows, database.Query("SELECT value FROM meta WHERE name = ?", {name}));
  CANOPY_ASSIGN_OR_RETURN(const bool found, rows.Next());
  return found ? rows.Text(0) : "";
}

}  // namespace

bool SqliteTrialStore::ConfigureProcess() {
  // Counting memory takes a lock at every allocation; what a statement may have to undo needs no file.
  return sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0) == SQLITE_OK &&
         sqlite3_config(SQLITE_CONFIG_STMTJRNL_SPILL, -1) == SQLITE_OK;
}

StatusOr<std::unique_ptr<TrialStore>> SqliteTrialStore::Open(const std::string& path,
                                                             const SqliteOptions& options) {
  std::string directory = std::filesystem::path(path).parent_path().string();
  if (directory.empty()) directory = ".";
  CANOPY_RETURN_IF_ERROR(MakeDirectories(directory, 0700));
  if (const auto network = NetworkFileSystemOf(directory)) {
    return FailedPrecondition("'" + path + "' lies on a network file system (" + *network +
                              "), where SQLite's locks do not hold; name a state directory on a local disk");
  }
  auto lock = FileLock::Acquire(path + ".lock");
  if (!lock.ok()) return WithContext(lock.status(), "another controller serves '" + path + "'");
  CANOPY_RETURN_IF_ERROR(EndInterruptedRestore(path));
  if (!FileExists(path) && FileExists(path + ".restoring"))
    return FailedPrecondition("'" + path +
                              "' is missing and a restore was begun there; run `canopy db restore` again");
  CANOPY_RETURN_IF_ERROR(MakeLogDurable(path));
  CANOPY_ASSIGN_OR_RETURN(std::unique_ptr<Database> database, Database::Open(path, Database::Mode::kCreate));
  const std::string backups =
      options.backup_directory.empty() ? directory + "/backups" : options.backup_directory;
  // Nobody else copies: the lock is ours.
  RemovePartialCopies(backups);
  CANOPY_RETURN_IF_ERROR(Migrate(*database, path, backups, Migrations(), SystemClock().WallUs()));
  CANOPY_RETURN_IF_ERROR(database->RunScript(kPragmas));
  CANOPY_RETURN_IF_ERROR(database->WatchWal(kAutoCheckpointPages));
  CANOPY_RETURN_IF_ERROR(RefreshViews(*database));
  if (options.max_pages > 0)
    CANOPY_RETURN_IF_ERROR(
        database->RunScript("PRAGMA max_page_count = " + std::to_string(options.max_pages)));
  CANOPY_RETURN_IF_ERROR(
      database
          ->Run("INSERT OR IGNORE INTO meta (name, value) VALUES ('database_id', ?), ('incarnation', '1')",
                {NewUuid()})
          .status());
  CANOPY_RETURN_IF_ERROR(SyncDirectory(directory));
  CANOPY_ASSIGN_OR_RETURN(const std::string database_id, MetaText(*database, "database_id"));
  CANOPY_ASSIGN_OR_RETURN(const std::string incarnation, MetaText(*database, "incarnation"));
  return std::make_unique<Store>(*std::move(lock), path, std::move(database), database_id,
                                 std::stoll(incarnation));
}

}  // namespace canopy::storage
