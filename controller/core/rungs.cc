// Trainings that report at the rungs of their campaign's fidelity schedule: what is decided there, trials
// that wait, and how they go on or end. docs/adr/0012-rungs.md has the reasons.
#include <bit>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/mutant.h"
#include "base/strings.h"
#include "controller/core/state.h"

namespace canopy::controller {
namespace {

using model::Purpose;
using model::RungAction;
using model::TrialState;

std::string AtRung(const model::TrialRecord& trial) { return "at rung " + std::to_string(trial.rung); }
std::string Stopped(const model::TrialRecord& trial) {
  return "the fidelity schedule stopped it " + AtRung(trial);
}

FidelitySchedule::Report Scored(const model::CampaignSettings& settings, const model::RungScore& score) {
  FidelitySchedule::Report report{score.trial_id, score.rung, -std::numeric_limits<double>::infinity()};
  if (score.objective)
    report.score = settings.objective_goal == model::Goal::kMaximize ? *score.objective : -*score.objective;
  return report;
}

std::string SeedsJson(const Lease& lease) {
  return nlohmann::json{{"initialization", std::to_string(lease.initialization_seed)},
                        {"data_order", std::to_string(lease.data_order_seed)},
                        {"augmentation", std::to_string(lease.augmentation_seed)}}
      .dump();
}

}  // namespace

void Campaign::ShowSchedule(const model::RungScore& score) {
  const FidelitySchedule::Report report = Scored(settings(), score);
  schedule->Record(report);
  // FNV-1a over the report's numbers.
  for (const uint64_t value : {static_cast<uint64_t>(score.trial_id), static_cast<uint64_t>(score.rung),
                               std::bit_cast<uint64_t>(report.score)})
    reports_digest = (reports_digest ^ value) * 1'099'511'628'211ULL;
}

std::unique_ptr<FidelitySchedule> Core::Impl::MakeSchedule(const Campaign& campaign) const {
  StatusOr<std::unique_ptr<FidelitySchedule>> schedule = make_schedule(campaign.settings());
  CANOPY_CHECK(schedule.ok(), Message(schedule.status()));
  return *std::move(schedule);
}

void Core::Impl::Handle(RungReport event) {
  const auto worker = workers.find(event.worker_id);
  if (worker == workers.end()) {
    Answer(event.token, FailedPrecondition("worker " + event.worker_id +
                                           " has not said Hello since the controller started"));
    return;
  }
  worker->second.Seen(now);
  const auto answer = [&](RungAction action) { Answer(event.token, ReplyBody{RungAnswered{action}}); };
  const bool ours = event.database_id == database_id && event.incarnation == incarnation;
  const LiveAttempt* const attempt = ours ? Claim(event.worker_id, event.attempt_id, event.fence) : nullptr;
  if (attempt == nullptr || attempt->record.trial_id != event.trial_id) return answer(RungAction::kStop);
  std::erase_if(event.metrics, [](const auto& metric) { return !std::isfinite(metric.second); });
  if (event.known) {
    const model::RungReportRecord& known = *event.known;
    // Trained anew from the beginning, it passes what it has reported before.
    if (known.attempt_id != event.attempt_id) return answer(RungAction::kContinue);
    if (known.epoch == event.epoch && known.metrics == event.metrics) return answer(known.action);
    Answer(event.token, InvalidArgument("rung " + std::to_string(event.rung) + " of trial " +
                                        std::to_string(event.trial_id) +
                                        " was reported with other figures; a report is repeated unchanged"));
    return;
  }
  Campaign& campaign = *campaign_by_attempt.at(event.attempt_id);
  const uint64_t token = event.token;
  StatusOr<RungAction> action = TakeReport(campaign, *attempt, std::move(event));
  if (action.ok())
    Answer(token, ReplyBody{RungAnswered{*action}});
  else
    Answer(token, action.status());
  Advance(campaign);
}

StatusOr<RungAction> Core::Impl::TakeReport(Campaign& campaign, const LiveAttempt& attempt,
                                            RungReport event) {
  model::TrialRecord& trial = campaign.trials.at(attempt.record.trial_id);
  const std::vector<int64_t> none;
  const std::vector<int64_t>& rungs = trial.purpose == Purpose::kSearch ? campaign.rungs : none;
  if (event.rung < 1 || event.rung > static_cast<int64_t>(rungs.size()) ||
      rungs[static_cast<size_t>(event.rung - 1)] != event.epoch)
    return InvalidArgument("trial " + std::to_string(trial.id) + " has no rung " +
                           std::to_string(event.rung) + " after epoch " + std::to_string(event.epoch) +
                           "; its lease says which it has");
  // It was told before, and has not heard it.
  if (trial.rung_action == RungAction::kStop) return RungAction::kStop;

  model::RungReportRecord report;
  report.trial_id = trial.id;
  report.rung = event.rung;
  report.campaign_id = campaign.id();
  report.attempt_id = attempt.record.id;
  report.fence = attempt.record.fence;
  report.epoch = event.epoch;
  report.metrics = std::move(event.metrics);
  report.received_us = now.wall_us;
  const auto objective = report.metrics.find(campaign.settings().objective_metric);
  if (objective != report.metrics.end()) report.objective = objective->second;
  const model::RungScore score{trial.id, report.rung, report.objective};
  campaign.ShowSchedule(score);
  // One that comes late is of a training that has gone on.
  const bool late = report.rung < trial.rung;
  if (!late)
    report.action =
        report.objective ? campaign.schedule->Decide(Scored(campaign.settings(), score)) : RungAction::kStop;
  nlohmann::json payload = {{"rung", report.rung},
                            {"epoch", report.epoch},
                            {"objective", nullptr},
                            {"action", std::string(model::ToString(report.action))}};
  if (report.objective) payload["objective"] = *report.objective;
  Log(campaign.id(), trial.id, report.attempt_id, "rung_reported", payload.dump(),
      "worker:" + attempt.record.worker_id);
  report.event_seq = counters.next_event_seq - 1;
  const RungAction action = report.action;
  if (kMutant == Mutant::kForgetRungDecision) report.action = RungAction::kContinue;
  Write(InsertRungReport{report});
  if (late) return action;
  trial.rung = report.rung;
  trial.rung_action = action;
  campaign.reports[trial.id] = std::move(report);
  WriteTrial(trial);
  return action;
}

void Core::Impl::TakeSegment(Campaign& campaign, model::TrialRecord& trial,
                             const model::AttemptRecord& attempt, const AttemptOutcome& outcome) {
  if (outcome.segment == model::SegmentEnd::kPaused) {
    trial.checkpoint = outcome.checkpoint;
    trial.checkpoint.worker_id = outcome.checkpoint.path.empty() ? "" : attempt.worker_id;
  } else if (trial.rung_action == RungAction::kStop) {
    NotePassed(campaign, trial, attempt);
    model::ResultRecord known = outcome.result;
    known.result_id = outcome.result_id;
    return EndStopped(campaign, trial, std::move(known), "worker:" + attempt.worker_id, Stopped(trial));
  }
  if (trial.rung_action != RungAction::kContinue) return Requeue(campaign, trial, "");
  // Nobody told it to end there, or it was promoted before it said so: bounded as other interruptions are.
  model::AttemptRecord interrupted = attempt;
  interrupted.failure = model::FailureClass::kPreempted;
  interrupted.message = "the attempt ended at rung " + std::to_string(outcome.rung);
  ApplyFailure(campaign, trial, interrupted);
}

void Core::Impl::Pause(Campaign& campaign, model::TrialRecord& trial) {
  trial.reason.clear();
  SetTrialState(campaign, trial, TrialState::kPaused);
  WriteTrial(trial);
  Log(campaign.id(), trial.id, 0, "trial_paused",
      nlohmann::json{{"rung", trial.rung}, {"checkpoint_epoch", trial.checkpoint.epoch}}.dump());
}

void Core::Impl::JudgePaused(Campaign& campaign) {
  if (campaign.paused.empty() || !campaign.active()) return;
  const auto none = [&](TrialState state) { return campaign.Count(Purpose::kSearch, state) == 0; };
  const bool last =
      campaign.progress().finals_stage > 0 && none(TrialState::kPending) && none(TrialState::kLeased);
  for (const FidelitySchedule::Verdict& verdict : campaign.schedule->Judge(campaign.paused, last)) {
    const auto found = campaign.trials.find(verdict.trial_id);
    CANOPY_CHECK(found != campaign.trials.end() && found->second.state == TrialState::kPaused,
                 "the fidelity schedule judged a trial that does not wait");
    model::TrialRecord& trial = found->second;
    if (!verdict.promoted) {
      EndStopped(campaign, trial, Stopped(trial));
      continue;
    }
    trial.rung_action = RungAction::kContinue;
    SetTrialState(campaign, trial, TrialState::kPending);
    WriteTrial(trial);
    Log(campaign.id(), trial.id, 0, "trial_promoted", nlohmann::json{{"rung", trial.rung}}.dump());
  }
  if (!last || !none(TrialState::kPending)) return;
  while (!campaign.paused.empty()) {
    model::TrialRecord& trial = campaign.trials.at(campaign.paused.begin()->second);
    EndStopped(campaign, trial, "the search ended while it waited " + AtRung(trial));
  }
}

void Core::Impl::EndStopped(Campaign& campaign, model::TrialRecord& trial, const std::string& reason) {
  const model::RungReportRecord& report = campaign.reports.at(trial.id);
  const model::CampaignProgress& progress = campaign.progress();
  model::ResultRecord known;
  known.seeds_json = SeedsJson(MakeLease(campaign, trial, {}));
  known.dataset_digest = progress.pinned_dataset_digest;
  known.numeric_mode = campaign.settings().numeric_mode;
  known.trainer_build = progress.pinned_trainer_build;
  known.attempt_id = report.attempt_id;
  EndStopped(campaign, trial, std::move(known), "controller", reason);
}

void Core::Impl::EndStopped(Campaign& campaign, model::TrialRecord& trial, model::ResultRecord result,
                            const std::string& principal, const std::string& reason) {
  const model::RungReportRecord& report = campaign.reports.at(trial.id);
  if (!report.objective) {
    trial.failure = model::FailureClass::kDiverged;
    EndInfeasible(campaign, trial, report.attempt_id, principal,
                  "DIVERGED: the objective " + campaign.settings().objective_metric + " " + AtRung(trial) +
                      " is missing or not finite");
    return SaveProgress(campaign);
  }
  result.trial_id = trial.id;
  result.attempt_id = report.attempt_id;
  result.campaign_id = campaign.id();
  result.rung = report.rung;
  result.epochs = report.epoch;
  result.metrics = report.metrics;
  result.objective = report.objective;
  result.recipe_hash = campaign.settings().recipe_hash;
  result.received_us = now.wall_us;
  result.seq = ++campaign.progress().last_result_seq;
  InsertAndLog(result, trial, principal);
  ++campaign.live.search_completed;
  campaign.live.search_busy_ms += trial.busy_ms;
  campaign.live.search_device_ms += trial.device_ms;
  if (trial.set_aside.empty())
    effects.published.push_back(
        {campaign.id(),
         {result.seq, trial.candidate.candidate_json, trial.candidate.candidate_hash, true,
          Scored(campaign.settings(), {0, 0, result.objective}).score, result.rung}});
  NoteExpected(campaign);
  trial.failure.reset();
  EndTrial(campaign, trial.id, TrialState::kStopped, reason);
  SaveProgress(campaign);
}

void Core::Impl::EndEarly(Campaign& campaign, int64_t trial_id, const std::string& reason) {
  model::TrialRecord& trial = campaign.trials.at(trial_id);
  if (trial.rung > 0)
    EndStopped(campaign, trial, reason);
  else
    EndTrial(campaign, trial_id, TrialState::kCancelled, reason);
}

void Core::Impl::GiveUpCheckpoints(Campaign& campaign) {
  const std::map<int64_t, int64_t> resumable = campaign.resumable;
  for (const auto& [trial_id, since_ms] : resumable) {
    model::TrialRecord& trial = campaign.trials.at(trial_id);
    const std::string& worker_id = trial.checkpoint.worker_id;
    const auto worker = workers.find(worker_id);
    const int64_t seen_ms = worker == workers.end() ? start_ms : worker->second.seen_ms;
    std::string why;
    if (now.monotonic_ms - seen_ms > limits.lease_ttl_ms)
      GiveUpCheckpoint(campaign, trial, "worker " + worker_id + ", which has it, is gone");
    else if (worker != workers.end() && !MayRun(worker->second, campaign, trial, &why))
      GiveUpCheckpoint(campaign, trial,
                       "worker " + worker_id + ", which has it, may not run the trial: " + why);
    else if (PatienceMs(campaign, trial) <= 0 && !RestIsTaken(campaign))
      GiveUpCheckpoint(campaign, trial,
                       "worker " + worker_id + ", which has it, had no place for the trial for " +
                           FormatDuration(now.monotonic_ms - since_ms));
  }
}

int64_t Core::Impl::PatienceMs(const Campaign& campaign, const model::TrialRecord& trial) const {
  // To wait for longer than what is in the checkpoint took would cost more than to lose it.
  const int64_t most_ms = std::max(limits.lease_ttl_ms, trial.busy_ms);
  const auto since = campaign.resumable.find(trial.id);
  return since == campaign.resumable.end() ? most_ms : since->second + most_ms - now.monotonic_ms;
}

void Core::Impl::GiveUpCheckpoint(Campaign& campaign, model::TrialRecord& trial, const std::string& why) {
  if (trial.checkpoint.worker_id.empty()) return;
  trial.checkpoint = {};
  if (trial.state == TrialState::kPending) SetTrialState(campaign, trial, TrialState::kPending);
  WriteTrial(trial);
  Log(campaign.id(), trial.id, 0, "checkpoint_given_up",
      nlohmann::json{{"why", why}}.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
}

}  // namespace canopy::controller
