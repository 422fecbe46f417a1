#pragma once

#include <functional>
#include <string>

#include "base/status.h"
#include "canopy/v1/campaign_service.pb.h"
#include "cli/campaign_client.h"
#include "cli/command.h"
#include "cli/connection.h"

namespace canopy::cli {

// Shows the campaign's progress on standard error until it has ended or has paused, and returns its last
// status. `keep_up` is called about once a second; what it returns, where not OK, ends the watching. While
// the controller does not answer it keeps asking, for two minutes. REQUIRES an InterruptGuard: Ctrl-C
// returns Interrupted().
StatusOr<v1::CampaignStatus> WatchCampaign(CampaignClient& client, const std::string& campaign,
                                           const std::function<Status()>& keep_up);

// Prints the report of a campaign that has ended to standard output, with where its files are and the
// commands to try next. CampaignEnded() where it has no result.
Status PrintOutcome(const Context& context, Connection& connection, const v1::CampaignStatus& status);

}  // namespace canopy::cli
