#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "controller/core/state.h"

namespace canopy::controller {

using model::Purpose;
using model::TrialState;

void Core::Impl::Handle(ReviseCampaign event) {
  const auto found = campaigns.find(event.campaign.id);
  if (found == campaigns.end()) {
    Answer(event.token, FailedPrecondition("the campaign has ended; launch another one under another name"));
    return;
  }
  Campaign& campaign = found->second;
  if (campaign.progress().finals_stage > 0) {
    Answer(event.token, FailedPrecondition("the campaign's search is over and its finals have begun; launch "
                                           "another one under another name"));
    return;
  }
  const bool went_on = event.new_version && campaign.progress().next_trial_number != event.next_trial_number;
  if (campaign.live.campaign.space_version != event.campaign.space_version || went_on) {
    Answer(event.token, Aborted("the campaign has changed since it was looked at"));
    return;
  }
  model::CampaignRecord record = std::move(event.campaign);
  record.created_us = campaign.live.campaign.created_us;
  record.space_version += event.new_version;
  campaign.live.campaign = std::move(record);
  campaign.MakeLeaseRecord();
  CountPriority(campaign);
  campaign.live.reference = std::move(event.reference);
  campaign.live.best = std::move(event.best);
  Write(ChangeCampaign{campaign.live.campaign, campaign.live.reference});
  nlohmann::ordered_json payload = {{"space_version", campaign.live.campaign.space_version},
                                    {"space_hash", campaign.live.campaign.space_hash}};
  if (event.new_version) payload["set_aside"] = event.set_aside.trials().size();
  payload["changes"] = nlohmann::ordered_json::parse(event.changes_json, nullptr, false);
  Log(campaign.id(), 0, 0, "campaign_updated",
      payload.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace), event.principal);
  if (event.new_version) {
    WriteVersion(campaign, event.set_aside, event.principal);
    BeginVersion(campaign, event.set_aside);
  }
  Offer(campaign);
  SaveProgress(campaign);
  Advance(campaign);
  Answer(event.token, ReplyBody{Revised{campaign.live.campaign.space_version}});
}

void Core::Impl::BeginVersion(Campaign& campaign, const model::SetAsideList& set_aside) {
  model::CampaignProgress& progress = campaign.progress();
  // A new strategy begins, from what the database then has: docs/adr/0006-space-versions.md.
  Write(SaveProposerState{campaign.id(), counters.next_event_seq - 1, 0, ""});
  progress.refill_count = 0;
  campaign.refill_failed = false;
  if (std::exchange(progress.strategy_exhausted, false) && progress.state == model::CampaignState::kRunning)
    progress.reason.clear();

  std::map<int64_t, const std::string*> reasons;
  for (const model::SetAside& trial : set_aside.trials())
    if (campaign.trials.count(trial.trial_id) > 0) reasons.emplace(trial.trial_id, &trial.reason);
  std::vector<int64_t> waiting;
  for (auto& [id, trial] : campaign.trials) {
    const auto reason = reasons.find(id);
    trial.set_aside = reason == reasons.end() ? "" : *reason->second;
    if (!trial.set_aside.empty() && trial.state != TrialState::kLeased) waiting.push_back(id);
  }
  // What runs goes on: its hours are paid for, and a later version may count it.
  for (const int64_t id : waiting)
    EndEarly(campaign, id,
             "version " + std::to_string(campaign.live.campaign.space_version) +
                 " of the space sets it aside: " + *reasons.at(id));
}

void Core::Impl::WriteVersion(const Campaign& campaign, model::SetAsideList set_aside,
                              const std::string& principal) {
  const model::CampaignRecord& record = campaign.live.campaign;
  model::SpaceVersion version;
  version.campaign_id = record.id;
  version.version = record.space_version;
  version.space_name = record.space_name;
  version.space_hash = record.space_hash;
  version.space_file_name = record.space_file_name;
  version.space_text = record.space_text;
  version.constraints = record.settings.constraints;
  version.event_seq = counters.next_event_seq - 1;
  version.principal = principal;
  version.created_us = now.wall_us;
  Write(InsertSpaceVersion{std::move(version), std::move(set_aside)});
}

}  // namespace canopy::controller
