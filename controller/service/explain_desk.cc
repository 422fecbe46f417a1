// The part of CampaignDesk that says why a trial waits, where it runs, or how it ended.
#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "base/clock.h"
#include "base/strings.h"
#include "controller/service/campaign_desk.h"
#include "controller/service/status_messages.h"

namespace canopy::controller {
namespace {

using Outlook = Core::TrialOutlook;

int64_t Count(const Outlook& outlook, bool free_too) {
  int64_t count = 0;
  for (const Outlook::Verdict& worker : outlook.workers)
    if (worker.eligible && (worker.free || !free_too)) count += worker.workers;
  return count;
}

int64_t Connected(const Outlook& outlook) {
  int64_t count = 0;
  for (const Outlook::Verdict& worker : outlook.workers) count += worker.workers;
  return count;
}

std::string Plural(int64_t count, const std::string& noun) {
  return FormatCount(count) + " " + noun + (count == 1 ? "" : "s");
}

// "the end of epoch 4", "step 131"
std::string PlaceOf(const model::TrialCheckpoint& checkpoint) {
  return checkpoint.step > 0 || checkpoint.epoch == 0
             ? "step " + std::to_string(checkpoint.step)
             : "the end of epoch " + std::to_string(checkpoint.epoch);
}

// The latest reason why the trial was put back to wait.
std::string LastRequeue(const storage::TrialDetail& detail) {
  for (auto event = detail.events.rbegin(); event != detail.events.rend(); ++event) {
    if (event->kind != "trial_requeued") continue;
    const nlohmann::json payload = nlohmann::json::parse(event->payload_json, nullptr, false);
    return payload.is_object() ? payload.value("why", std::string()) : "";
  }
  return "";
}

void ExplainWaiting(const storage::TrialDetail& detail, const Outlook& outlook, v1::TrialExplanation& reply) {
  const auto reason = [&](const std::string& text) { reply.add_reasons(text); };
  const int64_t eligible = Count(outlook, false), free = Count(outlook, true);
  std::string sentence;
  if (outlook.campaign_state == "PAUSED") {
    sentence = "it waits because its campaign is paused: " + outlook.campaign_reason;
  } else if (outlook.fidelity_open) {
    sentence = "it waits for the probe that settles the campaign's epochs";
  } else if (outlook.budget_is_taken) {
    sentence =
        "it waits because the rest of its campaign's device time is what the running trials and the finals "
        "are "
        "expected to take; it is given out if they take less, and cancelled otherwise";
  } else if (outlook.workers.empty()) {
    sentence = "it waits because no worker is connected";
  } else if (eligible == 0) {
    sentence = "it waits because none of " + Plural(Connected(outlook), "worker") + " may run it";
  } else if (free == 0) {
    sentence = "it waits because the " + Plural(eligible, "worker") + " that could run it " +
               (eligible == 1 ? "is busy" : "are busy");
  } else {
    sentence = "its turn comes with the next lease";
  }
  reply.set_sentence(sentence);
  if (outlook.trials_before > 0)
    reason(Plural(outlook.trials_before, "trial") + " of its own campaign " +
           (outlook.trials_before == 1 ? "comes" : "come") + " first");
  for (const Outlook::Before& before : outlook.before)
    reason("campaign " + before.campaign + " (priority " + std::to_string(before.priority) + ", " +
           Plural(before.running, "running attempt") + ") is given the next slot before its campaign");
  const int64_t more = outlook.campaigns_before - static_cast<int64_t>(outlook.before.size());
  if (more > 0) reason(Plural(more, "more campaign") + (more == 1 ? " comes" : " come") + " first");
  if (const std::string why = LastRequeue(detail); !why.empty()) reason("an earlier attempt ended: " + why);
  if (const model::TrialCheckpoint& checkpoint = detail.row.trial.checkpoint;
      outlook.checkpoint_patience_ms > 0 && !checkpoint.worker_id.empty())
    reason("it goes on from " + PlaceOf(checkpoint) + " on worker " + checkpoint.worker_id +
           ", whose disk has its checkpoint " + checkpoint.path + "; if that worker takes it not within " +
           FormatDuration(outlook.checkpoint_patience_ms) +
           ", or is not heard of for a lease's time to live, it begins anew on any");
  reply.set_trials_before(outlook.trials_before);
  for (const Outlook::Before& before : outlook.before) {
    v1::CampaignBefore& added = *reply.add_before();
    added.set_campaign(before.campaign);
    added.set_running(before.running);
    added.set_priority(before.priority);
  }
  for (const Outlook::Verdict& worker : outlook.workers) {
    v1::WorkerVerdict& added = *reply.add_workers();
    added.set_worker_id(worker.worker_id);
    added.set_host(worker.host);
    added.set_eligible(worker.eligible);
    added.set_free(worker.free);
    added.set_why(worker.why);
    added.set_workers(worker.workers);
  }
}

void ExplainPaused(const Outlook& outlook, v1::TrialExplanation& reply) {
  reply.set_sentence("it waits at rung " + std::to_string(outlook.rung) + " since " +
                     FormatWallUs(outlook.rung_since_us) +
                     (outlook.rung_awaits.empty() ? "" : ", with " + outlook.rung_awaits));
  if (outlook.campaign_state == "PAUSED")
    reply.add_reasons("its campaign is paused: " + outlook.campaign_reason);
}

void ExplainRunning(const storage::TrialDetail& detail, v1::TrialExplanation& reply) {
  if (detail.attempts.empty()) return;
  const model::AttemptRecord& attempt = detail.attempts.back();
  reply.set_sentence("it runs on " + attempt.host + " (worker " + attempt.worker_id + ", slot " +
                     std::to_string(attempt.slot) + ") as attempt " + std::to_string(attempt.id));
  if (const std::string why = LastRequeue(detail); !why.empty())
    reply.add_reasons("an earlier attempt ended: " + why);
  if (const model::TrialCheckpoint& checkpoint = detail.row.trial.checkpoint;
      checkpoint.worker_id == attempt.worker_id)
    reply.add_reasons("it goes on from " + PlaceOf(checkpoint) +
                      ", where an earlier attempt left its checkpoint");
}

void ExplainEnd(const storage::TrialDetail& detail, v1::TrialExplanation& reply) {
  const model::TrialRecord& trial = detail.row.trial;
  std::string sentence = "it ended " + std::string(model::ToString(trial.state));
  if (!trial.reason.empty()) sentence += ": " + trial.reason;
  reply.set_sentence(sentence);
  if (detail.row.result && detail.row.result->objective)
    reply.add_reasons("its result counts, with the objective " + FormatDouble(*detail.row.result->objective));
  if (!trial.set_aside.empty())
    reply.add_reasons("the space's current version leaves it out: " + trial.set_aside);
  const int64_t attempts = static_cast<int64_t>(detail.attempts.size());
  if (attempts > 1) reply.add_reasons("it took " + Plural(attempts, "attempt"));
}

}  // namespace

Status CampaignDesk::ExplainTrial(const v1::GetTrialRequest& request, v1::TrialExplanation& reply) {
  CANOPY_ASSIGN_OR_RETURN(const storage::TrialDetail detail, reader_.Trial(request.trial()));
  v1::TrialDetails details = ToProto(detail);
  *reply.mutable_summary() = std::move(*details.mutable_summary());
  reply.mutable_attempts()->Swap(details.mutable_attempts());
  reply.mutable_events()->Swap(details.mutable_events());
  const model::TrialState state = detail.row.trial.state;
  if (model::IsTerminal(state)) {
    ExplainEnd(detail, reply);
  } else if (state == model::TrialState::kLeased) {
    ExplainRunning(detail, reply);
  } else {
    const Outlook outlook = engine_.Look({.trial_id = detail.row.trial.id}).outlook;
    outlook.rung > 0 ? ExplainPaused(outlook, reply) : ExplainWaiting(detail, outlook, reply);
  }
  return absl::OkStatus();
}

}  // namespace canopy::controller
