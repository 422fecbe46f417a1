#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "controller/core/state.h"
#include "storage/model/failure_signature.h"

namespace canopy::controller {
namespace {

using model::AttemptState;
using model::FailureClass;
using model::Purpose;
using model::TrialState;

constexpr int64_t kRetriesAfterCrash = 1, kRetriesAfterTimeout = 1, kRetriesAfterInterruption = 50;

std::string Name(FailureClass failure) { return std::string(model::ToString(failure)); }

}  // namespace

OutcomeVerdict Core::Impl::TakeOutcome(const std::string& worker_id, const AttemptOutcome& outcome) {
  Worker& worker = workers.at(worker_id);
  const auto archive = [&](const std::string& why) {
    Write(ArchiveOutcome{outcome, worker_id, why, now.wall_us});
    Log(0, outcome.trial_id, outcome.attempt_id, "outcome_archived",
        nlohmann::json{{"why", why}, {"fence", outcome.fence}, {"result_id", outcome.result_id}}.dump());
    return OutcomeVerdict::kArchived;
  };
  for (const auto& [slot, result_id] : worker.last_result_ids)
    if (result_id == outcome.result_id) return OutcomeVerdict::kDuplicate;
  if (outcome.database_id != database_id || outcome.incarnation != incarnation)
    return archive("it belongs to another database or to a state before a restore");

  for (auto& [id, campaign] : campaigns) {
    const auto found = campaign.trials.find(outcome.trial_id);
    if (found == campaign.trials.end()) continue;
    model::TrialRecord& trial = found->second;
    // The newest lease counts even after it expired: nobody was given the trial since.
    if (trial.last_attempt_id != outcome.attempt_id || trial.last_fence != outcome.fence)
      return archive("a newer lease of the trial exists");
    const auto live = campaign.attempts.find(outcome.attempt_id);
    model::AttemptRecord attempt;
    if (live != campaign.attempts.end()) {
      if (live->second.record.worker_id != worker_id) return archive("the attempt is another worker's");
      attempt = live->second.record;
    } else if (trial.state == TrialState::kPending && outcome.succeeded) {
      attempt.id = outcome.attempt_id;
      attempt.trial_id = trial.id;
      attempt.campaign_id = campaign.id();
      attempt.worker_id = worker_id;
      attempt.fence = outcome.fence;
      attempt.host = worker.record.host;
    } else {
      return archive("the attempt has ended already");
    }
    attempt.result_id = outcome.result_id;
    attempt.log_tail = outcome.log_tail;
    attempt.message = outcome.message;
    attempt.cost = outcome.cost;
    attempt.ended_us = now.wall_us;
    attempt.state = outcome.succeeded   ? AttemptState::kSucceeded
                    : outcome.cancelled ? AttemptState::kCancelled
                                        : AttemptState::kFailed;
    if (attempt.state == AttemptState::kFailed)
      attempt.failure = outcome.failure.value_or(FailureClass::kTrainerCrash);
    worker.last_result_ids[attempt.slot] = outcome.result_id;
    if (live != campaign.attempts.end()) campaign.attempts.erase(live);
    Write(UpdateAttempt{attempt});
    Log(campaign.id(), trial.id, attempt.id, "attempt_ended",
        nlohmann::json{{"state", std::string(model::ToString(attempt.state))},
                       {"failure", attempt.failure ? Name(*attempt.failure) : ""},
                       {"message", attempt.message}}
            .dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
    NoteSignature(campaign, attempt);
    if (attempt.state == AttemptState::kSucceeded)
      AcceptResult(campaign, trial, attempt, outcome);
    else if (attempt.state == AttemptState::kCancelled)
      Requeue(campaign, trial, "its attempt was stopped");
    else
      ApplyFailure(campaign, trial, *attempt.failure, attempt.message, attempt.host);
    PauseIfAllFailAlike(campaign);
    Advance(campaign);
    return OutcomeVerdict::kAccepted;
  }
  return archive("the trial has ended already");
}

void Core::Impl::AcceptResult(Campaign& campaign, model::TrialRecord& trial,
                              const model::AttemptRecord& attempt, const AttemptOutcome& outcome) {
  const model::CampaignSettings& settings = campaign.settings();
  model::ResultRecord result = outcome.result;
  result.trial_id = trial.id;
  result.attempt_id = attempt.id;
  result.campaign_id = campaign.id();
  result.result_id = outcome.result_id;
  result.recipe_hash = settings.recipe_hash;
  result.received_us = now.wall_us;
  std::erase_if(result.metrics, [](const auto& metric) { return !std::isfinite(metric.second); });
  if (trial.purpose == Purpose::kSearch || trial.purpose == Purpose::kFinal) {
    const auto objective = result.metrics.find(settings.objective_metric);
    if (objective == result.metrics.end()) {
      ApplyFailure(campaign, trial, FailureClass::kDiverged,
                   "the objective " + settings.objective_metric + " is missing or not finite", attempt.host);
      return;
    }
    result.objective = objective->second;
  }
  const bool search = trial.purpose == Purpose::kSearch;
  const double score = !search                                             ? 0
                       : settings.objective_goal == model::Goal::kMaximize ? *result.objective
                                                                           : -*result.objective;
  if (search) result.seq = ++campaign.progress().last_result_seq;
  Write(InsertResult{result});
  Log(campaign.id(), trial.id, attempt.id, "result_accepted",
      nlohmann::json{{"seq", result.seq}, {"result_id", result.result_id}}.dump());
  if (search) {
    ++campaign.live.search_completed;
    campaign.live.search_busy_ms += attempt.cost.busy_ms;
    auto& best = campaign.live.best;
    const auto better = [&](const LiveCampaign::Best& a, const LiveCampaign::Best& b) {
      if (a.objective == b.objective) return a.trial_id < b.trial_id;
      return settings.objective_goal == model::Goal::kMaximize ? a.objective > b.objective
                                                               : a.objective < b.objective;
    };
    const LiveCampaign::Best entry{*result.objective, trial.id, trial.candidate};
    best.insert(std::upper_bound(best.begin(), best.end(), entry, better), entry);
    // One more than the finals take: the reference may be among them.
    if (best.size() > static_cast<size_t>(settings.finals_top) + 1) best.pop_back();
    effects.published.push_back(
        {campaign.id(),
         {result.seq, trial.candidate.candidate_json, trial.candidate.candidate_hash, true, score}});
  }
  if (trial.purpose == Purpose::kFinal) campaign.live.finals.push_back({trial, result, attempt.worker_id});
  if (trial.purpose == Purpose::kProxy) SettleFidelity(campaign, result, attempt.worker_id);
  EndTrial(campaign, trial.id, TrialState::kCompleted, "");
  SaveProgress(campaign);
}

void Core::Impl::ApplyFailure(Campaign& campaign, model::TrialRecord& trial, FailureClass failure,
                              const std::string& message, const std::string& host) {
  trial.failure = failure;
  const std::string reason = Name(failure) + ": " + message;
  switch (failure) {
    case FailureClass::kDiverged:
    case FailureClass::kOutOfMemory:
    case FailureClass::kInvalidCandidate: {
      if (trial.purpose == Purpose::kSearch) {
        // What a strategy learns: worse than every finite result.
        model::ResultRecord result;
        result.trial_id = trial.id;
        result.attempt_id = trial.last_attempt_id;
        result.campaign_id = campaign.id();
        result.feasible = false;
        result.seq = ++campaign.progress().last_result_seq;
        result.epochs = campaign.progress().epochs;
        result.recipe_hash = campaign.settings().recipe_hash;
        result.numeric_mode = campaign.settings().numeric_mode;
        result.received_us = now.wall_us;
        Write(InsertResult{result});
        effects.published.push_back(
            {campaign.id(),
             {result.seq, trial.candidate.candidate_json, trial.candidate.candidate_hash, false, 0}});
      }
      EndTrial(campaign, trial.id, TrialState::kInfeasible, reason);
      break;
    }
    case FailureClass::kTrainerCrash: {
      ++trial.crashes;
      const bool new_host =
          std::find(trial.crash_hosts.begin(), trial.crash_hosts.end(), host) == trial.crash_hosts.end();
      if (new_host) trial.crash_hosts.push_back(host);
      if (trial.crashes <= kRetriesAfterCrash) {
        Requeue(campaign, trial, reason);
        break;
      }
      std::set<std::string> hosts;
      for (const auto& [id, worker] : workers) hosts.insert(worker.record.host);
      const bool quarantined = trial.crash_hosts.size() >= 2 || hosts.size() < 2;
      EndTrial(campaign, trial.id, quarantined ? TrialState::kQuarantined : TrialState::kFailed, reason);
      break;
    }
    case FailureClass::kTimeout:
      if (++trial.timeouts <= kRetriesAfterTimeout)
        Requeue(campaign, trial, reason);
      else
        EndTrial(campaign, trial.id, TrialState::kFailed, reason);
      break;
    case FailureClass::kData: {
      for (auto& [id, worker] : workers)
        if (worker.record.host == host) worker.failed_datasets.insert(campaign.settings().task.dataset);
      Requeue(campaign, trial, reason);
      break;
    }
    case FailureClass::kPreempted:
    case FailureClass::kWorkerLost:
      if (++trial.interruptions <= kRetriesAfterInterruption)
        Requeue(campaign, trial, reason);
      else
        EndTrial(campaign, trial.id, TrialState::kFailed, reason);
      break;
  }
  SaveProgress(campaign);
}

void Core::Impl::Requeue(Campaign& campaign, model::TrialRecord& trial, const std::string& why) {
  if (trial.purpose == Purpose::kSearch && campaign.progress().finals_stage > 0 &&
      NoTimeForAnother(campaign)) {
    EndTrial(campaign, trial.id, TrialState::kCancelled, "no time was left to try it again after " + why);
    return;
  }
  trial.state = TrialState::kPending;
  trial.reason = why;
  Write(UpdateTrial{trial});
  Log(campaign.id(), trial.id, 0, "trial_requeued",
      nlohmann::json{{"why", why}}.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
}

void Core::Impl::EndTrial(Campaign& campaign, int64_t trial_id, TrialState state, const std::string& reason) {
  model::TrialRecord& trial = campaign.trials.at(trial_id);
  if (state == TrialState::kCompleted) trial.failure.reset();
  trial.state = state;
  trial.reason = reason;
  trial.finished_us = now.wall_us;
  Write(UpdateTrial{trial});
  Log(campaign.id(), trial_id, 0, "trial_ended",
      nlohmann::json{{"state", std::string(model::ToString(state))}, {"reason", reason}}.dump(
          -1, ' ', false, nlohmann::json::error_handler_t::replace));
  // The probe decides the fidelity: without it the smallest is taken.
  const bool probe_failed = trial.purpose == Purpose::kProxy && state != TrialState::kCompleted;
  if (probe_failed && !model::IsTerminal(campaign.progress().state) && campaign.progress().epochs == 0)
    SettleFidelity(campaign, {}, "");
  campaign.trials.erase(trial_id);
}

void Core::Impl::NoteSignature(Campaign& campaign, const model::AttemptRecord& attempt) {
  const std::optional<std::string> signature = model::FailureSignature(attempt);
  if (!signature || attempt.id < campaign.progress().signatures_from) return;
  auto& first = campaign.live.first_signatures;
  auto& last = campaign.live.last_signatures;
  if (first.size() < 5) first.push_back(*signature);
  last.push_back(*signature);
  if (last.size() > 20) last.erase(last.begin());
}

void Core::Impl::PauseIfAllFailAlike(Campaign& campaign) {
  if (!campaign.active()) return;
  const auto& first = campaign.live.first_signatures;
  const auto& last = campaign.live.last_signatures;
  std::string culprit, which;
  if (first.size() == 5 && !first[0].empty() && last.size() == 5 &&
      std::all_of(first.begin(), first.end(), [&](const std::string& s) { return s == first[0]; })) {
    culprit = first[0];
    which = "the first 5 attempts";
  } else if (last.size() == 20) {
    for (const std::string& candidate : last)
      if (!candidate.empty() && std::count(last.begin(), last.end(), candidate) >= 16) culprit = candidate;
    which = "at least 16 of the last 20 attempts";
  }
  if (culprit.empty()) return;
  SetState(campaign, model::CampaignState::kPaused, which + " failed alike: " + culprit, "campaign_paused");
}

}  // namespace canopy::controller
