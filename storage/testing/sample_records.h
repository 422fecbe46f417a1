#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "storage/model/records.h"
#include "storage/trial_store.h"

namespace canopy::storage::testing {

// A folder of its own, removed with the object.
class TemporaryDirectory {
 public:
  TemporaryDirectory();
  ~TemporaryDirectory();
  std::string File(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

// Records with every field set to a value of its own.
model::CampaignRecord SampleCampaign(int64_t id, const std::string& name = "fashion-macro");
model::CampaignProgress SampleProgress();
model::CandidateFacts SampleCandidate(int variant = 1);
model::TrialRecord SampleTrial(int64_t id, int64_t campaign_id = 1);
model::AttemptRecord SampleAttempt(int64_t id, int64_t trial_id, int64_t campaign_id = 1);
model::ResultRecord SampleResult(const model::AttemptRecord& attempt, int64_t seq, double objective);
model::WorkerRecord SampleWorker();
std::vector<TrialStore::Column> SampleDecisions();
std::vector<TrialStore::Column> SampleMetrics();

// A store with SampleWorker and campaign 1, whose view is default__fashion_macro.
std::unique_ptr<TrialStore> StoreWithCampaign(const std::string& path);
// Adds a SEARCH trial that one attempt completed.
Status AddCompletedTrial(TrialStore& store, int64_t id, double objective);

}  // namespace canopy::storage::testing
