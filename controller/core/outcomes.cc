#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "base/mutant.h"
#include "controller/core/state.h"
#include "storage/model/failure_signature.h"

namespace canopy::controller {
namespace {

using model::AttemptState;
using model::FailureClass;
using model::Purpose;
using model::TrialState;

constexpr int64_t kRetriesAfterCrash = 1, kRetriesAfterTimeout = 1, kRetriesAfterInterruption = 50,
                  kRetriesOnMoreMemory = 1, kRetriesAfterData = 10;
constexpr size_t kFirstSignatures = 5, kLastSignatures = 20, kAlike = 16;

std::string Name(FailureClass failure) { return std::string(model::ToString(failure)); }

bool NeedsObjective(Purpose purpose) { return purpose == Purpose::kSearch || purpose == Purpose::kFinal; }

// A success whose objective is missing or not finite has diverged.
void Judge(AttemptOutcome& outcome, Purpose purpose, const std::string& metric) {
  const auto objective = outcome.result.metrics.find(metric);
  const bool has_it = objective != outcome.result.metrics.end() && std::isfinite(objective->second);
  const bool in_full = outcome.succeeded && outcome.segment == model::SegmentEnd::kCompleted;
  if (!in_full || has_it || !NeedsObjective(purpose)) return;
  outcome.succeeded = false;
  outcome.failure = FailureClass::kDiverged;
  outcome.message = "the objective " + metric + " is missing or not finite";
}

}  // namespace

OutcomeVerdict Core::Impl::TakeOutcome(const std::string& worker_id, AttemptOutcome outcome) {
  const std::string principal = "worker:" + worker_id;
  const auto archive = [&](const std::string& why) {
    Write(ArchiveOutcome{outcome, worker_id, why, now.wall_us});
    Log(0, outcome.trial_id, outcome.attempt_id, "outcome_archived",
        nlohmann::json{{"why", why}, {"fence", outcome.fence}, {"result_id", outcome.result_id}}.dump(),
        principal);
    return OutcomeVerdict::kArchived;
  };
  if (kMutant != Mutant::kSkipDuplicateCheck) {
    if (outcome.known == model::KnownOutcome::kCounted) return OutcomeVerdict::kDuplicate;
    if (outcome.known == model::KnownOutcome::kArchived) return OutcomeVerdict::kArchived;
  }
  if (kMutant != Mutant::kIgnoreIncarnation) {
    if (outcome.database_id != database_id || outcome.incarnation > incarnation)
      return archive("it belongs to another database");
    if (outcome.incarnation < incarnation)
      if (const std::string why = AdoptKept(worker_id, outcome); !why.empty()) return archive(why);
  }

  if (const auto found = campaign_by_trial.find(outcome.trial_id); found != campaign_by_trial.end()) {
    Campaign& campaign = *found->second;
    model::TrialRecord& trial = campaign.trials.at(outcome.trial_id);
    if (kMutant == Mutant::kSkipFence) {
      outcome.attempt_id = trial.last_attempt_id;
      outcome.fence = trial.last_fence;
    }
    // The newest lease counts even after it expired: nobody was given the trial since.
    if (trial.last_attempt_id != outcome.attempt_id || trial.last_fence != outcome.fence)
      return archive("a newer lease of the trial exists");
    const auto live = campaign.attempts.find(outcome.attempt_id);
    const auto expired = campaign.expired.find(trial.id);
    model::AttemptRecord attempt;
    if (live != campaign.attempts.end())
      attempt = live->second.record;
    else if (expired != campaign.expired.end() && (outcome.succeeded || !outcome.checkpoint.path.empty()))
      attempt = expired->second.record;
    else
      return archive("the attempt has ended already");
    if (attempt.worker_id != worker_id && kMutant != Mutant::kSkipFence)
      return archive("the attempt is another worker's");
    Judge(outcome, trial.purpose, campaign.settings().objective_metric);
    attempt.result_id = outcome.result_id;
    attempt.log_tail = outcome.log_tail;
    attempt.message = outcome.message;
    campaign.live.device_ms -= attempt.DeviceMs();
    attempt.cost = outcome.cost;
    campaign.live.device_ms += attempt.DeviceMs();
    attempt.ended_us = now.wall_us;
    attempt.state = outcome.succeeded   ? AttemptState::kSucceeded
                    : outcome.cancelled ? AttemptState::kCancelled
                                        : AttemptState::kFailed;
    attempt.segment.reset();
    if (outcome.succeeded) {
      attempt.segment = outcome.segment;
      trial.busy_ms += outcome.cost.busy_ms;
      trial.device_ms += attempt.DeviceMs();
    }
    attempt.failure.reset();
    if (attempt.state == AttemptState::kFailed)
      attempt.failure = outcome.failure.value_or(FailureClass::kTrainerCrash);
    if (attempt.failure == FailureClass::kPreempted && !outcome.checkpoint.path.empty()) {
      attempt.segment = model::SegmentEnd::kPreempted;
      trial.busy_ms += outcome.cost.busy_ms;
      trial.device_ms += attempt.DeviceMs();
      trial.checkpoint = outcome.checkpoint;
      trial.checkpoint.worker_id = worker_id;
    }
    ForgetExpired(campaign, trial.id);
    if (live != campaign.attempts.end()) ForgetAttempt(campaign, attempt.id);
    Write(UpdateAttempt{attempt});
    Log(campaign.id(), trial.id, attempt.id, "attempt_ended",
        nlohmann::json{{"state", std::string(model::ToString(attempt.state))},
                       {"failure", attempt.failure ? Name(*attempt.failure) : ""},
                       {"message", attempt.message}}
            .dump(-1, ' ', false, nlohmann::json::error_handler_t::replace),
        principal);
    NoteSignature(campaign, attempt, trial.candidate.candidate_hash);
    if (attempt.segment == model::SegmentEnd::kCompleted)
      AcceptResult(campaign, trial, attempt, outcome);
    else if (outcome.succeeded)
      TakeSegment(campaign, trial, attempt, outcome);
    else if (attempt.state == AttemptState::kCancelled)
      Requeue(campaign, trial, "its attempt was stopped");
    else {
      NoteFailedOn(trial, attempt);
      ApplyFailure(campaign, trial, attempt);
    }
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
  if (NeedsObjective(trial.purpose)) result.objective = result.metrics.at(settings.objective_metric);
  const bool search = trial.purpose == Purpose::kSearch;
  const double score = !search                                             ? 0
                       : settings.objective_goal == model::Goal::kMaximize ? *result.objective
                                                                           : -*result.objective;
  if (search) result.seq = ++campaign.progress().last_result_seq;
  InsertAndLog(result, trial, "worker:" + attempt.worker_id);
  NotePassed(campaign, trial, attempt);
  if (search) {
    ++campaign.live.search_completed;
    campaign.live.search_busy_ms += trial.busy_ms;
    campaign.live.search_device_ms += trial.device_ms;
  }
  if (search && trial.set_aside.empty()) {
    AddToBest(campaign, *result.objective, trial);
    effects.published.push_back(
        {campaign.id(),
         {result.seq, trial.candidate.candidate_json, trial.candidate.candidate_hash, true, score}});
  }
  if (trial.purpose == Purpose::kFinal) {
    // In the order of their ids, as a restart finds them.
    auto& finals = campaign.live.finals;
    const auto after = std::find_if(finals.begin(), finals.end(), [&](const LiveCampaign::Final& other) {
      return other.trial.id > trial.id;
    });
    LiveCampaign::Final final{trial, result, attempt.worker_id};
    finals.insert(after, std::move(final));
  }
  if (trial.purpose == Purpose::kProxy) SettleFidelity(campaign, result, attempt.worker_id);
  NoteExpected(campaign);
  EndTrial(campaign, trial.id, TrialState::kCompleted, "");
  SaveProgress(campaign);
}

void Core::Impl::InsertAndLog(const model::ResultRecord& result, const model::TrialRecord& trial,
                              const std::string& principal) {
  Write(InsertResult{result});
  nlohmann::json payload = {{"seq", result.seq},
                            {"feasible", result.feasible},
                            {"objective", nullptr},
                            {"candidate_hash", trial.candidate.candidate_hash}};
  if (result.objective) payload["objective"] = *result.objective;
  if (result.rung > 0) payload["rung"] = result.rung;
  Log(result.campaign_id, trial.id, result.attempt_id, "result_accepted", payload.dump(), principal);
}

void Core::Impl::AddToBest(Campaign& campaign, double objective, const model::TrialRecord& trial) {
  using Best = LiveCampaign::Best;
  const model::CampaignSettings& settings = campaign.settings();
  const auto better = [&](const Best& a, const Best& b) {
    if (a.objective == b.objective) return a.trial_id < b.trial_id;
    return settings.objective_goal == model::Goal::kMaximize ? a.objective > b.objective
                                                             : a.objective < b.objective;
  };
  Best entry{objective, trial.id, trial.busy_ms, trial.device_ms, {}};
  auto& best = campaign.live.best;
  // One more than the finals take: the reference may be among them.
  const size_t most = static_cast<size_t>(settings.finals_top) + 1;
  if (best.size() >= most && better(best.back(), entry)) return;
  // Replicates of one candidate are one entry.
  const auto same = std::find_if(best.begin(), best.end(), [&](const Best& other) {
    return other.candidate.candidate_hash == trial.candidate.candidate_hash;
  });
  if (same != best.end()) {
    if (better(*same, entry)) return;
    best.erase(same);
  }
  entry.candidate = trial.candidate;
  best.insert(std::upper_bound(best.begin(), best.end(), entry, better), std::move(entry));
  if (best.size() > most) best.pop_back();
}

void Core::Impl::ApplyFailure(Campaign& campaign, model::TrialRecord& trial,
                              const model::AttemptRecord& attempt) {
  const std::string reason = Name(*attempt.failure) + ": " + attempt.message;
  // What it had to say it has said.
  if (trial.rung_action == model::RungAction::kStop) return Requeue(campaign, trial, reason);
  trial.failure = attempt.failure;
  // It may be what it went on from that made it fail.
  if (*attempt.failure != FailureClass::kPreempted && *attempt.failure != FailureClass::kWorkerLost)
    GiveUpCheckpoint(campaign, trial, reason);
  switch (*attempt.failure) {
    case FailureClass::kOutOfMemory: {
      const auto worker = workers.find(attempt.worker_id);
      if (worker != workers.end())
        trial.out_of_memory_bytes = std::max(trial.out_of_memory_bytes, worker->second.record.memory_bytes);
      if (++trial.out_of_memory <= kRetriesOnMoreMemory && AnyFits(campaign, trial)) {
        Requeue(campaign, trial, reason);
        break;
      }
      [[fallthrough]];
    }
    case FailureClass::kDiverged:
    case FailureClass::kInvalidCandidate: {
      EndInfeasible(campaign, trial, attempt.id, "worker:" + attempt.worker_id, reason);
      break;
    }
    case FailureClass::kTrainerCrash:
      ApplyCrash(campaign, trial, attempt.host, reason);
      break;
    case FailureClass::kTimeout:
      if (++trial.timeouts <= kRetriesAfterTimeout)
        Requeue(campaign, trial, reason);
      else
        EndTrial(campaign, trial.id, TrialState::kFailed, reason);
      break;
    case FailureClass::kData:
      // Where only one worker has the weights, it is they that are missing or damaged, and no other helps.
      if (!trial.required_worker_id.empty()) {
        EndTrial(campaign, trial.id, TrialState::kFailed, reason);
        break;
      }
      if (const auto host = workers_by_host.find(attempt.host); host != workers_by_host.end()) {
        for (const std::string& worker_id : host->second) {
          Worker& worker = workers.at(worker_id);
          if (worker.failed_datasets.insert(campaign.settings().task.dataset).second) KeepKind(worker);
        }
        OfferCrashed();
      }
      if (++trial.data_failures <= kRetriesAfterData)
        Requeue(campaign, trial, reason);
      else
        EndTrial(campaign, trial.id, TrialState::kFailed, reason);
      break;
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

void Core::Impl::EndInfeasible(Campaign& campaign, model::TrialRecord& trial, int64_t attempt_id,
                               const std::string& principal, const std::string& reason) {
  if (trial.purpose == Purpose::kSearch) {
    // What a strategy learns: worse than every finite result.
    model::ResultRecord result;
    result.trial_id = trial.id;
    result.attempt_id = attempt_id;
    result.campaign_id = campaign.id();
    result.feasible = false;
    result.seq = ++campaign.progress().last_result_seq;
    result.epochs = campaign.progress().epochs;
    result.recipe_hash = campaign.settings().recipe_hash;
    result.numeric_mode = campaign.settings().numeric_mode;
    result.received_us = now.wall_us;
    InsertAndLog(result, trial, principal);
    if (trial.set_aside.empty())
      effects.published.push_back(
          {campaign.id(),
           {result.seq, trial.candidate.candidate_json, trial.candidate.candidate_hash, false, 0}});
  }
  EndTrial(campaign, trial.id, TrialState::kInfeasible, reason);
}

void Core::Impl::ApplyCrash(Campaign& campaign, model::TrialRecord& trial, const std::string& host,
                            const std::string& reason) {
  ++trial.crashes;
  if (std::find(trial.crash_hosts.begin(), trial.crash_hosts.end(), host) == trial.crash_hosts.end())
    trial.crash_hosts.push_back(host);
  if (trial.crashes <= kRetriesAfterCrash) {
    Requeue(campaign, trial, reason);
    return;
  }
  std::set<std::string> hosts;
  std::string ignored;
  for (const auto& [id, worker] : workers)
    if (Fits(worker, campaign, trial, &ignored)) hosts.insert(worker.record.host);
  const bool quarantined = trial.crash_hosts.size() >= 2 || hosts.size() < 2;
  EndTrial(campaign, trial.id, quarantined ? TrialState::kQuarantined : TrialState::kFailed, reason);
}

void Core::Impl::Requeue(Campaign& campaign, model::TrialRecord& trial, const std::string& why) {
  if (trial.rung_action == model::RungAction::kStop)
    return EndStopped(campaign, trial,
                      "the fidelity schedule stopped it at rung " + std::to_string(trial.rung));
  if (trial.rung_action == model::RungAction::kPause) return Pause(campaign, trial);
  if (trial.purpose == Purpose::kSearch && campaign.progress().finals_stage > 0 &&
      NothingForAnother(campaign)) {
    EndEarly(campaign, trial.id, "the budget left nothing to try it again after " + why);
    return;
  }
  if (!trial.set_aside.empty()) {
    EndEarly(campaign, trial.id,
             "the space's current version sets it aside, and it is not tried again after " + why);
    return;
  }
  trial.reason = why;
  SetTrialState(campaign, trial, TrialState::kPending);
  WriteTrial(trial);
  Log(campaign.id(), trial.id, 0, "trial_requeued",
      nlohmann::json{{"why", why}}.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
}

void Core::Impl::EndTrial(Campaign& campaign, int64_t trial_id, TrialState state, const std::string& reason) {
  model::TrialRecord& trial = campaign.trials.at(trial_id);
  if (state == TrialState::kCompleted) trial.failure.reset();
  SetTrialState(campaign, trial, state);
  trial.reason = reason;
  trial.finished_us = now.wall_us;
  WriteTrial(trial);
  Log(campaign.id(), trial_id, 0, "trial_ended",
      nlohmann::json{{"state", std::string(model::ToString(state))}, {"reason", reason}}.dump(
          -1, ' ', false, nlohmann::json::error_handler_t::replace));
  // The probe decides the fidelity: without it the smallest is taken.
  const bool probe_failed = trial.purpose == Purpose::kProxy && state != TrialState::kCompleted;
  if (probe_failed && !model::IsTerminal(campaign.progress().state) && campaign.progress().epochs == 0)
    SettleFidelity(campaign, {}, "");
  ForgetTrial(campaign, trial_id);
}

void Core::Impl::CancelTrial(Campaign& campaign, int64_t trial_id, const std::string& reason) {
  const int64_t attempt_id = campaign.trials.at(trial_id).last_attempt_id;
  if (campaign.attempts.count(attempt_id) > 0) {
    LiveAttempt attempt = ForgetAttempt(campaign, attempt_id);
    EndAttempt(campaign, attempt, AttemptState::kCancelled, reason);
    Write(UpdateAttempt{attempt.record});
    Log(campaign.id(), trial_id, attempt_id, "attempt_ended",
        nlohmann::json{{"state", "CANCELLED"}, {"failure", ""}, {"message", reason}}.dump());
  }
  EndEarly(campaign, trial_id, reason);
}

void Core::Impl::NoteSignature(Campaign& campaign, const model::AttemptRecord& attempt,
                               const std::string& candidate_hash) {
  const std::optional<std::string> signature = model::FailureSignature(attempt);
  if (!signature || attempt.id < campaign.progress().signatures_from) return;
  auto& first = campaign.live.first_signatures;
  auto& last = campaign.live.last_signatures;
  if (first.size() < kFirstSignatures) first.push_back(*signature);
  std::erase_if(last, [&](const model::EndSignature& end) { return end.candidate_hash == candidate_hash; });
  last.push_back({*signature, candidate_hash});
  if (last.size() > kLastSignatures) last.erase(last.begin());
}

void Core::Impl::PauseIfAllFailAlike(Campaign& campaign) {
  if (!campaign.active()) return;
  const auto& first = campaign.live.first_signatures;
  const auto& last = campaign.live.last_signatures;
  std::string culprit, which;
  const auto alike = [&](const std::string& text) {
    return static_cast<size_t>(std::count_if(
        last.begin(), last.end(), [&](const model::EndSignature& end) { return end.text == text; }));
  };
  // And nothing has gone better since.
  if (first.size() == kFirstSignatures && !first[0].empty() &&
      std::count(first.begin(), first.end(), first[0]) == kFirstSignatures &&
      alike(first[0]) == last.size()) {
    culprit = first[0];
    which = "the first 5 attempts";
  } else if (last.size() == kLastSignatures) {
    for (const model::EndSignature& end : last)
      if (!end.text.empty() && alike(end.text) >= kAlike) culprit = end.text;
    which = "at least 16 of the last 20 candidates";
  }
  if (culprit.empty()) return;
  SetState(campaign, model::CampaignState::kPaused, which + " failed alike: " + culprit, "campaign_paused");
}

}  // namespace canopy::controller
