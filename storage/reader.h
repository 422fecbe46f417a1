#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/status.h"
#include "storage/model/records.h"

namespace canopy::storage {

struct TrialRow {
  model::TrialRecord trial;  // in listings without graph_json
  std::string project, campaign;
  std::optional<model::ResultRecord> result;
  std::string worker_id;  // of the result's attempt, else of the newest one
  int64_t busy_ms = 0;    // of all attempts

  // "fashion-macro/17".
  std::string name() const { return campaign + "/" + std::to_string(trial.number); }
};

struct CampaignRow {
  model::CampaignRecord campaign;  // in listings without the files' texts
  model::CampaignProgress progress;
  int64_t trials_done = 0;       // SEARCH trials with a result
  std::optional<TrialRow> best;  // SEARCH
};

struct CampaignCounts {
  std::map<std::pair<model::Purpose, model::TrialState>, int64_t> trials;
  int64_t rejected = 0, cached = 0;
  // Finished SEARCH trials per hour of running time; 0 before the first.
  double candidates_an_hour = 0;
  // Device time of the attempts that ended, and of those whose results count.
  int64_t device_ms = 0, useful_device_ms = 0;

  int64_t Trials(model::Purpose purpose, model::TrialState state) const;
};

struct SpaceVersionRow {
  model::SpaceVersion version;  // without the text
  int64_t trials = 0;           // SEARCH trials that were proposed under it
  int64_t set_aside = 0;        // earlier ones that it leaves out
};

struct TrialFilter {
  std::vector<model::TrialState> states;  // empty: all
  std::vector<model::Purpose> purposes;   // empty: all
};

struct TrialPage {
  std::vector<TrialRow> trials;
  int64_t next_after_id = 0;  // 0: that was all
};

struct TrialDetail {
  TrialRow row;
  std::string parent;  // "fashion-macro/3", or empty
  std::vector<model::AttemptRecord> attempts;
  std::vector<model::MeasurementRecord> measurements;  // of all attempts, by attempt and step
  std::vector<model::EventRecord> events;
};

// The read side of the database: a read-only connection of its own, each call one transaction of at most 5
// seconds (DeadlineExceeded beyond). Thread-safe; calls take turns. Blocks on disk.
class Reader {
 public:
  // NotFound where there is no database; the store creates it.
  static StatusOr<std::unique_ptr<Reader>> Open(const std::string& path);
  ~Reader();

  // Campaigns with an id above `after_id`, ascending, at most `limit`; of one project unless it is empty.
  StatusOr<std::vector<CampaignRow>> Campaigns(int64_t after_id, int64_t limit,
                                               const std::string& project = "");
  // By "name", "project/name" or id, with the files' texts. NotFound gives the nearest names,
  // InvalidArgument the projects that share an ambiguous name.
  StatusOr<CampaignRow> Campaign(std::string_view reference);
  StatusOr<CampaignCounts> Counts(int64_t campaign_id);
  // Ascending.
  StatusOr<std::vector<SpaceVersionRow>> SpaceVersions(int64_t campaign_id);
  StatusOr<std::optional<model::CandidateFacts>> Reference(int64_t campaign_id);

  // SEARCH trials that have an objective and are not set aside, best first, the older before its equals.
  StatusOr<std::vector<TrialRow>> Best(int64_t campaign_id, int64_t limit);
  // Trials with an id above `after_id`, ascending.
  StatusOr<TrialPage> Trials(int64_t campaign_id, const TrialFilter& filter, int64_t after_id, int64_t limit);
  // Trials that are leased now, ascending.
  StatusOr<std::vector<TrialRow>> Running(int64_t campaign_id, int64_t limit);
  // FINAL, TEST and MEASURE trials, ascending, with graph_json.
  StatusOr<std::vector<TrialRow>> Finals(int64_t campaign_id);
  // "fashion-macro/17: TRAINER_CRASH: signal 11", newest first.
  StatusOr<std::vector<std::string>> NewestFailures(int64_t campaign_id, int64_t limit);
  // By "name/17", "project/name/17" or id, with everything that is known.
  StatusOr<TrialDetail> Trial(std::string_view reference);

  // By id, by an id's beginning or by host. NotFound; InvalidArgument where several workers are meant.
  StatusOr<model::WorkerRecord> Worker(std::string_view reference);
  StatusOr<std::vector<model::Drain>> Drains();
  StatusOr<std::vector<model::DeviceHealth>> Health();
  // The workers heard of last, newest first.
  StatusOr<std::vector<model::WorkerRecord>> Workers(const std::string& after_id, int64_t limit);

 private:
  class Impl;
  explicit Reader(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace canopy::storage
