#pragma once

#include <cmath>
#include <compare>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "storage/model/states.h"

namespace canopy::model {

// Rows as plain values. Times called _us are UTC microseconds, durations _ms milliseconds; hashes are
// hexadecimal SHA-256; JSON is canonical text. Numbers called id are assigned by the core, never reused.

using Metrics = std::map<std::string, double>;

enum class Goal { kMaximize, kMinimize };
// What happens to a proposal whose candidate_hash the campaign has seen: its earlier result is taken, or
// it is evaluated as the next replicate.
enum class DuplicatePolicy { kCached, kEvaluate };

// The dataset and split that a campaign's trials train on.
struct TaskSpec {
  std::string dataset;
  std::string dataset_digest;  // empty until a worker has verified one
  std::vector<int64_t> input_shape;
  int64_t classes = 0;
  uint64_t validation_seed = 0;
  int64_t validation_count = 0;
};

// Which workers a campaign's trials may go to.
struct Placement {
  std::map<std::string, std::string> labels;  // a worker has all of these
  std::string device_kind;                    // empty: any
  int64_t min_memory = 0;                     // bytes
};

// What `campaign:` fixes for the whole search, parsed; the texts it came from are in CampaignRecord.
struct CampaignSettings {
  TaskSpec task;
  std::string numeric_mode;            // "fp32" or "bf16"; settled at launch
  std::vector<std::string> operators;  // of the space's own, which a worker's trainers must have
  std::string recipe_json;             // the fixed part of the recipe; docs/campaign_file.md
  std::string recipe_hash;             // of recipe_json, epochs excluded
  std::string strategy_kind;
  std::string strategy_json;           // its parameters
  std::string fidelity_kind = "full";  // the schedule: how far each SEARCH trial is trained
  std::string fidelity_json = "{}";    // its parameters
  std::string objective_metric = "val_accuracy";
  Goal objective_goal = Goal::kMaximize;
  std::vector<std::string> constraints;
  DuplicatePolicy duplicates = DuplicatePolicy::kCached;
  bool strict = false;
  Placement placement;
  int64_t priority = 10;           // its slots beside those of its project's other campaigns, in proportion
  int64_t epochs = 0;              // 0: `auto`, settled by a PROXY trial before the first SEARCH trial
  int64_t budget_trials = 0;       // SEARCH trials; 0: no such bound
  int64_t budget_duration_ms = 0;  // of running time, finals included; 0: no such bound
  int64_t budget_device_ms = 0;    // device time of all attempts; 0: no such bound
  int64_t budget_until_us = 0;     // wall time; 0: no such bound
  int64_t finals_top = 0;          // 0: no finals
  int64_t finals_seeds = 0;
  bool finals_reference = false;
  uint64_t seed = 0;
};

struct CampaignRecord {
  int64_t id = 0;
  std::string project, name;
  std::string owner, description, labels_json, notes, git_commit;
  std::string file_name, campaign_text, space_file_name, space_text, overrides_json;
  std::string space_name, space_hash;
  int64_t space_version = 1;  // of the space and constraints that it searches now
  CampaignSettings settings;
  int64_t created_us = 0;
};

// What a campaign's strategy may propose, since one event of its log: the space's file and the constraints of
// the campaign's. Versions count from 1, the launch.
struct SpaceVersion {
  int64_t campaign_id = 0, version = 1;
  std::string space_name, space_hash, space_file_name, space_text;
  std::vector<std::string> constraints;
  int64_t event_seq = 0;  // campaign_launched or campaign_updated: later proposals are of this version
  std::string principal;
  int64_t created_us = 0;
};

// A SEARCH trial that a version of the space leaves out of rankings and of what its strategy sees.
struct SetAside {
  int64_t trial_id = 0;
  std::string reason;
};

// The part of a campaign that changes.
struct CampaignProgress {
  CampaignState state = CampaignState::kRunning;
  std::string reason;     // why it is paused or failed
  int64_t epochs = 0;     // settled fidelity, 0: not yet
  int64_t active_ms = 0;  // running time so far, as of the last commit
  int64_t served_ms = 0;  // time in which a controller had the campaign, the same
  int64_t next_trial_number = 1;
  int64_t last_result_seq = 0;  // results that the strategy may see
  int64_t refill_count = 0;     // proposals asked for and not yet logged, 0: none
  int64_t refill_seen_seq = 0;  // the last result that they see
  int64_t proposals = 0;        // logged, rejected and cached ones included
  bool strategy_exhausted = false;
  // What of the finals exists: 0 nothing, 1 the search is closed and the reference's FINAL trials are
  // made, 2 the finalists' too, 3 the winner is chosen and TEST and MEASURE trials are made.
  int64_t finals_stage = 0;
  int64_t signatures_from = 0;  // attempts from this id on count for the campaign's pausing itself
  int64_t winner_trial_id = 0;  // the SEARCH trial (or 0) that finals chose, and
  bool winner_is_reference = false;
  bool winner_committed = false;  // TEST trials exist only after this
  int64_t test_reads = 0;
  // Of the first worker that was given a trial; empty: not settled yet. Later ones have the same dataset,
  // and under `strict` the same trainer build and device.
  std::string pinned_dataset_digest, pinned_trainer_build, pinned_device;
  bool archived = false;  // left out of listings
  int64_t share_tag = 0;  // where its next lease stands in the order of fair shares
  int64_t finished_us = 0;
};

// What is known of a candidate before it is trained; docs/search_spaces.md defines each figure.
struct CandidateFacts {
  std::string candidate_json, candidate_hash, graph_hash, graph_json;
  int64_t params = 0, macs = 0, activation_memory = 0, depth = 0;
  int64_t params_as_written = 0, macs_as_written = 0;
};

// Where an attempt ran.
struct DevicePlace {
  std::string host, device_uuid;
  friend auto operator<=>(const DevicePlace&, const DevicePlace&) = default;
};

// Where a training can go on: on the disk of the worker that wrote it.
struct TrialCheckpoint {
  std::string worker_id;  // empty: there is none
  std::string path, sha256;
  int64_t epoch = 0;  // complete ones in it
  int64_t step = 0;   // taken; 0: at the end of those epochs
  friend bool operator==(const TrialCheckpoint&, const TrialCheckpoint&) = default;
};

struct TrialRecord {
  int64_t id = 0, campaign_id = 0;
  int64_t number = 0;  // within the campaign: people see "fashion-macro/17"
  Purpose purpose = Purpose::kSearch;
  int64_t replicate = 0;
  bool reference = false;  // the space's reference candidate
  std::string owner, project, description, labels_json = "{}", notes, git_commit;
  int64_t device_count = 1;     // that an attempt needs
  int64_t parent_trial_id = 0;  // FINAL: the SEARCH trial; TEST, MEASURE: the FINAL trial; else 0
  CandidateFacts candidate;
  int64_t seen_seq = 0;       // last result that the proposal had seen
  int64_t space_version = 1;  // that it was made under
  std::string set_aside;      // why the current version leaves it out; empty: it counts
  TrialState state = TrialState::kPending;
  std::optional<FailureClass> failure;
  std::string reason;
  int64_t crashes = 0, timeouts = 0, out_of_memory = 0, interruptions = 0;  // failed attempts by retry rule
  int64_t data_failures = 0;
  int64_t out_of_memory_bytes = 0;  // a worker that tries it again has more memory than this
  std::vector<std::string> crash_hosts;
  std::vector<DevicePlace> failed_on;           // by a failure that may be the device's
  int64_t last_attempt_id = 0, last_fence = 0;  // of the newest lease; a late result must match both
  std::string required_worker_id;  // the only worker that can run it (it holds the weights), or empty
  std::string weights_path, weights_sha256;        // TEST, MEASURE: on that worker
  int64_t rung = 0;                                // the last that it reported, from 1; 0: none
  RungAction rung_action = RungAction::kContinue;  // what stands for it since; a promotion makes it continue
  TrialCheckpoint checkpoint;
  int64_t busy_ms = 0, device_ms = 0;  // of its attempts with a segment
  int64_t created_us = 0, finished_us = 0;
};

// Where an attempt ran and what it cost.
struct AttemptCost {
  int64_t allocated_ms = 0, busy_ms = 0, cpu_ms = 0, peak_memory_bytes = 0;
  std::optional<double> energy_j;
};

struct AttemptRecord {
  int64_t id = 0, trial_id = 0, campaign_id = 0;
  std::string worker_id, request_id, owner;
  std::string result_id;  // of the outcome that ended it; empty while it runs
  int64_t slot = 0, fence = 0;
  AttemptState state = AttemptState::kRunning;
  std::optional<SegmentEnd> segment;  // where it succeeded, or left a checkpoint
  std::optional<FailureClass> failure;
  std::string message, log_tail;
  std::string host, device_kind, device_uuid, device_model;
  int64_t device_count = 1;
  double device_share = 1;
  int64_t cores = 1;
  int64_t began_ms = 0;  // its campaign's served_ms then
  AttemptCost cost;
  int64_t started_us = 0, ended_us = 0;
  // The devices' time that it is charged for: the column device_ms.
  int64_t DeviceMs() const {
    return std::llround(static_cast<double>(cost.allocated_ms) * static_cast<double>(device_count) *
                        device_share);
  }
};

// How an attempt ended, its numbers left out; empty text: it succeeded.
struct EndSignature {
  std::string text, candidate_hash;
  friend bool operator==(const EndSignature&, const EndSignature&) = default;
};

// What the database has of an outcome that a worker reports: nothing, or how it was answered before.
enum class KnownOutcome { kNone, kCounted, kArchived };

// The accepted outcome of a trial, once.
struct ResultRecord {
  int64_t trial_id = 0, attempt_id = 0, campaign_id = 0;
  std::string result_id;  // 32 hexadecimal digits, made by the worker
  int64_t seq = 0;        // in commit order within the campaign
  bool feasible = true;
  std::optional<double> objective;  // absent where not feasible
  Metrics metrics;                  // every finite metric of the last step
  int64_t rung = 0;                 // at which the trial was stopped; 0: it was trained in full
  int64_t epochs = 0, steps = 0, correct = 0, total = 0;
  std::string seeds_json, split_hash, dataset_digest, recipe_hash, numeric_mode;
  std::string trainer_build, libtorch_version, device_model;
  std::string weights_path, weights_sha256;  // on the attempt's worker
  int64_t weights_bytes = 0;
  int64_t received_us = 0;
};

// What a training had reached at a rung: accepted once for each trial and rung, and never pruned.
struct RungReportRecord {
  int64_t trial_id = 0, rung = 0;  // rungs count from 1
  int64_t campaign_id = 0, attempt_id = 0, fence = 0, epoch = 0;
  std::optional<double> objective;  // absent where it is no finite number
  Metrics metrics;                  // finite ones
  RungAction action = RungAction::kContinue;
  int64_t event_seq = 0;  // of rung_reported: the order in which the schedule sees reports
  int64_t received_us = 0;
};

// The part of a report that a schedule decides by.
struct RungScore {
  int64_t trial_id = 0, rung = 0;
  std::optional<double> objective;
};

// Prunable.
struct MeasurementRecord {
  int64_t attempt_id = 0, step = 0, epoch = 0;
  Metrics metrics;
};

// One line of the event log, which is never pruned. Payloads: docs/storage_format.md.
struct EventRecord {
  int64_t seq = 0;                                        // grows over the whole database
  int64_t campaign_id = 0, trial_id = 0, attempt_id = 0;  // 0: none
  std::string kind, principal, payload_json;
  int64_t wall_us = 0;
};

struct DatasetOnWorker {
  std::string name, digest;
  std::vector<int64_t> input_shape;
  int64_t classes = 0;
  int64_t training_examples = 0;
};

struct WorkerRecord {
  std::string id, host, build, labels_json;
  int64_t slots = 0, cores = 0, memory_bytes = 0;
  std::string device_kind, device_uuid, device_model, trainer_build, libtorch_version;
  std::vector<std::string> numeric_modes;  // that it can run
  std::string fast_numeric_mode;           // that it would choose
  std::vector<DatasetOnWorker> datasets;
  std::vector<std::string> operators;  // that its trainers have beside the built-in ones
  bool rungs = false;                  // its trainers stop, pause and go on at rungs
  int64_t first_seen_us = 0, last_seen_us = 0;
};

// No new lease goes to this worker, or to any worker of this device or host; what runs there ends.
struct Drain {
  DrainScope scope = DrainScope::kWorker;
  std::string name;  // the worker's id, the device's UUID, the host
  std::string reason, principal;
  int64_t since_us = 0;
};

// A trial that failed on a device and passed elsewhere.
struct Blame {
  int64_t trial_id = 0;
  std::string trial;        // "fashion-macro/17"
  bool other_host = false;  // it passed on another host, not on another device of this one alone
};

// What speaks against a device; the oldest blame comes first.
struct DeviceHealth {
  DevicePlace place;
  std::vector<Blame> blames;
  int64_t passes = 0;  // trials that passed there since the oldest was recorded, or another one forgiven
};

}  // namespace canopy::model
