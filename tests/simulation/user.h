#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>

#include "base/random.h"
#include "tests/simulation/network.h"
#include "tests/simulation/scheduler.h"

namespace canopy::simulation {

// A user's client: each call has an id and is repeated until it is answered.
class SimulatedUser {
 public:
  SimulatedUser(Scheduler& scheduler, Network& network, Rng rng);

  void Launch();
  // Three trials and the finals of the best.
  void LaunchSmall();
  // As many trials, in a space that has them.
  void LaunchForAll(int64_t trials);
  void Command(int64_t campaign_id, controller::CampaignVerb verb);
  // Campaigns that were launched and answered.
  const std::vector<int64_t>& campaigns() const { return campaigns_; }
  // After a restore a campaign may be gone.
  void Forget(int64_t campaign_id) { std::erase(campaigns_, campaign_id); }
  bool waits() const { return open_ > 0; }
  // Calls that are not answered.
  int64_t open() const { return open_; }

 private:
  controller::LaunchCampaign NewCampaign() const;
  void Send(UserCall call, int tries = 0);

  Scheduler& scheduler_;
  Network& network_;
  Rng rng_;
  int64_t ids_ = 0;
  int64_t open_ = 0;
  std::vector<int64_t> campaigns_;
};

// The space that the simulation's campaigns search: few operators, so that lowering costs little.
extern const char kSimulatedSpace[];

}  // namespace canopy::simulation
