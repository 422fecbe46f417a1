#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <queue>
#include <utility>

#include "base/strings.h"
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
      const bool control = campaign.settings().finals_reference && final.trial.reference;
      finalists.push_back({final.trial.parent_trial_id, control, {}, 0});
      same = std::prev(finalists.end());
    }
    same->finals.push_back(&final);
    same->mean += final.result.objective.value_or(0);
  }
  for (Finalist& finalist : finalists) finalist.mean /= static_cast<double>(finalist.finals.size());
  return finalists;
}

// When slots that are given one trial after another have done them.
class SlotTimes {
 public:
  explicit SlotTimes(int64_t slots) : idle_(std::max<int64_t>(1, slots)) {}
  void Add(int64_t cost_ms, int64_t trials = 1) {
    for (int64_t i = 0; i < trials; ++i) {
      int64_t time_ms = cost_ms;
      if (idle_ > 0) {
        --idle_;
      } else {
        time_ms += times_.top();
        times_.pop();
      }
      times_.push(time_ms);
      last_ms_ = std::max(last_ms_, time_ms);
    }
  }
  int64_t Last() const { return last_ms_; }

 private:
  int64_t idle_, last_ms_ = 0;
  std::priority_queue<int64_t, std::vector<int64_t>, std::greater<>> times_;  // of the others, soonest first
};

// Of a budget in milliseconds, kept for TEST and MEASURE.
int64_t TestsMs(int64_t budget_ms) { return std::min<int64_t>(15'000, budget_ms / 10); }

// Trials alike differ a little, and so do the machine's other loads. Half of the budget is the search's,
// however dear a trial is: fewer finalists are taken then.
int64_t Reserve(int64_t finals_ms, int64_t budget_ms) {
  constexpr double kMargin = 1.15;
  return std::min(static_cast<int64_t>(static_cast<double>(finals_ms) * kMargin) + TestsMs(budget_ms),
                  budget_ms / 2);
}

}  // namespace

Core::Impl::Cost Core::Impl::FinalCost(const Campaign& campaign, const std::string& candidate_hash) const {
  for (const LiveCampaign::Best& best : campaign.live.best)
    if (best.candidate.candidate_hash == candidate_hash) return {best.busy_ms, best.device_ms};
  return MeanSearch(campaign);
}

bool Core::Impl::IsControl(const Campaign& campaign, const std::string& candidate_hash) const {
  return campaign.settings().finals_reference && candidate_hash == campaign.live.reference->candidate_hash;
}

Core::Impl::Cost Core::Impl::FinalsReserve(const Campaign& campaign) const {
  const model::CampaignSettings& settings = campaign.settings();
  if (settings.finals_top == 0 || campaign.live.search_completed == 0) return {};
  SlotTimes slots(PlannedSlots(campaign));
  int64_t device_ms = 0;
  const auto add = [&](const Cost& cost) {
    if (HasDeadline(campaign)) slots.Add(cost.busy_ms, settings.finals_seeds);
    device_ms += cost.device_ms * settings.finals_seeds;
  };
  if (settings.finals_reference) add(FinalCost(campaign, campaign.live.reference->candidate_hash));
  int64_t finalists = 0;
  for (const LiveCampaign::Best& best : campaign.live.best)
    if (finalists < settings.finals_top && !IsControl(campaign, best.candidate.candidate_hash)) {
      add({best.busy_ms, best.device_ms});
      ++finalists;
    }
  for (; finalists < settings.finals_top; ++finalists) add(MeanSearch(campaign));
  return {Reserve(slots.Last(), SpanMs(campaign)), Reserve(device_ms, settings.budget_device_ms)};
}

void Core::Impl::CloseSearch(Campaign& campaign, const std::string& why) {
  std::vector<int64_t> pending;
  for (const auto& [id, trial] : campaign.trials)
    if (trial.state == TrialState::kPending) pending.push_back(id);
  for (const int64_t id : pending) EndEarly(campaign, id, why);
  campaign.progress().refill_count = 0;
  campaign.progress().finals_stage = 1;
  NoteExpected(campaign);
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
  const bool bounded = HasDeadline(campaign) || HasDeviceBudget(campaign);
  if (campaign.settings().finals_top == 0) {
    if (bounded) TrimSearch(campaign);
    if (campaign.trials.empty()) SetState(campaign, CampaignState::kCompleted, "", "campaign_completed");
    return;
  }
  if (bounded) {
    if (progress.finals_stage == 1) TrimSearch(campaign);
    if (progress.finals_stage == 2) TrimFinals(campaign);
    if (progress.finals_stage == 3) TrimMeasurements(campaign);
  }
  if (progress.finals_stage == 1 && campaign.Count(Purpose::kSearch) == 0 &&
      campaign.Count(Purpose::kProxy) == 0) {
    if (campaign.live.best.empty()) {
      std::vector<int64_t> pending;
      for (const auto& [id, trial] : campaign.trials)
        if (trial.state == TrialState::kPending) pending.push_back(id);
      for (const int64_t id : pending)
        CancelTrial(campaign, id, "the search has no result to compare it with");
      if (!campaign.trials.empty()) return;  // what of them runs ends first
      SetState(campaign, CampaignState::kFailed, "no trial of the search completed", "campaign_failed");
      return;
    }
    if (HasDeadline(campaign) && !SlotsAreKnown(campaign)) return;  // how many it has time for
    AddFinalists(campaign);
  }
  if (progress.finals_stage == 2 && campaign.Count(Purpose::kFinal) == 0) ChooseWinner(campaign);
  if (progress.finals_stage == 3 && campaign.trials.empty())
    SetState(campaign, CampaignState::kCompleted, "", "campaign_completed");
}

int64_t Core::Impl::DeviceToCome(const Campaign& campaign) const {
  int64_t to_come_ms = 0;
  for (const auto& [id, attempt] : campaign.attempts) {
    const model::TrialRecord& trial = campaign.trials.at(attempt.record.trial_id);
    const double share = attempt.record.device_share * static_cast<double>(attempt.record.device_count);
    const double had_ms = share * static_cast<double>(now.monotonic_ms - attempt.granted_ms);
    to_come_ms += std::max<int64_t>(
        0, FinalCost(campaign, trial.candidate.candidate_hash).device_ms - std::llround(had_ms));
  }
  return to_come_ms;
}

void Core::Impl::AddFinalists(Campaign& campaign) {
  const model::CampaignSettings& settings = campaign.settings();
  const int64_t span_ms = SpanMs(campaign);
  const int64_t left = LeftMs(campaign) - TestsMs(span_ms) / 2;
  int64_t device_left = HasDeviceBudget(campaign) ? DeviceLeftMs(campaign) - DeviceToCome(campaign) -
                                                        TestsMs(settings.budget_device_ms) / 2
                                                  : INT64_MAX;
  SlotTimes slots(PlannedSlots(campaign));
  for (const auto& [id, attempt] : campaign.attempts) {
    const model::TrialRecord& trial = campaign.trials.at(attempt.record.trial_id);
    const int64_t cost = FinalCost(campaign, trial.candidate.candidate_hash).busy_ms;
    slots.Add(std::max<int64_t>(0, cost - (now.monotonic_ms - attempt.granted_ms)));
  }
  for (const auto& [id, trial] : campaign.trials) {
    if (trial.state != TrialState::kPending) continue;
    const Cost cost = FinalCost(campaign, trial.candidate.candidate_hash);
    slots.Add(cost.busy_ms);
    device_left -= cost.device_ms;
  }
  int64_t added = 0;
  std::vector<int64_t> dropped;
  const std::vector<LiveCampaign::Best> ranked = campaign.live.best;
  for (const LiveCampaign::Best& best : ranked) {
    if (added + static_cast<int64_t>(dropped.size()) == settings.finals_top) break;
    if (IsControl(campaign, best.candidate.candidate_hash)) continue;
    slots.Add(best.busy_ms, settings.finals_seeds);
    device_left -= best.device_ms * settings.finals_seeds;
    if (added > 0 && (!dropped.empty() || slots.Last() > left || device_left < 0)) {
      dropped.push_back(best.trial_id);
      continue;
    }
    AddFinals(campaign, best.trial_id, best.candidate);
    ++added;
  }
  if (!dropped.empty()) {
    const std::string over = slots.Last() > left
                                 ? "end " + FormatDuration(slots.Last() - left) + " after the budget's time"
                                 : "take " + FormatDuration(std::max<int64_t>(0, -device_left)) +
                                       " of device time more than the budget has";
    Log(campaign.id(), 0, 0, "finalists_dropped",
        nlohmann::json{{"trials", dropped}, {"why", "with them the finals would " + over}}.dump());
  }
  campaign.progress().finals_stage = 2;
  SaveProgress(campaign);
}

void Core::Impl::TrimSearch(Campaign& campaign) {
  const bool nothing_left = NothingForAnother(campaign);
  // Waiting on would leave the finals without a single finalist.
  const auto& best = campaign.live.best;
  const model::CampaignSettings& settings = campaign.settings();
  bool too_late = false;
  if (!best.empty() && settings.finals_top > 0) {
    SlotTimes one(PlannedSlots(campaign));
    one.Add(best[0].busy_ms, settings.finals_seeds);
    too_late = (HasDeadline(campaign) && SlotsAreKnown(campaign) &&
                LeftMs(campaign) - TestsMs(SpanMs(campaign)) <= one.Last()) ||
               (HasDeviceBudget(campaign) && DeviceLeftMs(campaign) - TestsMs(settings.budget_device_ms) <=
                                                 best[0].device_ms * settings.finals_seeds);
  }
  if (!nothing_left && !too_late) return;
  std::vector<int64_t> late;
  for (const auto& [id, trial] : campaign.trials)
    if (trial.purpose == Purpose::kSearch && (trial.state == TrialState::kLeased ? too_late : nothing_left))
      late.push_back(id);
  for (const int64_t id : late) CancelTrial(campaign, id, "the budget left nothing for it before the finals");
}

void Core::Impl::TrimFinals(Campaign& campaign) {
  const int64_t left = LeftMs(campaign) - TestsMs(SpanMs(campaign)) / 2;
  // One finalist, the furthest, is always waited for; of the reference one trial is.
  std::map<std::string, int64_t> progress;  // by candidate: done and running trials, the done ones weigh more
  const int64_t seeds = campaign.settings().finals_seeds;
  for (const LiveCampaign::Final& final : campaign.live.finals)
    progress[final.trial.candidate.candidate_hash] += seeds + 1;
  for (const auto& [id, trial] : campaign.trials)
    progress[trial.candidate.candidate_hash] += trial.state == TrialState::kLeased;
  std::string kept;
  int64_t furthest = -1;
  std::map<std::string, int64_t> seeds_of;  // done, or to come
  for (const LiveCampaign::Final& final : campaign.live.finals)
    ++seeds_of[final.trial.candidate.candidate_hash];
  for (const auto& [id, trial] : campaign.trials) ++seeds_of[trial.candidate.candidate_hash];
  const auto consider = [&](const std::string& hash) {
    if (IsControl(campaign, hash) || progress[hash] <= furthest || seeds_of[hash] < seeds) return;
    kept = hash;
    furthest = progress[hash];
  };
  for (const LiveCampaign::Best& best : campaign.live.best)
    if (progress.count(best.candidate.candidate_hash) > 0) consider(best.candidate.candidate_hash);
  const int64_t device_left = HasDeviceBudget(campaign) ? DeviceLeftMs(campaign) : INT64_MAX;
  int64_t device_rest = device_left;  // once what runs, and waits of the kept one, has had its part
  if (HasDeviceBudget(campaign)) {
    device_rest -= DeviceToCome(campaign);
    for (const auto& [id, trial] : campaign.trials)
      if (trial.state == TrialState::kPending && trial.candidate.candidate_hash == kept)
        device_rest -= FinalCost(campaign, kept).device_ms;
  }
  std::vector<int64_t> late;
  for (const auto& [id, trial] : campaign.trials) {
    const std::string& hash = trial.candidate.candidate_hash;
    if (trial.purpose != Purpose::kFinal || hash == kept) continue;
    const bool waits = trial.state == TrialState::kPending;
    const Cost cost = waits ? FinalCost(campaign, hash) : Cost();
    if (left > cost.busy_ms && (waits ? device_rest >= cost.device_ms : device_left > 0)) {
      device_rest -= cost.device_ms;
      continue;
    }
    if (IsControl(campaign, hash) && progress[hash] <= (waits ? 0 : seeds)) {
      progress[hash] += seeds + 1;  // this one is kept
      continue;
    }
    late.push_back(id);
  }
  for (const int64_t id : late) CancelTrial(campaign, id, "the budget leaves nothing for it");
}

void Core::Impl::TrimMeasurements(Campaign& campaign) {
  if (LeftMs(campaign) > 0 && (!HasDeviceBudget(campaign) || DeviceLeftMs(campaign) > 0)) return;
  std::vector<int64_t> late;
  for (const auto& [id, trial] : campaign.trials)
    if (trial.purpose == Purpose::kMeasure && trial.state == TrialState::kPending) late.push_back(id);
  for (const int64_t id : late) CancelTrial(campaign, id, "the budget leaves nothing for it");
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
  int64_t winner_trial_id = winner != nullptr ? winner->parent_trial_id : 0;
  // A search that came upon the reference and nothing else found that.
  for (const LiveCampaign::Best& best : campaign.live.best)
    for (const Finalist& finalist : finalists)
      if (winner == nullptr && finalist.reference && IsControl(campaign, best.candidate.candidate_hash)) {
        winner = &finalist;
        winner_trial_id = best.trial_id;
      }
  if (winner == nullptr) {
    SetState(campaign, CampaignState::kFailed, "no finalist completed its trials with every seed",
             "campaign_failed");
    return;
  }
  progress.winner_trial_id = winner_trial_id;
  progress.winner_is_reference = winner->reference;
  progress.winner_committed = true;
  SaveProgress(campaign);
  Log(campaign.id(), winner_trial_id, 0, "winner_committed",
      nlohmann::json{{"mean_objective", winner->mean},
                     {"seeds", winner->finals.size()},
                     {"is_reference", winner->reference}}
          .dump());
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
