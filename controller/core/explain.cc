#include <algorithm>

#include "controller/core/state.h"

namespace canopy::controller {

using model::TrialState;

Core::TrialOutlook Core::Impl::Explain(int64_t trial_id) {
  TrialOutlook outlook;
  const auto owner = campaign_by_trial.find(trial_id);
  if (owner == campaign_by_trial.end()) return outlook;
  const Campaign& campaign = *owner->second;
  const model::TrialRecord& trial = campaign.trials.at(trial_id);
  outlook.live = true;
  outlook.campaign_state = std::string(model::ToString(campaign.progress().state));
  outlook.campaign_reason = campaign.progress().reason;
  if (trial.state == TrialState::kPaused) {
    outlook.rung = trial.rung;
    outlook.rung_since_us = campaign.reports.at(trial_id).received_us;
    outlook.rung_awaits = campaign.schedule->Awaited(trial_id, trial.rung);
  }
  if (trial.state != TrialState::kPending) return outlook;
  outlook.budget_is_taken = trial.purpose == model::Purpose::kSearch && RestIsTaken(campaign);
  outlook.fidelity_open = campaign.progress().epochs == 0 && trial.purpose != model::Purpose::kProxy;
  for (const auto& [id, other] : campaign.trials) {
    if (other.state != TrialState::kPending || id == trial_id) continue;
    const int rank = WaitingTrials::Rank(other.purpose), own = WaitingTrials::Rank(trial.purpose);
    outlook.trials_before += rank < own || (rank == own && id < trial_id);
  }
  if (!trial.checkpoint.worker_id.empty())
    outlook.checkpoint_patience_ms = std::max<int64_t>(1, PatienceMs(campaign, trial));
  for (const auto& [id, worker] : workers) {
    TrialOutlook::Verdict verdict{id, worker.record.host, false, false, ""};
    verdict.eligible = Eligible(worker, campaign, trial, &verdict.why);
    if (verdict.eligible) verdict.why.clear();
    verdict.free = polls.Has(id);
    outlook.workers.push_back(std::move(verdict));
  }
  if (!campaign.place) return outlook;
  for (const int64_t id : InOrderOfShares(grantable)) {
    const Campaign& other = campaigns.at(id);
    if (&other == &campaign) break;
    outlook.before.push_back({other.live.campaign.project + "/" + other.live.campaign.name,
                              static_cast<int64_t>(other.attempts.size()), other.settings().priority});
  }
  return outlook;
}

}  // namespace canopy::controller
