#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/status.h"
#include "storage/model/records.h"

namespace canopy::controller {

// Decides how far a campaign's SEARCH trials are trained. Pure: no clock, thread, file or randomness, and all
// that it answers is a function of the reports that it was shown, in their order, and of the arguments. A
// restart shows the same reports to a fresh one. Not thread-safe.
class FidelitySchedule {
 public:
  virtual ~FidelitySchedule() = default;

  // After which epochs a training of `epochs` reports, ascending and below `epochs`: rung 1 is the first.
  // None: each trial is trained in full.
  virtual std::vector<int64_t> Rungs(int64_t epochs) const = 0;

  // An accepted report.
  struct Report {
    int64_t trial_id = 0, rung = 0;
    double score = 0;  // higher is better, whatever the objective's goal; -infinity where it is no number
  };
  virtual void Record(const Report& report) = 0;
  // What the training does now that has sent the newest recorded report.
  virtual model::RungAction Decide(const Report& report) const = 0;

  // Rung and trial of those that wait.
  using Waiting = std::set<std::pair<int64_t, int64_t>>;
  struct Verdict {
    int64_t trial_id = 0;
    bool promoted = false;  // false: it is stopped
  };
  // Which of the waiting trials go on or are stopped; the others wait on. `last`: nothing else runs or will
  // come, so what is not promoted is stopped. Called often: looks up what it needs.
  virtual std::vector<Verdict> Judge(const Waiting& waiting, bool last) const = 0;

  // For people: what a trial that waits at that rung waits for, as "3 of 4 reports".
  virtual std::string Awaited(int64_t trial_id, int64_t rung) const = 0;
};

// The schedule that the settings name; InvalidArgument where there is none of that kind, or its parameters
// are wrong.
using ScheduleFactory =
    std::function<StatusOr<std::unique_ptr<FidelitySchedule>>(const model::CampaignSettings& settings)>;

}  // namespace canopy::controller
