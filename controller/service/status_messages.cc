#include "controller/service/status_messages.h"

#include <algorithm>
#include <string>

#include "rpc/convert.h"

namespace canopy::controller {
namespace {

using model::Purpose;
using model::TrialState;

v1::AttemptDetails ToProto(const model::AttemptRecord& attempt) {
  v1::AttemptDetails out;
  out.set_id(attempt.id);
  out.set_fence(attempt.fence);
  out.set_state(rpc::ToProto(attempt.state));
  if (attempt.failure) out.set_failure_class(rpc::ToProto(*attempt.failure));
  out.set_message(attempt.message);
  out.set_worker_id(attempt.worker_id);
  out.set_host(attempt.host);
  out.set_device_kind(attempt.device_kind);
  out.set_device_model(attempt.device_model);
  out.set_started_us(attempt.started_us);
  out.set_ended_us(attempt.ended_us);
  out.set_allocated_ms(attempt.cost.allocated_ms);
  out.set_busy_ms(attempt.cost.busy_ms);
  out.set_cpu_ms(attempt.cost.cpu_ms);
  out.set_peak_memory_bytes(attempt.cost.peak_memory_bytes);
  out.set_log_tail(attempt.log_tail);
  out.set_device_uuid(attempt.device_uuid);
  out.set_device_count(attempt.device_count);
  out.set_device_share(attempt.device_share);
  out.set_device_ms(attempt.DeviceMs());
  out.set_cores(attempt.cores);
  if (attempt.cost.energy_j) out.set_energy_j(*attempt.cost.energy_j);
  out.set_slot(attempt.slot);
  out.set_owner(attempt.owner);
  return out;
}

v1::EventRow ToProto(const model::EventRecord& event) {
  v1::EventRow out;
  out.set_seq(event.seq);
  out.set_wall_us(event.wall_us);
  out.set_kind(event.kind);
  out.set_principal(event.principal);
  out.set_payload_json(event.payload_json);
  return out;
}

void AddProvenance(const model::ResultRecord& result, v1::TrialDetails& details) {
  details.set_seeds_json(result.seeds_json);
  details.set_split_hash(result.split_hash);
  details.set_dataset_digest(result.dataset_digest);
  details.set_recipe_hash(result.recipe_hash);
  details.set_numeric_mode(result.numeric_mode);
  details.set_trainer_build(result.trainer_build);
  details.set_libtorch_version(result.libtorch_version);
  details.set_device_model(result.device_model);
  details.set_weights_path(result.weights_path);
  details.set_weights_sha256(result.weights_sha256);
}

}  // namespace

v1::CampaignSummary ToProto(const storage::CampaignRow& row) {
  const model::CampaignRecord& campaign = row.campaign;
  v1::CampaignSummary out;
  out.set_id(campaign.id);
  out.set_project(campaign.project);
  out.set_name(campaign.name);
  out.set_owner(campaign.owner);
  out.set_state(rpc::ToProto(row.progress.state));
  out.set_reason(row.progress.reason);
  out.set_space(campaign.space_name);
  out.set_space_hash(campaign.space_hash);
  out.set_strategy(campaign.settings.strategy_kind);
  out.set_dataset(campaign.settings.task.dataset);
  out.set_numeric_mode(campaign.settings.numeric_mode);
  out.set_epochs(row.progress.epochs);
  out.set_created_us(campaign.created_us);
  out.set_finished_us(row.progress.finished_us);
  out.set_trials_done(row.trials_done);
  out.set_space_version(campaign.space_version);
  out.set_objective_metric(campaign.settings.objective_metric);
  if (row.best && row.best->result && row.best->result->objective) {
    out.set_best_objective(*row.best->result->objective);
    out.set_best_trial(row.best->name());
  }
  return out;
}

v1::SpaceVersion ToProto(const storage::SpaceVersionRow& row) {
  v1::SpaceVersion out;
  out.set_version(row.version.version);
  out.set_space(row.version.space_name);
  out.set_space_hash(row.version.space_hash);
  for (const std::string& constraint : row.version.constraints) out.add_constraints(constraint);
  out.set_created_us(row.version.created_us);
  out.set_principal(row.version.principal);
  out.set_trials(row.trials);
  out.set_set_aside(row.set_aside);
  return out;
}

v1::TrialSummary ToProto(const storage::TrialRow& row) {
  const model::TrialRecord& trial = row.trial;
  v1::TrialSummary out;
  out.set_id(trial.id);
  out.set_number(trial.number);
  out.set_name(row.name());
  out.set_purpose(rpc::ToProto(trial.purpose));
  out.set_replicate(trial.replicate);
  out.set_state(rpc::ToProto(trial.state));
  if (trial.failure) out.set_failure_class(rpc::ToProto(*trial.failure));
  out.set_reason(trial.reason);
  out.set_decisions_json(trial.candidate.candidate_json);
  out.set_candidate_hash(trial.candidate.candidate_hash);
  out.set_params(trial.candidate.params);
  out.set_macs(trial.candidate.macs);
  if (row.result) {
    out.mutable_metrics()->insert(row.result->metrics.begin(), row.result->metrics.end());
    out.set_epochs(row.result->epochs);
  }
  out.set_created_us(trial.created_us);
  out.set_finished_us(trial.finished_us);
  out.set_reference(trial.reference);
  out.set_worker_id(row.worker_id);
  out.set_busy_ms(row.busy_ms);
  out.set_space_version(trial.space_version);
  out.set_set_aside(trial.set_aside);
  return out;
}

v1::TrialDetails ToProto(const storage::TrialDetail& detail) {
  v1::TrialDetails out;
  const model::CandidateFacts& candidate = detail.row.trial.candidate;
  *out.mutable_summary() = ToProto(detail.row);
  out.set_graph_json(candidate.graph_json);
  out.set_graph_hash(candidate.graph_hash);
  out.set_activation_memory(candidate.activation_memory);
  out.set_depth(candidate.depth);
  out.set_parent(detail.parent);
  if (detail.row.result) AddProvenance(*detail.row.result, out);
  for (const model::AttemptRecord& attempt : detail.attempts) {
    v1::AttemptDetails& added = *out.add_attempts();
    added = ToProto(attempt);
    for (const model::MeasurementRecord& measurement : detail.measurements) {
      if (measurement.attempt_id != attempt.id) continue;
      v1::MeasurementRow& row = *added.add_measurements();
      row.set_step(measurement.step);
      row.set_epoch(measurement.epoch);
      row.mutable_metrics()->insert(measurement.metrics.begin(), measurement.metrics.end());
    }
  }
  for (const model::EventRecord& event : detail.events) *out.add_events() = ToProto(event);
  return out;
}

void AddCounts(const storage::CampaignCounts& counts, v1::CampaignStatus& status) {
  const auto search = [&](TrialState state) { return counts.Trials(Purpose::kSearch, state); };
  status.set_pending(search(TrialState::kPending) + search(TrialState::kPaused));
  status.set_running(search(TrialState::kLeased));
  status.set_completed(search(TrialState::kCompleted) + search(TrialState::kStopped));
  status.set_infeasible(search(TrialState::kInfeasible));
  status.set_failed(search(TrialState::kFailed));
  status.set_quarantined(search(TrialState::kQuarantined));
  status.set_cancelled(search(TrialState::kCancelled));
  int64_t done = 0, total = 0;
  for (const auto& [key, trials] : counts.trials) {
    const auto [purpose, state] = key;
    if (purpose == Purpose::kSearch || purpose == Purpose::kProxy) continue;
    total += trials;
    if (model::IsTerminal(state)) done += trials;
  }
  status.set_finals_done(done);
  status.set_finals_total(total);
  status.set_rejected(counts.rejected);
  status.set_cached(counts.cached);
  status.set_candidates_an_hour(counts.candidates_an_hour);
  status.set_device_ms(counts.device_ms);
  status.set_useful_device_ms(counts.useful_device_ms);
}

void AddGlance(const Core::WorkerGlance& glance, v1::WorkerStatus& status) {
  status.set_connected(true);
  status.set_silent_ms(glance.silent_ms);
  status.set_last_seen_us(glance.last_seen_us);
  status.set_running_attempts(static_cast<int64_t>(glance.attempts.size()));
  if (glance.remaining_ms) status.set_remaining_ms(*glance.remaining_ms);
  for (const Core::WorkerGlance::Running& attempt : glance.attempts) {
    v1::RunningAttempt& running = *status.add_running();
    running.set_attempt_id(attempt.attempt_id);
    running.set_fence(attempt.fence);
    running.set_trial(attempt.trial);
    running.set_step(attempt.step);
    running.set_total_steps(attempt.total_steps);
  }
}

void AddGlance(const Core::CampaignGlance& glance, v1::CampaignStatus& status) {
  status.set_slots(glance.slots);
  status.set_waiting_reason(glance.waiting_reason);
  status.set_time_left_ms(glance.deadline_left_ms);
  if (glance.device_left_ms >= 0) status.set_device_left_ms(glance.device_left_ms);
  status.set_device_ms(status.device_ms() + glance.device_running_ms);
  for (const std::string& notice : glance.notices) status.add_notices(notice);
}

v1::DatabaseFacts ToProto(const storage::DatabaseFacts& facts) {
  v1::DatabaseFacts message;
  message.set_database_id(facts.database_id);
  message.set_schema_version(facts.schema_version);
  message.set_incarnation(facts.incarnation);
  message.set_campaigns(facts.campaigns);
  message.set_trials(facts.trials);
  message.set_results(facts.results);
  message.set_last_commit_us(facts.last_commit_us);
  message.set_bytes(facts.bytes);
  return message;
}

}  // namespace canopy::controller
