#include "controller/service/worker_messages.h"

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>

#include "config/campaign.h"
#include "rpc/convert.h"

namespace canopy::controller {
namespace {

using nlohmann::json;

// More than a worker may send of what people read.
constexpr size_t kMaxMessageBytes = 16 * 1024, kMaxLogTailBytes = 64 * 1024;

// Its end, in whole characters of UTF-8.
std::string Cut(const std::string& text, size_t bytes) {
  if (text.size() <= bytes) return text;
  size_t begin = text.size() - bytes;
  while (begin < text.size() && (static_cast<unsigned char>(text[begin]) & 0xC0) == 0x80) ++begin;
  return text.substr(begin);
}

bool IsResultId(const std::string& id) {
  return id.size() == 32 && id.find_first_not_of("0123456789abcdef") == std::string::npos;
}

// The candidate's recipe decisions: launching made sure that none of its other decisions has the name of a
// field of the recipe.
StatusOr<std::string> MergedRecipe(const Lease& lease) {
  const std::string& fixed = lease.campaign.settings.recipe_json;
  const json recipe = json::parse(fixed, nullptr, false);
  const json candidate = json::parse(lease.trial.candidate.candidate_json, nullptr, false);
  if (!recipe.is_object() || !candidate.is_object())
    return Internal("trial " + std::to_string(lease.trial.id) +
                    ": its stored recipe or candidate is not JSON");
  json decisions = json::object();
  for (const auto& [name, value] : candidate.items())
    if (recipe.contains(name)) decisions[name] = value;
  return config::MergeRecipe(fixed, decisions.dump());
}

model::TrialCheckpoint FromProto(const v1::Checkpoint& checkpoint) {
  return {"", checkpoint.path(), checkpoint.sha256(), checkpoint.epoch(), checkpoint.step()};
}

}  // namespace

StatusOr<AttemptOutcome> FromProto(const v1::Outcome& outcome) {
  if (!IsResultId(outcome.result_id()))
    return InvalidArgument("outcome of attempt " + std::to_string(outcome.attempt_id()) + ": result_id '" +
                           outcome.result_id() + "', expected 32 hexadecimal digits");
  AttemptOutcome out;
  out.result_id = outcome.result_id();
  out.database_id = outcome.database_id();
  out.incarnation = outcome.incarnation();
  out.attempt_id = outcome.attempt_id();
  out.trial_id = outcome.trial_id();
  out.fence = outcome.fence();
  out.candidate_hash = outcome.candidate_hash();
  out.purpose = rpc::FromProto(outcome.purpose()).value_or(model::Purpose::kSearch);
  out.replicate = outcome.replicate();
  out.cost = rpc::FromProto(outcome.cost());
  out.log_tail = Cut(outcome.log_tail(), kMaxLogTailBytes);
  switch (outcome.end_case()) {
    case v1::Outcome::kResult:
      out.succeeded = true;
      out.result = rpc::FromProto(outcome.result());
      out.result.recipe_hash = outcome.recipe_hash();
      out.rung = outcome.result().stopped_at_rung();
      if (out.rung > 0) out.segment = model::SegmentEnd::kStopped;
      break;
    case v1::Outcome::kPaused:
      out.succeeded = true;
      out.segment = model::SegmentEnd::kPaused;
      out.rung = outcome.paused().rung();
      out.checkpoint = FromProto(outcome.paused().checkpoint());
      break;
    case v1::Outcome::kFailure:
      // A class of a newer agent: what ended is known, why is not.
      out.failure =
          rpc::FromProto(outcome.failure().failure_class()).value_or(model::FailureClass::kTrainerCrash);
      out.message = Cut(outcome.failure().message(), kMaxMessageBytes);
      out.checkpoint = FromProto(outcome.failure().checkpoint());
      break;
    case v1::Outcome::kCancelled:
      out.cancelled = true;
      break;
    case v1::Outcome::END_NOT_SET:
      return InvalidArgument("outcome of attempt " + std::to_string(outcome.attempt_id()) +
                             ": expected a result, a pause, a failure or a cancellation");
  }
  return out;
}

v1::RungAction ToProto(model::RungAction action) {
  switch (action) {
    case model::RungAction::kContinue:
      return v1::RUNG_ACTION_CONTINUE;
    case model::RungAction::kStop:
      return v1::RUNG_ACTION_STOP;
    case model::RungAction::kPause:
      return v1::RUNG_ACTION_PAUSE;
  }
  return v1::RUNG_ACTION_UNSPECIFIED;
}

v1::OutcomeVerdict ToProto(OutcomeVerdict verdict) {
  switch (verdict) {
    case OutcomeVerdict::kNone:
      return v1::OUTCOME_VERDICT_UNSPECIFIED;
    case OutcomeVerdict::kAccepted:
      return v1::OUTCOME_VERDICT_ACCEPTED;
    case OutcomeVerdict::kDuplicate:
      return v1::OUTCOME_VERDICT_DUPLICATE;
    case OutcomeVerdict::kArchived:
      return v1::OUTCOME_VERDICT_ARCHIVED;
  }
  return v1::OUTCOME_VERDICT_UNSPECIFIED;
}

StatusOr<v1::Lease> ToProto(const Lease& lease, const std::string& database_id, int64_t incarnation) {
  const model::CampaignSettings& settings = lease.campaign.settings;
  const model::TrialRecord& trial = lease.trial;
  v1::Lease out;
  CANOPY_ASSIGN_OR_RETURN(*out.mutable_recipe_json(), MergedRecipe(lease));
  out.set_attempt_id(lease.attempt.id);
  out.set_fence(lease.attempt.fence);
  out.set_trial_id(trial.id);
  out.set_campaign_id(lease.campaign.id);
  out.set_trial_name(lease.campaign.project + "/" + lease.campaign.name + "/" + std::to_string(trial.number));
  out.set_purpose(rpc::ToProto(trial.purpose));
  out.set_replicate(trial.replicate);
  out.set_candidate_hash(trial.candidate.candidate_hash);
  out.set_decisions_json(trial.candidate.candidate_json);
  out.set_graph_json(trial.candidate.graph_json);
  out.set_epochs(lease.epochs);
  out.set_max_steps(lease.max_steps);
  out.set_initialization_seed(lease.initialization_seed);
  out.set_data_order_seed(lease.data_order_seed);
  out.set_augmentation_seed(lease.augmentation_seed);
  out.set_numeric_mode(settings.numeric_mode);
  out.set_dataset(settings.task.dataset);
  out.set_dataset_digest(settings.task.dataset_digest);
  out.set_classes(settings.task.classes);
  out.set_validation_seed(settings.task.validation_seed);
  out.set_validation_count(settings.task.validation_count);
  out.set_weights_path(trial.weights_path);
  out.set_weights_sha256(trial.weights_sha256);
  out.set_cores(lease.attempt.cores);
  out.set_ttl_ms(lease.ttl_ms);
  out.set_database_id(database_id);
  out.set_incarnation(incarnation);
  out.set_recipe_hash(settings.recipe_hash);
  out.set_device_count(lease.attempt.device_count);
  out.mutable_rungs()->Add(lease.rungs.begin(), lease.rungs.end());
  if (!lease.rungs.empty()) out.set_rung(trial.rung);
  if (!trial.checkpoint.worker_id.empty() && trial.checkpoint.worker_id == lease.attempt.worker_id) {
    v1::Checkpoint& checkpoint = *out.mutable_checkpoint();
    checkpoint.set_path(trial.checkpoint.path);
    checkpoint.set_sha256(trial.checkpoint.sha256);
    checkpoint.set_epoch(trial.checkpoint.epoch);
    checkpoint.set_step(trial.checkpoint.step);
  }
  return out;
}

}  // namespace canopy::controller
