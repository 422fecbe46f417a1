#include <algorithm>
#include <iterator>

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
  const WaitingTrials::Key own(WaitingTrials::Rank(trial.purpose), trial_id);
  for (const auto& [needs, alike] : campaign.waiting.by_needs())
    outlook.trials_before += std::distance(alike.begin(), alike.lower_bound(own));
  if (!trial.checkpoint.worker_id.empty())
    outlook.checkpoint_patience_ms = std::max<int64_t>(1, PatienceMs(campaign, trial));
  const auto judge = [&](const Worker& worker, bool free, size_t count) {
    TrialOutlook::Verdict verdict{worker.record.id,           worker.record.host, false, free, "",
                                  static_cast<int64_t>(count)};
    verdict.eligible = Eligible(worker, campaign, trial, &verdict.why);
    if (verdict.eligible) verdict.why.clear();
    outlook.workers.push_back(std::move(verdict));
  };
  constexpr size_t kEachShown = 200, kBeforeShown = 20;
  const WaitingTrials::Needs needs = WaitingTrials::NeedsOf(trial);
  if (workers.size() <= kEachShown) {
    for (const auto& [id, worker] : workers) judge(worker, polls.Has(id), 1);
  } else {
    const auto bound = workers.find(needs.worker);
    if (bound != workers.end()) judge(bound->second, polls.Has(bound->first), 1);
    for (const auto& [key, kind] : kinds) {
      const bool counted = bound != workers.end() && bound->second.kind == &kind;
      if (kind.workers.size() > counted)
        judge(StandIn(kind, needs), !kind.polls.empty(), kind.workers.size() - counted);
    }
  }
  if (!campaign.place) return outlook;
  for (const int64_t id : InOrderOfShares(grantable)) {
    const Campaign& other = campaigns.at(id);
    if (&other == &campaign) break;
    if (++outlook.campaigns_before > static_cast<int64_t>(kBeforeShown)) continue;
    outlook.before.push_back({other.live.campaign.project + "/" + other.live.campaign.name,
                              static_cast<int64_t>(other.attempts.size()), other.settings().priority});
  }
  return outlook;
}

}  // namespace canopy::controller
