#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/status.h"
#include "controller/core/proposer.h"
#include "storage/model/records.h"
#include "storage/model/set_aside_list.h"

namespace canopy::controller {

// What can happen to the core. `token` names the caller that waits for the Reply effect (0: nobody).
// Events come from authenticated peers: `principal` is who, worker ids are those of the certificate.

struct LaunchCampaign {
  uint64_t token = 0;
  std::string principal;
  model::CampaignRecord campaign;  // id and created_us unset; validated against its space already
  std::optional<model::CandidateFacts> reference;  // lowered; needed for finals_reference and epochs 0
};

// A candidate that a SEARCH trial evaluated.
struct RankedCandidate {
  double objective = 0;
  int64_t trial_id = 0;
  int64_t busy_ms = 0, device_ms = 0;
  model::CandidateFacts candidate;
};

// Other files for a live campaign, checked against what it may change.
struct ReviseCampaign {
  uint64_t token = 0;
  std::string principal;
  model::CampaignRecord campaign;  // as it is to be; its space_version is the one that it was compared with
  std::optional<model::CandidateFacts> reference;
  std::string changes_json;  // for the log: [{"what", "before", "after"}]
  // Space or constraints are others: a version begins, which leaves these trials out. They were chosen among
  // all that the campaign had before trial `next_trial_number`; Aborted where it has more by now.
  bool new_version = false;
  model::SetAsideList set_aside;
  int64_t next_trial_number = 1;
  // LiveCampaign::best as it then is: the engine's to read.
  std::vector<RankedCandidate> best;
};

enum class CampaignVerb { kPause, kResume, kCancel };
struct CommandCampaign {
  uint64_t token = 0;
  std::string principal;
  int64_t campaign_id = 0;
  CampaignVerb verb = CampaignVerb::kPause;
};

struct WorkerHello {
  uint64_t token = 0;
  model::WorkerRecord worker;
  // Attempts that the worker still runs: their leases are re-claimed, others of its leases are lost.
  std::vector<std::pair<int64_t, int64_t>> running;  // attempt id, fence
  std::optional<int64_t> remaining_ms;               // until the worker ends; nullopt: no end is known
};

// No new lease for a worker, or, with `undo`, none of what keeps it from one: its own drain and those of its
// device and host.
struct DrainWorker {
  uint64_t token = 0;
  std::string principal;
  model::WorkerRecord worker;  // as the database has it
  bool undo = false;
  std::string reason;
};

// How an attempt ended on its worker; repeated until acknowledged.
struct AttemptOutcome {
  std::string result_id;
  std::string database_id;
  int64_t incarnation = 0;
  int64_t attempt_id = 0, trial_id = 0, fence = 0;
  // What its lease was for; with result.recipe_hash, what tells whether another incarnation's trial is the
  // same. An empty hash: the worker is older and does not say.
  std::string candidate_hash;
  model::Purpose purpose = model::Purpose::kSearch;
  int64_t replicate = 0;
  bool succeeded = false;
  // Where succeeded: how, and at which rung it stopped or paused.
  model::SegmentEnd segment = model::SegmentEnd::kCompleted;
  int64_t rung = 0;
  model::TrialCheckpoint checkpoint;  // of a pause or a preemption: where the training can go on
  std::optional<model::FailureClass> failure;
  bool cancelled = false;  // the controller's own stop was carried out
  std::string message, log_tail;
  model::AttemptCost cost;
  model::ResultRecord result;                              // its metrics and provenance, where succeeded
  model::KnownOutcome known = model::KnownOutcome::kNone;  // the engine's to read
};

// A worker reports an outcome, asks for work, or both in one call.
struct WorkerExchange {
  uint64_t token = 0;
  std::string worker_id, request_id;
  int64_t slot = 0;
  std::optional<AttemptOutcome> outcome;
  bool wants_lease = false;
};

// A training has reached a rung; repeated until it is answered.
struct RungReport {
  uint64_t token = 0;
  std::string worker_id;
  std::string database_id;
  int64_t incarnation = 0;
  int64_t attempt_id = 0, trial_id = 0, fence = 0;
  int64_t rung = 0, epoch = 0;
  model::Metrics metrics;
  std::optional<model::RungReportRecord>
      known;  // what was accepted for that rung before: the engine's to read
};

// The caller of `token` has hung up or its long poll is over: it gets an empty reply.
struct PollEnded {
  uint64_t token = 0;
};

struct AttemptProgress {
  int64_t attempt_id = 0, fence = 0, step = 0, total_steps = 0;
};
struct WorkerHeartbeat {
  uint64_t token = 0;
  std::string worker_id;
  std::vector<AttemptProgress> attempts;
  std::vector<model::MeasurementRecord> measurements;
  // As in WorkerHello; 0: it leaves, and what it does not list is lost now.
  std::optional<int64_t> remaining_ms;
};

struct ProposalsReady {
  int64_t campaign_id = 0;
  int64_t refill_seen_seq = 0;
  StatusOr<ProposalBatch> batch;  // an error pauses the campaign
  int64_t space_version = 1;      // of the request
};

struct Tick {};

using Event = std::variant<LaunchCampaign, ReviseCampaign, CommandCampaign, WorkerHello, DrainWorker,
                           WorkerExchange, RungReport, PollEnded, WorkerHeartbeat, ProposalsReady, Tick>;

}  // namespace canopy::controller
