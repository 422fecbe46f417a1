#pragma once

#include <string>

#include "base/status.h"
#include "cli/campaign_client.h"

namespace canopy::cli {

// `name` where it is given, else the newest campaign's. NotFound where there is none.
StatusOr<std::string> CampaignOrNewest(CampaignClient& client, const std::string& name);

}  // namespace canopy::cli
