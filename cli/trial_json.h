#pragma once

#include <string>

#include "canopy/v1/campaign_service.pb.h"

namespace canopy::cli {

// All that is known of a trial as one JSON object: result, provenance, attempts, events. Times are ISO 8601,
// durations milliseconds.
std::string TrialJson(const v1::TrialDetails& trial);

}  // namespace canopy::cli
