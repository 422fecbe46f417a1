#include <algorithm>
#include <nlohmann/json.hpp>
#include <numeric>
#include <utility>

#include "controller/core/state.h"

namespace canopy::controller {
namespace {

using model::CampaignState;
using model::Purpose;
using model::TrialState;

// FINAL trials of one candidate that completed.
struct Finalist {
  int64_t parent_trial_id = 0;
  bool reference = false;
  std::vector<const LiveCampaign::Final*> finals;
  double mean = 0;
};

std::vector<Finalist> Finalists(const Campaign& campaign) {
  std::vector<Finalist> finalists;
  for (const LiveCampaign::Final& final : campaign.live.finals) {
    auto same = std::find_if(finalists.begin(), finalists.end(), [&](const Finalist& finalist) {
      return finalist.finals[0]->trial.candidate.candidate_hash == final.trial.candidate.candidate_hash;
    });
    if (same == finalists.end()) {
      finalists.push_back({final.trial.parent_trial_id, final.trial.reference, {}, 0});
      same = std::prev(finalists.end());
    }
    same->finals.push_back(&final);
    same->mean += final.result.objective.value_or(0);
  }
  for (Finalist& finalist : finalists) finalist.mean /= static_cast<double>(finalist.finals.size());
  return finalists;
}

}  // namespace

int64_t Core::Impl::FinalsReserveMs(const Campaign& campaign) const {
  const model::CampaignSettings& settings = campaign.settings();
  if (settings.finals_top == 0 || campaign.live.search_completed == 0) return 0;
  // The best candidates are slower than the mean one, and TEST and MEASURE follow.
  constexpr double kSlower = 1.35;
  constexpr int64_t kTestsMs = 15'000;
  const int64_t trials = (settings.finals_top + (settings.finals_reference ? 1 : 0)) * settings.finals_seeds;
  const int64_t slots = std::max<int64_t>(1, KnownSlots());
  const int64_t waves = (trials + slots - 1) / slots;
  const double mean =
      static_cast<double>(campaign.live.search_busy_ms) / static_cast<double>(campaign.live.search_completed);
  const int64_t needed = static_cast<int64_t>(static_cast<double>(waves) * mean * kSlower) + kTestsMs;
  // Half of the time is the search's, however dear a trial is.
  return std::min(needed, settings.budget_duration_ms / 2);
}

void Core::Impl::CloseSearch(Campaign& campaign, const std::string& why) {
  std::vector<int64_t> pending;
  for (const auto& [id, trial] : campaign.trials)
    if (trial.state == TrialState::kPending) pending.push_back(id);
  for (const int64_t id : pending) EndTrial(campaign, id, TrialState::kCancelled, why);
  campaign.progress().refill_count = 0;
  campaign.progress().finals_stage = 1;
  SetState(campaign, CampaignState::kFinalizing, why, "campaign_finalizing");
  // The reference does not wait for the search's last results.
  if (campaign.settings().finals_top > 0 && campaign.settings().finals_reference)
    AddFinals(campaign, 0, *campaign.live.reference);
}

void Core::Impl::AddFinals(Campaign& campaign, int64_t parent_trial_id,
                           const model::CandidateFacts& candidate) {
  for (int64_t replicate = 1; replicate <= campaign.settings().finals_seeds; ++replicate) {
    model::TrialRecord trial;
    trial.purpose = Purpose::kFinal;
    trial.candidate = candidate;
    trial.replicate = replicate;  // 0 is the search's own
    trial.parent_trial_id = parent_trial_id;
    AddTrial(campaign, std::move(trial));
  }
  SaveProgress(campaign);
}

void Core::Impl::AdvanceFinals(Campaign& campaign) {
  model::CampaignProgress& progress = campaign.progress();
  if (campaign.settings().finals_top == 0) {
    if (campaign.trials.empty()) SetState(campaign, CampaignState::kCompleted, "", "campaign_completed");
    return;
  }
  if (progress.finals_stage == 1 && campaign.Count(Purpose::kSearch) == 0 &&
      campaign.Count(Purpose::kProxy) == 0) {
    if (campaign.live.best.empty()) {
      if (!campaign.trials.empty()) return;  // the reference's finals end first
      SetState(campaign, CampaignState::kFailed, "no trial of the search completed", "campaign_failed");
      return;
    }
    AddFinalists(campaign);
  }
  if (progress.finals_stage == 2 && campaign.Count(Purpose::kFinal) == 0) ChooseWinner(campaign);
  if (progress.finals_stage == 3 && campaign.trials.empty())
    SetState(campaign, CampaignState::kCompleted, "", "campaign_completed");
}

void Core::Impl::AddFinalists(Campaign& campaign) {
  int64_t added = 0;
  for (const LiveCampaign::Best& best : campaign.live.best) {
    if (added == campaign.settings().finals_top) break;
    const bool is_reference = campaign.settings().finals_reference &&
                              best.candidate.candidate_hash == campaign.live.reference->candidate_hash;
    if (is_reference) continue;
    AddFinals(campaign, best.trial_id, best.candidate);
    ++added;
  }
  campaign.progress().finals_stage = 2;
  SaveProgress(campaign);
}

void Core::Impl::ChooseWinner(Campaign& campaign) {
  model::CampaignProgress& progress = campaign.progress();
  progress.finals_stage = 3;
  const bool maximize = campaign.settings().objective_goal == model::Goal::kMaximize;
  const std::vector<Finalist> finalists = Finalists(campaign);
  const Finalist* winner = nullptr;
  for (const Finalist& finalist : finalists) {
    const bool complete = static_cast<int64_t>(finalist.finals.size()) == campaign.settings().finals_seeds;
    if (finalist.reference || !complete) continue;
    if (winner == nullptr || (maximize ? finalist.mean > winner->mean : finalist.mean < winner->mean))
      winner = &finalist;
  }
  if (winner == nullptr) {
    SetState(campaign, CampaignState::kFailed, "no finalist completed its trials with every seed",
             "campaign_failed");
    return;
  }
  progress.winner_trial_id = winner->parent_trial_id;
  progress.winner_committed = true;
  SaveProgress(campaign);
  Log(campaign.id(), winner->parent_trial_id, 0, "winner_committed",
      nlohmann::json{{"mean_objective", winner->mean}, {"seeds", winner->finals.size()}}.dump());
  const auto add = [&](Purpose purpose, const LiveCampaign::Final& final) {
    model::TrialRecord trial;
    trial.purpose = purpose;
    trial.candidate = final.trial.candidate;
    trial.replicate = final.trial.replicate;
    trial.parent_trial_id = final.trial.id;
    trial.required_worker_id = final.worker_id;
    trial.weights_path = final.result.weights_path;
    trial.weights_sha256 = final.result.weights_sha256;
    AddTrial(campaign, std::move(trial));
  };
  for (const Finalist& finalist : finalists)
    if (&finalist == winner || finalist.reference)
      for (const LiveCampaign::Final* final : finalist.finals) add(Purpose::kTest, *final);
  for (const Finalist& finalist : finalists) add(Purpose::kMeasure, *finalist.finals[0]);
  SaveProgress(campaign);
}

}  // namespace canopy::controller
