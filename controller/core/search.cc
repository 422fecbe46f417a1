#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/check.h"
#include "controller/core/state.h"

namespace canopy::controller {
namespace {

using model::Purpose;
using model::TrialState;

const char* EventKind(Proposal::Verdict verdict) {
  switch (verdict) {
    case Proposal::Verdict::kAccepted:
      return "proposal_accepted";
    case Proposal::Verdict::kRejected:
      return "proposal_rejected";
    case Proposal::Verdict::kCached:
      return "proposal_cached";
  }
  return "proposal_rejected";
}

}  // namespace

std::string ProposalPayload(const Proposal& proposal, int64_t seen_seq) {
  nlohmann::ordered_json payload = {{"seen_seq", seen_seq}};
  payload["candidate"] = nlohmann::ordered_json::parse(proposal.candidate.candidate_json, nullptr, false);
  if (!proposal.candidate.candidate_hash.empty())
    payload["candidate_hash"] = proposal.candidate.candidate_hash;
  if (proposal.verdict == Proposal::Verdict::kAccepted) payload["replicate"] = proposal.replicate;
  if (!proposal.reason.empty()) payload["reason"] = proposal.reason;
  return payload.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

int64_t Core::Impl::AddTrial(Campaign& campaign, model::TrialRecord trial) {
  trial.id = counters.next_trial_id++;
  counters_changed = true;
  trial.campaign_id = campaign.id();
  trial.number = campaign.progress().next_trial_number++;
  trial.reference =
      campaign.live.reference && trial.candidate.candidate_hash == campaign.live.reference->candidate_hash;
  trial.owner = campaign.live.campaign.owner;
  trial.project = campaign.live.campaign.project;
  trial.git_commit = campaign.live.campaign.git_commit;
  trial.created_us = now.wall_us;
  trial.space_version = campaign.live.campaign.space_version;
  ++campaign.live.trials_total;
  Write(InsertTrial{trial});
  return KeepTrial(campaign, std::move(trial)).id;
}

void Core::Impl::Refill(Campaign& campaign) {
  model::CampaignProgress& progress = campaign.progress();
  if (progress.refill_count > 0 || progress.strategy_exhausted) return;
  // One for each slot, and what the slots take while the strategy proposes. A single slot waits for what sees
  // its last result.
  const int64_t slots = std::max<int64_t>(1, KnownSlots());
  campaign.demand = std::max(campaign.taken_meanwhile, campaign.demand);
  const int64_t target = slots + std::min(2 * (slots - 1), campaign.demand);
  // What asks for more than most workers have may wait for long, and others must not wait with it.
  const auto particular = std::min(slots, static_cast<int64_t>(campaign.waiting.particular()));
  const int64_t missing =
      target - std::max<int64_t>(0, campaign.Count(Purpose::kSearch, TrialState::kPending) - particular);
  // The strategy's state is written with each request: where many are taken, few requests.
  if (missing <= std::min(slots - 1, campaign.demand / 2)) return;
  int64_t wanted = missing;
  if (campaign.settings().budget_trials > 0)
    wanted = std::min(wanted, campaign.settings().budget_trials - campaign.live.search_trials);
  if (wanted <= 0) return;
  // Thousands of trials written at once would keep everybody waiting.
  wanted = std::min<int64_t>(wanted, 128);
  campaign.demand -= (campaign.demand + 7) / 8;
  campaign.taken_meanwhile = 0;
  progress.refill_count = wanted;
  progress.refill_seen_seq = progress.last_result_seq;
  SaveProgress(campaign);
  effects.requests.push_back(campaign.OpenRefill());
}

void Core::Impl::Handle(ProposalsReady event) {
  const auto found = campaigns.find(event.campaign_id);
  if (found == campaigns.end()) return;
  Campaign& campaign = found->second;
  model::CampaignProgress& progress = campaign.progress();
  if (progress.refill_count == 0 || progress.refill_seen_seq != event.refill_seen_seq ||
      campaign.live.campaign.space_version != event.space_version)
    return;
  if (!event.batch.ok()) {
    // The request stays open in the database: resuming asks for it again.
    campaign.refill_failed = true;
    if (progress.state != model::CampaignState::kPaused)
      SetState(campaign, model::CampaignState::kPaused,
               "the strategy failed: " + Message(event.batch.status()), "campaign_paused");
    return;
  }
  campaign.refill_failed = false;
  ProposalBatch& batch = *event.batch;
  for (Proposal& proposal : batch.proposals) AcceptProposal(campaign, std::move(proposal), batch.seen_seq);
  progress.refill_count = 0;
  if (!batch.ended.empty()) {
    progress.strategy_exhausted = true;
    // A campaign that is paused says why, and one that closes its search has said so.
    if (progress.state == model::CampaignState::kRunning) progress.reason = batch.ended;
    Log(campaign.id(), 0, 0, "proposals_ended", nlohmann::json{{"reason", batch.ended}}.dump());
  }
  Write(SaveProposerState{campaign.id(), counters.next_event_seq - 1, batch.seen_seq, batch.state});
  SaveProgress(campaign);
  Advance(campaign);
}

void Core::Impl::AcceptProposal(Campaign& campaign, Proposal proposal, int64_t seen_seq) {
  ++campaign.progress().proposals;
  const std::string payload = ProposalPayload(proposal, seen_seq);
  int64_t trial_id = 0;
  if (proposal.verdict == Proposal::Verdict::kAccepted) {
    model::TrialRecord trial;
    trial.candidate = std::move(proposal.candidate);
    trial.replicate = proposal.replicate;
    trial.seen_seq = seen_seq;
    trial_id = AddTrial(campaign, std::move(trial));
    ++campaign.live.search_trials;
  }
  Log(campaign.id(), trial_id, 0, EventKind(proposal.verdict), payload);
}

void Core::Impl::SettleFidelity(Campaign& campaign, const model::ResultRecord& result,
                                const std::string& worker_id) {
  // What the budget can afford: so many SEARCH trials at the least, and the finals, in four fifths of it.
  // Searched networks are slower than a small reference, most of all those that do well.
  constexpr double kSearchTrials = 16, kShare = 0.8, kSlower = 1.25;
  const model::CampaignSettings& settings = campaign.settings();
  double examples = 0, share = 1;
  if (const auto worker = workers.find(worker_id); worker != workers.end()) {
    share /= static_cast<double>(std::max<int64_t>(1, worker->second.record.slots));
    for (const model::DatasetOnWorker& dataset : worker->second.record.datasets)
      if (dataset.name == settings.task.dataset)
        examples = static_cast<double>(dataset.training_examples - settings.task.validation_count);
  }
  const auto speed = result.metrics.find("images_per_second");
  int64_t epochs = 1;
  if (examples > 0 && speed != result.metrics.end() && speed->second > 0) {
    const double epoch_s = examples / speed->second;
    const double finals =
        static_cast<double>((settings.finals_top + settings.finals_reference) * settings.finals_seeds);
    const double budget_s = SlotSeconds(campaign, share) * kShare;
    epochs = std::clamp<int64_t>(
        std::llround(std::floor(budget_s / ((kSearchTrials + finals) * epoch_s * kSlower))), 1, 1000);
  }
  campaign.progress().epochs = epochs;
  campaign.MakeRungs();
  Place(campaign);
  SaveProgress(campaign);
  Log(campaign.id(), result.trial_id, result.attempt_id, "fidelity_settled",
      nlohmann::json{{"epochs", epochs},
                     {"images_per_second", speed == result.metrics.end() ? 0.0 : speed->second}}
          .dump());
}

}  // namespace canopy::controller
