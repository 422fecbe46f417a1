#include "storage/testing/sample_records.h"

#include <cstdlib>

#include "base/check.h"
#include "storage/sqlite_trial_store.h"

namespace canopy::storage::testing {

TemporaryDirectory::TemporaryDirectory() {
  std::string path = (std::filesystem::temp_directory_path() / "canopy_storage_XXXXXX").string();
  CANOPY_CHECK(mkdtemp(path.data()) != nullptr);
  path_ = path;
}

TemporaryDirectory::~TemporaryDirectory() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

model::CampaignRecord SampleCampaign(int64_t id, const std::string& name) {
  model::CampaignRecord campaign;
  campaign.id = id;
  campaign.project = "default";
  campaign.name = name;
  campaign.owner = "ada";
  campaign.description = "what it's for";
  campaign.labels_json = R"({"team":"vision"})";
  campaign.notes = "notes";
  campaign.git_commit = "abc";
  campaign.file_name = "campaign.yaml";
  campaign.campaign_text = "canopy: 1\n";
  campaign.space_file_name = "macro.yaml";
  campaign.space_text = "canopy: 1\nname: macro\n";
  campaign.overrides_json = R"(["seed=2"])";
  campaign.space_name = "macro";
  campaign.space_hash = "5pace";
  campaign.settings.task = {"fashion-mnist", "d1ge57", {1, 28, 28}, 10, UINT64_MAX, 10'000};
  campaign.settings.numeric_mode = "bf16";
  campaign.settings.operators = {"mixer"};
  campaign.settings.recipe_json = "{}";
  campaign.settings.recipe_hash = "rec1pe";
  campaign.settings.strategy_kind = "random";
  campaign.settings.strategy_json = "{}";
  campaign.settings.objective_metric = "val_accuracy";
  campaign.settings.objective_goal = model::Goal::kMaximize;
  campaign.settings.constraints = {"params < 200000", "depth > 1"};
  campaign.settings.duplicates = model::DuplicatePolicy::kEvaluate;
  campaign.settings.strict = true;
  campaign.settings.placement = {{{"gpu", "a100"}, {"room", "3"}}, "cuda", 8'000};
  campaign.settings.priority = 20;
  campaign.settings.fidelity_kind = "halving";
  campaign.settings.fidelity_json = R"({"rungs":[1]})";
  campaign.settings.epochs = 2;
  campaign.settings.budget_trials = 30;
  campaign.settings.budget_duration_ms = 600'000;
  campaign.settings.finals_top = 2;
  campaign.settings.finals_seeds = 2;
  campaign.settings.finals_reference = true;
  campaign.settings.seed = UINT64_MAX - 1;
  campaign.created_us = 1'760'000'000'000'001;
  return campaign;
}

model::CampaignProgress SampleProgress() {
  model::CampaignProgress progress;
  progress.state = model::CampaignState::kPaused;
  progress.reason = "a person's wish";
  progress.epochs = 2;
  progress.active_ms = 3'600'000;
  progress.next_trial_number = 9;
  progress.last_result_seq = 8;
  progress.refill_count = 7;
  progress.refill_seen_seq = 6;
  progress.proposals = 12;
  progress.strategy_exhausted = true;
  progress.finals_stage = 2;
  progress.signatures_from = 1;
  progress.winner_trial_id = 3;
  progress.winner_is_reference = true;
  progress.winner_committed = true;
  progress.test_reads = 4;
  progress.pinned_dataset_digest = "d1ge57";
  progress.pinned_trainer_build = "b1";
  progress.pinned_device = "cpu Xeon";
  progress.archived = true;
  progress.share_tag = 77;
  progress.finished_us = 5;
  return progress;
}

model::CandidateFacts SampleCandidate(int variant) {
  const std::string n = std::to_string(variant);
  model::CandidateFacts candidate;
  candidate.candidate_json =
      R"({"stem_kernel":"conv)" + n + R"(","width":)" + n + R"(,"learning_rate":0.25})";
  candidate.candidate_hash = "candidate" + n;
  candidate.graph_hash = "graph" + n;
  candidate.graph_json = R"({"nodes":[)" + n + "]}";
  candidate.params = 1'000 * variant;
  candidate.macs = 2'000 * variant;
  candidate.activation_memory = 3'000 * variant;
  candidate.depth = 4 * variant;
  candidate.params_as_written = 5'000 * variant;
  candidate.macs_as_written = 6'000 * variant;
  return candidate;
}

model::TrialRecord SampleTrial(int64_t id, int64_t campaign_id) {
  model::TrialRecord trial;
  trial.id = id;
  trial.campaign_id = campaign_id;
  trial.number = id;
  trial.candidate = SampleCandidate(static_cast<int>(id));
  trial.owner = "ada";
  trial.project = "default";
  trial.description = "a try";
  trial.labels_json = R"({"kind":"try"})";
  trial.notes = "notes of a trial";
  trial.git_commit = "abc";
  trial.device_count = 2;
  trial.data_failures = 3;
  trial.out_of_memory_bytes = 1 << 20;
  trial.seen_seq = 4;
  trial.created_us = 1'760'000'000'000'000 + id;
  return trial;
}

model::AttemptRecord SampleAttempt(int64_t id, int64_t trial_id, int64_t campaign_id) {
  model::AttemptRecord attempt;
  attempt.id = id;
  attempt.trial_id = trial_id;
  attempt.campaign_id = campaign_id;
  attempt.worker_id = SampleWorker().id;
  attempt.request_id = "request";
  attempt.owner = "ada";
  attempt.slot = 1;
  attempt.fence = 100 + id;
  attempt.host = "node1";
  attempt.device_kind = "cpu";
  attempt.device_uuid = "uuid";
  attempt.device_model = "Xeon";
  attempt.device_count = 2;
  attempt.device_share = 0.5;
  attempt.cores = 2;
  attempt.started_us = 1'760'000'000'000'100;
  return attempt;
}

model::ResultRecord SampleResult(const model::AttemptRecord& attempt, int64_t seq, double objective) {
  model::ResultRecord result;
  result.trial_id = attempt.trial_id;
  result.attempt_id = attempt.id;
  result.campaign_id = attempt.campaign_id;
  result.result_id = "result" + std::to_string(attempt.id);
  result.seq = seq;
  result.objective = objective;
  result.metrics = {{"val_accuracy", objective}, {"val_loss", 0.1}, {"other", 3}};
  result.epochs = 2;
  result.steps = 500;
  result.correct = 9;
  result.total = 10;
  result.seeds_json = R"({"init":"1"})";
  result.split_hash = "sp1it";
  result.dataset_digest = "d1ge57";
  result.recipe_hash = "rec1pe";
  result.numeric_mode = "bf16";
  result.trainer_build = "b1";
  result.libtorch_version = "2.6.0";
  result.device_model = "Xeon";
  result.weights_path = "/w";
  result.weights_sha256 = "5ha";
  result.weights_bytes = 12;
  result.received_us = 1'760'000'000'000'200;
  return result;
}

model::WorkerRecord SampleWorker() {
  model::WorkerRecord worker;
  worker.id = "worker-1";
  worker.host = "node1";
  worker.build = "1.0";
  worker.labels_json = "{}";
  worker.slots = 2;
  worker.cores = 2;
  worker.memory_bytes = 1 << 30;
  worker.device_kind = "cpu";
  worker.numeric_modes = {"fp32", "bf16"};
  worker.fast_numeric_mode = "bf16";
  worker.operators = {"mixer"};
  worker.rungs = true;
  worker.datasets = {{"fashion-mnist", "d1ge57", {1, 28, 28}, 10, 60'000}};
  worker.first_seen_us = 10;
  worker.last_seen_us = 20;
  return worker;
}

std::vector<TrialStore::Column> SampleDecisions() {
  using Type = TrialStore::Column::Type;
  return {{"stem_kernel", Type::kText},
          {"width", Type::kInteger},
          {"learning_rate", Type::kReal},
          {"inactive", Type::kText}};
}

std::vector<TrialStore::Column> SampleMetrics() {
  return {{"val_accuracy"}, {"val_loss"}, {"test_accuracy"}};
}

std::unique_ptr<TrialStore> StoreWithCampaign(const std::string& path) {
  auto store = SqliteTrialStore::Open(path);
  CANOPY_CHECK(store.ok(), store.status().ToString());
  model::CampaignProgress progress = SampleProgress();
  progress.state = model::CampaignState::kRunning;
  const Status status = (*store)->Transaction([&]() -> Status {
    CANOPY_RETURN_IF_ERROR((*store)->UpsertWorker(SampleWorker()));
    return (*store)->InsertCampaign(SampleCampaign(1), progress, SampleCandidate(50), SampleDecisions(),
                                    SampleMetrics());
  });
  CANOPY_CHECK(status.ok(), status.ToString());
  return *std::move(store);
}

Status AddCompletedTrial(TrialStore& store, int64_t id, double objective) {
  model::TrialRecord trial = SampleTrial(id);
  model::AttemptRecord attempt = SampleAttempt(id, id);
  return store.Transaction([&]() -> Status {
    CANOPY_RETURN_IF_ERROR(store.InsertTrial(trial));
    CANOPY_RETURN_IF_ERROR(store.InsertAttempt(attempt));
    attempt.state = model::AttemptState::kSucceeded;
    attempt.segment = model::SegmentEnd::kCompleted;
    attempt.cost.busy_ms = 100;
    attempt.cost.allocated_ms = 120;
    attempt.ended_us = 1'760'000'000'000'300;
    CANOPY_RETURN_IF_ERROR(store.UpdateAttempt(attempt));
    CANOPY_RETURN_IF_ERROR(store.InsertResult(SampleResult(attempt, id, objective)));
    trial.state = model::TrialState::kCompleted;
    trial.last_attempt_id = id;
    trial.last_fence = attempt.fence;
    trial.finished_us = attempt.ended_us;
    return store.UpdateTrial(trial);
  });
}

}  // namespace canopy::storage::testing
