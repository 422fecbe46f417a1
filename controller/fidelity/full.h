#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "controller/core/fidelity_schedule.h"

namespace canopy::fidelity {

// Every trial is trained in full: there are no rungs, and nothing is ever asked.
class Full final : public controller::FidelitySchedule {
 public:
  std::vector<int64_t> Rungs(int64_t epochs) const override;
  void Record(const Report& report) override;
  model::RungAction Decide(const Report& report) const override;
  std::vector<Verdict> Judge(const Waiting& waiting, bool last) const override;
  std::string Awaited(int64_t trial_id, int64_t rung) const override;
};

}  // namespace canopy::fidelity
