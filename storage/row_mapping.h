#pragma once

#include <cstdint>
#include <initializer_list>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "base/status.h"
#include "storage/database.h"
#include "storage/model/records.h"

namespace canopy::storage {

// How records become rows. Each Visit names a record's columns once; a ColumnWriter collects them with
// their values, a RowReader fills the record from a row that has the same columns in the same order.

// One column's value, and back; false where the stored value is none of the type's.
SqlValue ToSql(int64_t value);
SqlValue ToSql(uint64_t value);  // decimal text: SQLite's integers are signed
SqlValue ToSql(double value);
SqlValue ToSql(bool value);
SqlValue ToSql(const std::string& value);
SqlValue ToSql(const std::optional<double>& value);
SqlValue ToSql(const std::optional<model::FailureClass>& value);
SqlValue ToSql(model::Purpose value);
SqlValue ToSql(model::TrialState value);
SqlValue ToSql(model::AttemptState value);
SqlValue ToSql(model::CampaignState value);
SqlValue ToSql(model::DrainScope value);
SqlValue ToSql(model::RungAction value);
SqlValue ToSql(const std::optional<model::SegmentEnd>& value);
SqlValue ToSql(model::Goal value);
SqlValue ToSql(model::DuplicatePolicy value);
SqlValue ToSql(const std::vector<std::string>& value);
SqlValue ToSql(const std::vector<int64_t>& value);
SqlValue ToSql(const std::vector<model::DatasetOnWorker>& value);
SqlValue ToSql(const std::map<std::string, std::string>& value);
SqlValue ToSql(const std::vector<model::DevicePlace>& value);
SqlValue ToSql(const std::vector<model::Blame>& value);
SqlValue ToSql(const model::Metrics& value);  // finite ones alone

bool FromSql(const Rows& rows, int column, int64_t& value);
bool FromSql(const Rows& rows, int column, uint64_t& value);
bool FromSql(const Rows& rows, int column, double& value);
bool FromSql(const Rows& rows, int column, bool& value);
bool FromSql(const Rows& rows, int column, std::string& value);
bool FromSql(const Rows& rows, int column, std::optional<double>& value);
bool FromSql(const Rows& rows, int column, std::optional<model::FailureClass>& value);
bool FromSql(const Rows& rows, int column, model::Purpose& value);
bool FromSql(const Rows& rows, int column, model::TrialState& value);
bool FromSql(const Rows& rows, int column, model::AttemptState& value);
bool FromSql(const Rows& rows, int column, model::CampaignState& value);
bool FromSql(const Rows& rows, int column, model::DrainScope& value);
bool FromSql(const Rows& rows, int column, model::RungAction& value);
bool FromSql(const Rows& rows, int column, std::optional<model::SegmentEnd>& value);
bool FromSql(const Rows& rows, int column, model::Goal& value);
bool FromSql(const Rows& rows, int column, model::DuplicatePolicy& value);
bool FromSql(const Rows& rows, int column, std::vector<std::string>& value);
bool FromSql(const Rows& rows, int column, std::vector<int64_t>& value);
bool FromSql(const Rows& rows, int column, std::vector<model::DatasetOnWorker>& value);
bool FromSql(const Rows& rows, int column, std::map<std::string, std::string>& value);
bool FromSql(const Rows& rows, int column, std::vector<model::DevicePlace>& value);
bool FromSql(const Rows& rows, int column, std::vector<model::Blame>& value);
bool FromSql(const Rows& rows, int column, model::Metrics& value);

class ColumnWriter {
 public:
  template <typename T>
  void operator()(std::string_view name, const T& value) {
    Add(name, ToSql(value));
  }
  // A number of another row; 0 becomes NULL.
  void Reference(std::string_view name, int64_t id) { Add(name, id == 0 ? SqlValue(nullptr) : SqlValue(id)); }
  void Add(std::string_view name, SqlValue value);
  // REQUIRES that the column is there.
  void Remove(std::string_view name);

  const std::vector<SqlValue>& values() const { return values_; }
  // The same with `id` for a WHERE at the end.
  std::vector<SqlValue> ValuesAnd(SqlValue id) const;
  // "a, b, c", each behind `prefix`.
  std::string Names(std::string_view prefix = "") const;
  // "?, ?, ?" and "a = ?, b = ?, c = ?".
  std::string Marks() const;
  std::string Assignments() const;
  // "a = excluded.a, b = excluded.b", of all columns but `kept`.
  std::string Excluded(std::initializer_list<std::string_view> kept) const;
  std::string InsertInto(std::string_view table) const;
  // "UPDATE table SET a = ?, b = ? WHERE key = ?".
  std::string Update(std::string_view table, std::string_view key) const;

 private:
  std::vector<std::string> names_;
  std::vector<SqlValue> values_;
};

class RowReader {
 public:
  explicit RowReader(const Rows& rows) : rows_(rows) {}
  template <typename T>
  void operator()(std::string_view name, T& value) {
    if (!FromSql(rows_, next_++, value)) bad_ = name;
  }
  void Reference(std::string_view, int64_t& id) { id = rows_.Int(next_++); }
  bool NextIsNull() const { return rows_.IsNull(next_); }
  // DataLoss names a column whose value could not be read.
  Status status() const;

 private:
  const Rows& rows_;
  int next_ = 0;
  std::string bad_;
};

template <typename Visitor, typename Record>
void VisitCampaign(Visitor& v, Record& campaign) {
  v("id", campaign.id);
  v("project", campaign.project);
  v("name", campaign.name);
  v("owner", campaign.owner);
  v("description", campaign.description);
  v("labels_json", campaign.labels_json);
  v("notes", campaign.notes);
  v("git_commit", campaign.git_commit);
  v("space_name", campaign.space_name);
  v("space_hash", campaign.space_hash);
  v("space_version", campaign.space_version);
  v("created_us", campaign.created_us);
  auto& settings = campaign.settings;
  v("dataset", settings.task.dataset);
  v("dataset_digest", settings.task.dataset_digest);
  v("input_shape_json", settings.task.input_shape);
  v("classes", settings.task.classes);
  v("validation_seed", settings.task.validation_seed);
  v("validation_count", settings.task.validation_count);
  v("numeric_mode", settings.numeric_mode);
  v("operators_json", settings.operators);
  v("recipe_json", settings.recipe_json);
  v("recipe_hash", settings.recipe_hash);
  v("strategy_kind", settings.strategy_kind);
  v("strategy_json", settings.strategy_json);
  v("objective_metric", settings.objective_metric);
  v("objective_goal", settings.objective_goal);
  v("constraints_json", settings.constraints);
  v("duplicates", settings.duplicates);
  v("strict", settings.strict);
  v("epochs_requested", settings.epochs);
  v("budget_trials", settings.budget_trials);
  v("budget_duration_ms", settings.budget_duration_ms);
  v("budget_device_ms", settings.budget_device_ms);
  v("budget_until_us", settings.budget_until_us);
  v("finals_top", settings.finals_top);
  v("finals_seeds", settings.finals_seeds);
  v("finals_reference", settings.finals_reference);
  v("seed", settings.seed);
  v("placement_labels_json", settings.placement.labels);
  v("placement_device_kind", settings.placement.device_kind);
  v("placement_min_memory", settings.placement.min_memory);
  v("priority", settings.priority);
  v("fidelity_kind", settings.fidelity_kind);
  v("fidelity_json", settings.fidelity_json);
}

// The files that it came from: large, left out of listings.
template <typename Visitor, typename Record>
void VisitCampaignTexts(Visitor& v, Record& campaign) {
  v("file_name", campaign.file_name);
  v("campaign_text", campaign.campaign_text);
  v("space_file_name", campaign.space_file_name);
  v("space_text", campaign.space_text);
  v("overrides_json", campaign.overrides_json);
}

template <typename Visitor, typename Record>
void VisitProgress(Visitor& v, Record& progress) {
  v("state", progress.state);
  v("reason", progress.reason);
  v("epochs", progress.epochs);
  v("active_ms", progress.active_ms);
  v("served_ms", progress.served_ms);
  v("next_trial_number", progress.next_trial_number);
  v("last_result_seq", progress.last_result_seq);
  v("refill_count", progress.refill_count);
  v("refill_seen_seq", progress.refill_seen_seq);
  v("proposals", progress.proposals);
  v("strategy_exhausted", progress.strategy_exhausted);
  v("finals_stage", progress.finals_stage);
  v("signatures_from", progress.signatures_from);
  v.Reference("winner_trial_id", progress.winner_trial_id);
  v("winner_is_reference", progress.winner_is_reference);
  v("winner_committed", progress.winner_committed);
  v("test_reads", progress.test_reads);
  v("pinned_dataset_digest", progress.pinned_dataset_digest);
  v("pinned_trainer_build", progress.pinned_trainer_build);
  v("pinned_device", progress.pinned_device);
  v("archived", progress.archived);
  v("share_tag", progress.share_tag);
  v("finished_us", progress.finished_us);
}

// What isomorphic networks share: the columns of candidate, id left out.
template <typename Visitor, typename Record>
void VisitCandidate(Visitor& v, Record& candidate) {
  v("candidate_hash", candidate.candidate_hash);
  v("graph_hash", candidate.graph_hash);
  v("params", candidate.params);
  v("macs", candidate.macs);
  v("depth", candidate.depth);
}

// What belongs to a candidate as one trial, or the reference, writes it.
template <typename Visitor, typename Record>
void VisitWriting(Visitor& v, Record& candidate, const std::string& prefix = "") {
  v(prefix + "decisions_json", candidate.candidate_json);
  v(prefix + "activation_memory", candidate.activation_memory);
  v(prefix + "params_as_written", candidate.params_as_written);
  v(prefix + "macs_as_written", candidate.macs_as_written);
}

// The text left out.
template <typename Visitor, typename Record>
void VisitSpaceVersion(Visitor& v, Record& version) {
  v("campaign_id", version.campaign_id);
  v("version", version.version);
  v("space_name", version.space_name);
  v("space_hash", version.space_hash);
  v("space_file_name", version.space_file_name);
  v("constraints_json", version.constraints);
  v("event_seq", version.event_seq);
  v("principal", version.principal);
  v("created_us", version.created_us);
}

// The candidate's columns and the state's left out.
template <typename Visitor, typename Record>
void VisitTrial(Visitor& v, Record& trial) {
  v("id", trial.id);
  v("campaign_id", trial.campaign_id);
  v("number", trial.number);
  v("purpose", trial.purpose);
  v("replicate", trial.replicate);
  v("reference", trial.reference);
  v("owner", trial.owner);
  v("project", trial.project);
  v("description", trial.description);
  v("labels_json", trial.labels_json);
  v("notes", trial.notes);
  v("git_commit", trial.git_commit);
  v("device_count", trial.device_count);
  v.Reference("parent_trial_id", trial.parent_trial_id);
  v("seen_seq", trial.seen_seq);
  v("space_version", trial.space_version);
  v("required_worker_id", trial.required_worker_id);
  v("weights_path", trial.weights_path);
  v("weights_sha256", trial.weights_sha256);
  v("created_us", trial.created_us);
}

// What UpdateTrial writes.
template <typename Visitor, typename Record>
void VisitTrialState(Visitor& v, Record& trial) {
  v("state", trial.state);
  v("failure", trial.failure);
  v("reason", trial.reason);
  v("crashes", trial.crashes);
  v("timeouts", trial.timeouts);
  v("out_of_memory", trial.out_of_memory);
  v("interruptions", trial.interruptions);
  v("data_failures", trial.data_failures);
  v("out_of_memory_bytes", trial.out_of_memory_bytes);
  v("crash_hosts_json", trial.crash_hosts);
  v("failed_on_json", trial.failed_on);
  v.Reference("last_attempt_id", trial.last_attempt_id);
  v("last_fence", trial.last_fence);
  v("rung", trial.rung);
  v("rung_action", trial.rung_action);
  v("checkpoint_worker_id", trial.checkpoint.worker_id);
  v("checkpoint_path", trial.checkpoint.path);
  v("checkpoint_sha256", trial.checkpoint.sha256);
  v("checkpoint_epoch", trial.checkpoint.epoch);
  v("checkpoint_step", trial.checkpoint.step);
  v("busy_ms", trial.busy_ms);
  v("device_ms", trial.device_ms);
  v("finished_us", trial.finished_us);
}

template <typename Visitor, typename Record>
void VisitAttempt(Visitor& v, Record& attempt) {
  v("id", attempt.id);
  v("trial_id", attempt.trial_id);
  v("campaign_id", attempt.campaign_id);
  v("worker_id", attempt.worker_id);
  v("request_id", attempt.request_id);
  v("owner", attempt.owner);
  v("slot", attempt.slot);
  v("fence", attempt.fence);
  v("host", attempt.host);
  v("device_kind", attempt.device_kind);
  v("device_uuid", attempt.device_uuid);
  v("device_model", attempt.device_model);
  v("device_count", attempt.device_count);
  v("device_share", attempt.device_share);
  v("cores", attempt.cores);
  v("began_ms", attempt.began_ms);
  v("started_us", attempt.started_us);
}

// What UpdateAttempt writes.
template <typename Visitor, typename Record>
void VisitAttemptState(Visitor& v, Record& attempt) {
  v("result_id", attempt.result_id);
  v("state", attempt.state);
  v("segment", attempt.segment);
  v("failure", attempt.failure);
  v("message", attempt.message);
  v("log_tail", attempt.log_tail);
  v("allocated_ms", attempt.cost.allocated_ms);
  v("busy_ms", attempt.cost.busy_ms);
  v("cpu_ms", attempt.cost.cpu_ms);
  v("peak_memory_bytes", attempt.cost.peak_memory_bytes);
  v("energy_j", attempt.cost.energy_j);
  v("ended_us", attempt.ended_us);
}

template <typename Visitor, typename Record>
void VisitResult(Visitor& v, Record& result) {
  v("trial_id", result.trial_id);
  v("attempt_id", result.attempt_id);
  v("campaign_id", result.campaign_id);
  v("result_id", result.result_id);
  v("seq", result.seq);
  v("feasible", result.feasible);
  v("objective", result.objective);
  v("metrics_json", result.metrics);
  v("rung", result.rung);
  v("epochs", result.epochs);
  v("steps", result.steps);
  v("correct", result.correct);
  v("total", result.total);
  v("seeds_json", result.seeds_json);
  v("split_hash", result.split_hash);
  v("dataset_digest", result.dataset_digest);
  v("recipe_hash", result.recipe_hash);
  v("numeric_mode", result.numeric_mode);
  v("trainer_build", result.trainer_build);
  v("libtorch_version", result.libtorch_version);
  v("device_model", result.device_model);
  v("weights_path", result.weights_path);
  v("weights_sha256", result.weights_sha256);
  v("weights_bytes", result.weights_bytes);
  v("received_us", result.received_us);
}

template <typename Visitor, typename Record>
void VisitRungReport(Visitor& v, Record& report) {
  v("trial_id", report.trial_id);
  v("rung", report.rung);
  v("campaign_id", report.campaign_id);
  v("attempt_id", report.attempt_id);
  v("fence", report.fence);
  v("epoch", report.epoch);
  v("objective", report.objective);
  v("metrics_json", report.metrics);
  v("action", report.action);
  v("event_seq", report.event_seq);
  v("received_us", report.received_us);
}

template <typename Visitor, typename Record>
void VisitMeasurement(Visitor& v, Record& measurement) {
  v("attempt_id", measurement.attempt_id);
  v("step", measurement.step);
  v("epoch", measurement.epoch);
  v("metrics_json", measurement.metrics);
}

template <typename Visitor, typename Record>
void VisitEvent(Visitor& v, Record& event) {
  v("seq", event.seq);
  v.Reference("campaign_id", event.campaign_id);
  v.Reference("trial_id", event.trial_id);
  v.Reference("attempt_id", event.attempt_id);
  v("kind", event.kind);
  v("principal", event.principal);
  v("payload_json", event.payload_json);
  v("wall_us", event.wall_us);
}

template <typename Visitor, typename Record>
void VisitWorker(Visitor& v, Record& worker) {
  v("id", worker.id);
  v("host", worker.host);
  v("build", worker.build);
  v("labels_json", worker.labels_json);
  v("slots", worker.slots);
  v("cores", worker.cores);
  v("memory_bytes", worker.memory_bytes);
  v("device_kind", worker.device_kind);
  v("device_uuid", worker.device_uuid);
  v("device_model", worker.device_model);
  v("trainer_build", worker.trainer_build);
  v("libtorch_version", worker.libtorch_version);
  v("numeric_modes_json", worker.numeric_modes);
  v("fast_numeric_mode", worker.fast_numeric_mode);
  v("datasets_json", worker.datasets);
  v("operators_json", worker.operators);
  v("rungs", worker.rungs);
  v("first_seen_us", worker.first_seen_us);
  v("last_seen_us", worker.last_seen_us);
}

template <typename Visitor, typename Record>
void VisitDrain(Visitor& v, Record&& drain) {
  v("scope", drain.scope);
  v("name", drain.name);
  v("reason", drain.reason);
  v("principal", drain.principal);
  v("since_us", drain.since_us);
}

template <typename Visitor, typename Record>
void VisitHealth(Visitor& v, Record&& health) {
  v("host", health.place.host);
  v("device_uuid", health.place.device_uuid);
  v("blames_json", health.blames);
  v("passes", health.passes);
}

// The row of set_aside that leaves trial t out of its campaign's current version, as a condition on `s`.
inline constexpr char kSetAsideNow[] =
    "s.campaign_id = t.campaign_id AND s.version = (SELECT k.space_version FROM campaign k WHERE k.id = "
    "t.campaign_id) AND s.trial_id = t.id";

// The columns that ReadX below expects, behind an alias with its point ("t."). Trials are read from
// `trial t JOIN candidate c`; without `graph`, graph_json stays empty.
std::string CampaignColumns(bool texts);
std::string ProgressColumns();
std::string TrialColumns(bool graph);
std::string AttemptColumns(std::string_view prefix = "");
std::string ResultColumns(std::string_view prefix = "");
std::string RungReportColumns(std::string_view prefix = "");

void ReadCampaign(RowReader& reader, model::CampaignRecord& campaign, bool texts);
void ReadTrial(RowReader& reader, model::TrialRecord& trial);
void ReadAttempt(RowReader& reader, model::AttemptRecord& attempt);

}  // namespace canopy::storage
