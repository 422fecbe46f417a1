#include "controller/fidelity/fidelity.h"

#include "controller/fidelity/full.h"

namespace canopy::fidelity {

StatusOr<std::unique_ptr<controller::FidelitySchedule>> MakeSchedule(
    const model::CampaignSettings& settings) {
  if (settings.fidelity_kind == "full") return std::make_unique<Full>();
  return InvalidArgument("fidelity schedule '" + settings.fidelity_kind +
                         "' is none of this canopy's; it has full");
}

}  // namespace canopy::fidelity
