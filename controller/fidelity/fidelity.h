#pragma once

#include <memory>

#include "base/status.h"
#include "controller/core/fidelity_schedule.h"

namespace canopy::fidelity {

// The schedule that the settings name. InvalidArgument lists the kinds where there is none of that name.
StatusOr<std::unique_ptr<controller::FidelitySchedule>> MakeSchedule(const model::CampaignSettings& settings);

}  // namespace canopy::fidelity
