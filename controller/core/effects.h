#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/status.h"
#include "controller/core/events.h"
#include "storage/model/records.h"
#include "storage/model/set_aside_list.h"

namespace canopy::controller {

// What the core wants done. Writes go into one transaction in order; Reply and RequestProposals are
// carried out only after it is committed.

struct InsertCampaign {
  model::CampaignRecord campaign;
  model::CampaignProgress progress;
  std::optional<model::CandidateFacts> reference;
};
struct UpdateCampaign {
  int64_t campaign_id = 0;
  model::CampaignProgress progress;
};
// Everything but progress, id and time of creation.
struct ChangeCampaign {
  model::CampaignRecord campaign;
  std::optional<model::CandidateFacts> reference;
};
struct InsertSpaceVersion {
  model::SpaceVersion version;
  model::SetAsideList set_aside;
};
struct InsertTrial {
  model::TrialRecord trial;
};
// Writes what can change: state, failure, reason, retry counters, crash hosts, last attempt and fence, rung,
// checkpoint, finished_us.
struct UpdateTrial {
  model::TrialRecord trial;
};
struct InsertAttempt {
  model::AttemptRecord attempt;
};
// Writes what can change: state, segment, failure, message, log tail, result_id, cost, ended_us.
struct UpdateAttempt {
  model::AttemptRecord attempt;
};
struct InsertResult {
  model::ResultRecord result;
};
struct InsertRungReport {
  model::RungReportRecord report;
};
// What came too late or with a stale fence, kept for people.
struct ArchiveOutcome {
  AttemptOutcome outcome;
  std::string worker_id, why;
  int64_t wall_us = 0;
};
struct InsertMeasurements {
  std::vector<model::MeasurementRecord> measurements;
};
struct AppendEvent {
  model::EventRecord event;  // seq assigned by the core
};
struct SaveProposerState {
  int64_t campaign_id = 0, event_seq = 0, seen_seq = 0;
  std::string state;
};
struct UpsertWorker {
  model::WorkerRecord worker;
};
// Replaces the drain of that scope and name.
struct SaveDrain {
  model::Drain drain;
};
struct RemoveDrain {
  model::DrainScope scope = model::DrainScope::kWorker;
  std::string name;
};
struct SaveHealth {
  model::DeviceHealth health;  // without a blame: nothing is kept
};
// The next free number of each counter: what was handed out is below.
struct SaveCounters {
  int64_t next_campaign_id = 1, next_trial_id = 1, next_attempt_id = 1, next_fence = 1, next_event_seq = 1;
  int64_t share_time = 0;  // how far leases have come in the order of fair shares
};
using Write = std::variant<InsertCampaign, UpdateCampaign, ChangeCampaign, InsertSpaceVersion, InsertTrial,
                           UpdateTrial, InsertAttempt, UpdateAttempt, InsertResult, InsertRungReport,
                           ArchiveOutcome, InsertMeasurements, AppendEvent, SaveProposerState, UpsertWorker,
                           SaveDrain, RemoveDrain, SaveHealth, SaveCounters>;

// A trial handed to a worker.
struct Lease {
  model::AttemptRecord attempt;
  model::TrialRecord trial;
  model::CampaignRecord campaign;  // texts left out
  int64_t epochs = 0, max_steps = 0;
  // After which epochs it reports, as FidelitySchedule::Rungs has it; trial.rung of them are passed.
  std::vector<int64_t> rungs;
  // Derived from (campaign seed, replicate) alone, so that all candidates share them.
  uint64_t initialization_seed = 0, data_order_seed = 0, augmentation_seed = 0;
  int64_t ttl_ms = 0;
};

struct Launched {
  int64_t campaign_id = 0;
};
struct Revised {
  int64_t space_version = 1;
};
struct Commanded {
  model::CampaignState state = model::CampaignState::kRunning;
};
struct DrainChanged {
  bool drained = false;
  int64_t running_attempts = 0;  // that go on to their end
};
struct Welcomed {
  std::vector<int64_t> attempts_to_stop;
};
enum class OutcomeVerdict { kNone, kAccepted, kDuplicate, kArchived };
struct Exchanged {
  OutcomeVerdict verdict = OutcomeVerdict::kNone;
  std::optional<Lease> lease;
};
struct RungAnswered {
  model::RungAction action = model::RungAction::kContinue;
};
struct HeartbeatAnswered {
  int64_t interval_ms = 0, ttl_ms = 0;
  std::vector<int64_t> attempts_to_stop;
};
using ReplyBody = std::variant<Launched, Revised, Commanded, DrainChanged, Welcomed, Exchanged, RungAnswered,
                               HeartbeatAnswered>;

struct Reply {
  uint64_t token = 0;
  StatusOr<ReplyBody> body;
};
struct RequestProposals {
  int64_t campaign_id = 0, count = 0, seen_seq = 0;
  int64_t space_version = 1;
};
// A SEARCH result that later proposals of its campaign see: one that its space's version counts.
struct PublishResult {
  int64_t campaign_id = 0;
  ObservedResult result;
};

struct Effects {
  std::vector<Write> writes;
  std::vector<PublishResult> published;  // before `requests`
  std::vector<RequestProposals> requests;
  std::vector<Reply> replies;
};

}  // namespace canopy::controller
