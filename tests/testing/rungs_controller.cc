// rungs_controller: `canopy controller start` with a fidelity schedule of its own: every SEARCH training
// reports after its first and second epoch, and of each three that have, the best one goes on and the others
// stop.
//
//   rungs_controller STATE_DIR LEASE_TTL_S

#include <cstdlib>
#include <iostream>
#include <memory>

#include "controller/core/testing/halving_schedule.h"
#include "controller/service/controller_main.h"

namespace canopy::controller {
namespace {

StatusOr<std::unique_ptr<FidelitySchedule>> MakeHalving(const model::CampaignSettings& /*settings*/) {
  HalvingSchedule::Parameters parameters;
  parameters.rungs = {1, 2};
  parameters.group = 3;
  return std::make_unique<HalvingSchedule>(std::move(parameters));
}

}  // namespace
}  // namespace canopy::controller

int main(int argc, char** argv) {
  if (argc != 3) {
    std::cerr << "usage: rungs_controller STATE_DIR LEASE_TTL_S\n";
    return 2;
  }
  canopy::controller::ControllerOptions options;
  options.state_dir = argv[1];
  options.lease_ttl_ms = std::atoi(argv[2]) * 1'000;
  options.make_schedule = canopy::controller::MakeHalving;
  return canopy::controller::RunController(options);
}
