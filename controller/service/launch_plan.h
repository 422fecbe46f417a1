#pragma once

#include <string>
#include <vector>

#include "base/status.h"
#include "canopy/v1/campaign_service.pb.h"
#include "controller/core/core.h"

namespace canopy::controller {

// A launch, checked and settled.
struct LaunchPlan {
  LaunchCampaign event;   // without token
  v1::LaunchReply reply;  // without campaign_id
};

// Checks a campaign file and its space against each other, the strategies and the connected workers, and
// settles what the file leaves open: numeric mode, dataset digest and shape. InvalidArgument with the file's
// position for what is wrong in the files; FailedPrecondition for what the connected workers can't do.
StatusOr<LaunchPlan> PlanLaunch(const v1::LaunchRequest& request, const std::string& principal,
                                const std::string& owner, const std::vector<Core::FleetGlance::Kind>& fleet);

}  // namespace canopy::controller
