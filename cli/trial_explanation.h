#pragma once

#include <ostream>
#include <string>

#include "canopy/v1/campaign_service.pb.h"

namespace canopy::cli {

// Why a trial waits, where it runs or how it ended, for people.
void PrintExplanation(const v1::TrialExplanation& explanation, std::ostream& out, int width);
// The same as one JSON object.
std::string ExplanationJson(const v1::TrialExplanation& explanation);

}  // namespace canopy::cli
