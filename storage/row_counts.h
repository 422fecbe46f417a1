#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <tuple>
#include <utility>

#include "base/status.h"
#include "storage/database.h"
#include "storage/model/states.h"

namespace canopy::storage {

// What a transaction changes of trial_count, attempt_count, event_count, result_count and the trials of
// versions, which are written at its end: many results change the same few rows.
class RowCounts {
 public:
  explicit RowCounts(Database& database) : database_(database) {}
  void AddTrials(int64_t campaign_id, model::Purpose purpose, model::TrialState state, int64_t trials) {
    trials_[{campaign_id, purpose, state}] += trials;
  }
  void AddVersionTrial(int64_t campaign_id, int64_t space_version) {
    ++version_trials_[{campaign_id, space_version}];
  }
  void AddAttempts(int64_t campaign_id, model::AttemptState state, int64_t attempts, int64_t device_ms) {
    Attempts& counted = attempts_[{campaign_id, state}];
    counted.number += attempts;
    counted.device_ms += device_ms;
  }
  // Events of no campaign (0) are not counted.
  void AddEvent(int64_t campaign_id, const std::string& kind) {
    if (campaign_id != 0) ++events_[{campaign_id, kind}];
  }
  void AddResult(int64_t campaign_id, model::Purpose purpose, bool feasible, int64_t busy_ms,
                 int64_t device_ms) {
    Results& results = results_[{campaign_id, purpose, feasible}];
    ++results.number;
    results.busy_ms += busy_ms;
    results.device_ms += device_ms;
  }
  // Changes the tables by what was added. REQUIRES an open transaction.
  Status Write();
  // After a rollback.
  void Forget();

 private:
  struct Attempts {
    int64_t number = 0, device_ms = 0;
  };
  struct Results {
    int64_t number = 0, busy_ms = 0, device_ms = 0;
  };
  Database& database_;
  std::map<std::tuple<int64_t, model::Purpose, model::TrialState>, int64_t> trials_;
  std::map<std::pair<int64_t, int64_t>, int64_t> version_trials_;
  std::map<std::pair<int64_t, model::AttemptState>, Attempts> attempts_;
  std::map<std::pair<int64_t, std::string>, int64_t> events_;
  std::map<std::tuple<int64_t, model::Purpose, bool>, Results> results_;
};

}  // namespace canopy::storage
