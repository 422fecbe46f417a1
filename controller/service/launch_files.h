#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/status.h"
#include "canopy/v1/campaign_service.pb.h"
#include "config/campaign.h"
#include "search_spaces/constraint.h"
#include "search_spaces/space.h"
#include "storage/model/records.h"

namespace canopy::controller {

// A campaign file and its space, checked against each other. `--name` is applied.
struct LaunchFiles {
  config::CampaignFile file;
  search_space::SearchSpace space;
  std::vector<search_space::Constraint> constraints;  // the campaign's
};

// Parses what a launch carries. InvalidArgument with the position of what is wrong.
StatusOr<LaunchFiles> ReadLaunchFiles(const v1::LaunchRequest& request,
                                      const std::vector<std::string>& overrides);

// Checks that the strategy can search the space for that task, and gives the space's reference, lowered;
// nullopt where it has none and the settings need none. InvalidArgument with the position of what is wrong.
StatusOr<std::optional<model::CandidateFacts>> CheckSearch(const LaunchFiles& files,
                                                           const model::CampaignSettings& settings);

// Sets what the files say of the campaign, its name and settings aside.
void FillRecord(const v1::LaunchRequest& request, const LaunchFiles& files, model::CampaignRecord& campaign);

}  // namespace canopy::controller
