#include "controller/engine/restore.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

namespace canopy::engine {
namespace {

using controller::CoreState;
using controller::LiveCampaign;
using storage::TrialStore;

Status LoadCounter(TrialStore& store, const std::string& name, int64_t* counter) {
  CANOPY_ASSIGN_OR_RETURN(const int64_t value, store.Counter(name));
  *counter = std::max<int64_t>(1, value);
  return absl::OkStatus();
}

LiveCampaign FromRows(TrialStore::LiveRows rows) {
  LiveCampaign live;
  live.campaign = std::move(rows.campaign);
  live.progress = std::move(rows.progress);
  live.reference = std::move(rows.reference);
  live.trials = std::move(rows.trials);
  live.attempts = std::move(rows.attempts);
  live.expired = std::move(rows.expired);
  live.reports = std::move(rows.reports);
  live.rung_scores = std::move(rows.rung_scores);
  live.best = RankedOf(std::move(rows.best));
  for (TrialStore::LiveRows::Finished& finished : rows.finals)
    live.finals.push_back({std::move(finished.trial), std::move(finished.result), finished.worker_id});
  live.first_signatures = std::move(rows.first_signatures);
  live.last_signatures = std::move(rows.last_signatures);
  live.trials_total = rows.trials_total;
  live.search_trials = rows.search_trials;
  live.search_completed = rows.search_completed;
  live.search_busy_ms = rows.search_busy_ms;
  live.search_device_ms = rows.search_device_ms;
  live.device_ms = rows.device_ms;
  return live;
}

}  // namespace

std::vector<controller::RankedCandidate> RankedOf(std::vector<TrialStore::LiveRows::Finished> rows) {
  std::vector<controller::RankedCandidate> ranked;
  for (TrialStore::LiveRows::Finished& finished : rows)
    ranked.push_back({finished.result.objective.value_or(0), finished.trial.id, finished.trial.busy_ms,
                      finished.trial.device_ms, std::move(finished.trial.candidate)});
  return ranked;
}

StatusOr<CoreState> LoadCoreState(TrialStore& store) {
  CoreState state;
  state.database_id = store.database_id();
  state.incarnation = store.incarnation();
  CANOPY_RETURN_IF_ERROR(LoadCounter(store, "next_campaign_id", &state.counters.next_campaign_id));
  CANOPY_RETURN_IF_ERROR(LoadCounter(store, "next_trial_id", &state.counters.next_trial_id));
  CANOPY_RETURN_IF_ERROR(LoadCounter(store, "next_attempt_id", &state.counters.next_attempt_id));
  CANOPY_RETURN_IF_ERROR(LoadCounter(store, "next_fence", &state.counters.next_fence));
  CANOPY_RETURN_IF_ERROR(LoadCounter(store, "next_event_seq", &state.counters.next_event_seq));
  CANOPY_ASSIGN_OR_RETURN(std::vector<TrialStore::LiveRows> campaigns, store.LoadLiveCampaigns());
  for (TrialStore::LiveRows& rows : campaigns) state.campaigns.push_back(FromRows(std::move(rows)));
  CANOPY_ASSIGN_OR_RETURN(state.counters.share_time, store.Counter("share_time"));
  CANOPY_ASSIGN_OR_RETURN(state.health, store.LoadHealth());
  CANOPY_ASSIGN_OR_RETURN(state.drains, store.LoadDrains());
  return state;
}

}  // namespace canopy::engine
