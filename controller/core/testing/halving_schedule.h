#pragma once

#include <algorithm>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "controller/core/fidelity_schedule.h"

namespace canopy::controller {

// A double of a real schedule: at each rung every `group` reports, in their order, compete. They wait until
// the group is complete; then the best `keep` go on and the others stop. What scores below `floor` stops at
// once.
class HalvingSchedule final : public FidelitySchedule {
 public:
  struct Parameters {
    std::vector<int64_t> rungs;
    int64_t group = 2, keep = 1;
    double floor = -1e300;
  };
  explicit HalvingSchedule(Parameters parameters) : parameters_(std::move(parameters)) {}

  std::vector<int64_t> Rungs(int64_t epochs) const override {
    std::vector<int64_t> rungs = parameters_.rungs;
    std::erase_if(rungs, [&](int64_t rung) { return rung >= epochs; });
    return rungs;
  }
  void Record(const Report& report) override {
    std::vector<Report>& reports = reports_[report.rung];
    group_of_[{report.rung, report.trial_id}] = static_cast<int64_t>(reports.size()) / parameters_.group;
    reports.push_back(report);
  }
  model::RungAction Decide(const Report& report) const override {
    return report.score < parameters_.floor ? model::RungAction::kStop : model::RungAction::kPause;
  }
  std::vector<Verdict> Judge(const Waiting& waiting, bool last) const override {
    std::vector<Verdict> verdicts;
    for (const auto& [rung, trial_id] : waiting) {
      const std::vector<Report> group = Group(trial_id, rung);
      if (!last && static_cast<int64_t>(group.size()) < parameters_.group) continue;
      const auto place = std::find_if(group.begin(), group.end(), [id = trial_id](const Report& report) {
        return report.trial_id == id;
      });
      verdicts.push_back({trial_id, place - group.begin() < parameters_.keep});
    }
    return verdicts;
  }
  std::string Awaited(int64_t trial_id, int64_t rung) const override {
    return std::to_string(Group(trial_id, rung).size()) + " of " + std::to_string(parameters_.group) +
           " reports";
  }

 private:
  // Best first.
  std::vector<Report> Group(int64_t trial_id, int64_t rung) const {
    const std::vector<Report>& reports = reports_.at(rung);
    const int64_t begin = group_of_.at({rung, trial_id}) * parameters_.group;
    const int64_t end = std::min(begin + parameters_.group, static_cast<int64_t>(reports.size()));
    std::vector<Report> group(reports.begin() + begin, reports.begin() + end);
    std::stable_sort(group.begin(), group.end(),
                     [](const Report& a, const Report& b) { return a.score > b.score; });
    return group;
  }

  const Parameters parameters_;
  std::map<int64_t, std::vector<Report>> reports_;           // by rung
  std::map<std::pair<int64_t, int64_t>, int64_t> group_of_;  // by rung and trial
};

// Campaigns of kind "halving" have it, with the parameters of their JSON; all others have no rungs.
inline StatusOr<std::unique_ptr<FidelitySchedule>> MakeTestSchedule(const model::CampaignSettings& settings) {
  HalvingSchedule::Parameters parameters;
  if (settings.fidelity_kind == "halving") {
    const auto json = nlohmann::json::parse(settings.fidelity_json, nullptr, false);
    if (!json.is_object()) return InvalidArgument("fidelity: expected an object");
    parameters.rungs = json.value("rungs", parameters.rungs);
    parameters.group = json.value("group", parameters.group);
    parameters.keep = json.value("keep", parameters.keep);
    parameters.floor = json.value("floor", parameters.floor);
  }
  return std::make_unique<HalvingSchedule>(std::move(parameters));
}

}  // namespace canopy::controller
