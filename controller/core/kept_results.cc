#include <nlohmann/json.hpp>
#include <string>

#include "base/mutant.h"
#include "controller/core/state.h"

namespace canopy::controller {
namespace {

using model::AttemptState;

bool SameSeeds(const std::string& seeds_json, const Lease& lease) {
  return nlohmann::json::parse(seeds_json, nullptr, false) ==
         nlohmann::json{{"initialization", std::to_string(lease.initialization_seed)},
                        {"data_order", std::to_string(lease.data_order_seed)},
                        {"augmentation", std::to_string(lease.augmentation_seed)}};
}

// What the outcome measured differently from what a lease of the trial would measure now; empty: nothing.
std::string Difference(const AttemptOutcome& outcome, const Lease& lease) {
  const model::CampaignSettings& settings = lease.campaign.settings;
  const model::ResultRecord& result = outcome.result;
  const std::string& digest = settings.task.dataset_digest;
  if (outcome.candidate_hash != lease.trial.candidate.candidate_hash) return "candidate";
  if (outcome.purpose != lease.trial.purpose) return "purpose";
  if (outcome.replicate != lease.trial.replicate) return "replicate";
  if (result.recipe_hash != settings.recipe_hash) return "recipe";
  if (result.epochs != lease.epochs) return "number of epochs";
  if (result.numeric_mode != settings.numeric_mode) return "numeric mode";
  if (!digest.empty() && result.dataset_digest != digest) return "dataset";
  if (!SameSeeds(result.seeds_json, lease)) return "seeds";
  return "";
}

// Where the outcome is what the backup saw begin, its time is charged with the outcome, and once.
void LeaveChargeTo(const AttemptOutcome& outcome, const std::string& worker_id, Campaign& campaign,
                   model::AttemptRecord& attempt) {
  if (attempt.id != outcome.attempt_id || attempt.fence != outcome.fence || attempt.worker_id != worker_id)
    return;
  campaign.live.device_ms -= attempt.DeviceMs();
  attempt.cost.allocated_ms = 0;
}

}  // namespace

std::string Core::Impl::AdoptKept(const std::string& worker_id, AttemptOutcome& outcome) {
  if (!outcome.succeeded || outcome.segment != model::SegmentEnd::kCompleted)
    return "it is from before a restore, and no result";
  const auto found = campaign_by_trial.find(outcome.trial_id);
  if (found == campaign_by_trial.end())
    return "it is from before a restore, and its trial has ended or is not known since";
  Campaign& campaign = *found->second;
  model::TrialRecord& trial = campaign.trials.at(outcome.trial_id);
  const std::string difference = Difference(outcome, MakeLease(campaign, trial, {}));
  if (!difference.empty() && kMutant != Mutant::kAdoptUnlike)
    return "it is from before a restore, and since then the trial of its number has another " + difference;
  if (campaign.attempts.count(trial.last_attempt_id) > 0) {
    LiveAttempt other = ForgetAttempt(campaign, trial.last_attempt_id);
    EndAttempt(campaign, other, AttemptState::kSuperseded,
               "a worker had kept a result of the trial from before a restore");
    LeaveChargeTo(outcome, worker_id, campaign, other.record);
    Write(UpdateAttempt{other.record});
    Log(campaign.id(), trial.id, other.record.id, "attempt_ended",
        nlohmann::json{{"state", std::string(model::ToString(other.record.state))},
                       {"message", other.record.message}}
            .dump());
  }
  if (const auto expired = campaign.expired.find(trial.id); expired != campaign.expired.end())
    LeaveChargeTo(outcome, worker_id, campaign, expired->second.record);
  const LiveAttempt& attempt =
      BeginAttempt("kept/" + outcome.result_id, kNoSlot, workers.at(worker_id), campaign, trial);
  Log(campaign.id(), trial.id, attempt.record.id, "kept_result_adopted",
      nlohmann::json{{"worker", worker_id},
                     {"fence", attempt.record.fence},
                     {"result_id", outcome.result_id},
                     {"from_incarnation", outcome.incarnation}}
          .dump(),
      "worker:" + worker_id);
  outcome.attempt_id = attempt.record.id;
  outcome.fence = attempt.record.fence;
  outcome.incarnation = incarnation;
  return "";
}

}  // namespace canopy::controller
