#include "controller/http/metrics_page.h"

#include <algorithm>
#include <cctype>
#include <cstdint>
#include <map>
#include <string_view>
#include <vector>

#include "base/strings.h"
#include "storage/model/states.h"

namespace canopy::http {
namespace {

constexpr int64_t kPage = 500;

std::string Lower(std::string_view text) {
  std::string lower(text);
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return lower;
}

class Page {
 public:
  void Describe(const std::string& name, const char* type, const char* help) {
    text_ += "# HELP " + name + " " + help + "\n# TYPE " + name + " " + type + "\n";
  }
  void Value(const std::string& name, const std::string& labels, double value) {
    text_ += name + (labels.empty() ? "" : "{" + labels + "}") + " " + FormatDouble(value) + "\n";
  }
  void Single(const std::string& name, const char* type, const char* help, double value) {
    Describe(name, type, help);
    Value(name, "", value);
  }
  std::string Take() { return std::move(text_); }

 private:
  std::string text_;
};

void AddCommits(const engine::Statistics& statistics, Page& page) {
  const std::string name = "canopy_commit_seconds";
  page.Describe(name, "histogram", "Time from the start of a batch to its durable commit.");
  int64_t below = 0;
  for (size_t i = 0; i < statistics.commit_latency.size(); ++i) {
    below += statistics.commit_latency[i];
    const bool last = i == engine::Statistics::kBucketBounds.size();
    const std::string bound = last ? "+Inf" : FormatDouble(engine::Statistics::kBucketBounds[i]);
    page.Value(name + "_bucket", "le=\"" + bound + "\"", static_cast<double>(below));
  }
  page.Value(name + "_sum", "", statistics.commit_seconds);
  page.Value(name + "_count", "", static_cast<double>(below));
}

void AddBackups(const engine::BackupStatistics& backups, Page& page) {
  page.Single("canopy_backup_last_success_timestamp_seconds", "gauge",
              "When the newest backup of the database was taken; 0: never.",
              static_cast<double>(backups.last_us) / 1e6);
  page.Single("canopy_backup_last_bytes", "gauge", "Its size; 0: it is of an earlier start.",
              static_cast<double>(backups.last_bytes));
  page.Single("canopy_backup_last_seconds", "gauge", "How long it took.",
              static_cast<double>(backups.last_ms) / 1e3);
  page.Single("canopy_backups_total", "counter", "Backups taken.", static_cast<double>(backups.taken));
  page.Single("canopy_backup_failures_total", "counter", "Backups that failed.",
              static_cast<double>(backups.failed));
}

}  // namespace

StatusOr<std::string> MetricsPage(engine::Engine& engine, storage::Reader& reader,
                                  const engine::Backups& backups) {
  std::map<std::string, int64_t> campaigns, trials;
  for (int64_t after_id = 0;;) {
    CANOPY_ASSIGN_OR_RETURN(const std::vector<storage::CampaignRow> rows, reader.Campaigns(after_id, kPage));
    for (const storage::CampaignRow& row : rows) {
      ++campaigns[Lower(model::ToString(row.progress.state))];
      CANOPY_ASSIGN_OR_RETURN(const storage::CampaignCounts counts, reader.Counts(row.campaign.id));
      for (const auto& [key, count] : counts.trials)
        trials["purpose=\"" + Lower(model::ToString(key.first)) + "\",state=\"" +
               Lower(model::ToString(key.second)) + "\""] += count;
    }
    if (static_cast<int64_t>(rows.size()) < kPage) break;
    after_id = rows.back().campaign.id;
  }
  const controller::Core::FleetGlance fleet = engine.Look({.fleet = true}).fleet;
  const engine::Statistics statistics = engine.statistics();

  Page page;
  page.Describe("canopy_campaigns", "gauge", "Campaigns by state.");
  for (const auto& [state, count] : campaigns)
    page.Value("canopy_campaigns", "state=\"" + state + "\"", static_cast<double>(count));
  page.Describe("canopy_trials", "gauge", "Trials by purpose and state.");
  for (const auto& [labels, count] : trials) page.Value("canopy_trials", labels, static_cast<double>(count));
  page.Single("canopy_workers", "gauge", "Workers heard of lately.", static_cast<double>(fleet.workers));
  page.Single("canopy_worker_slots", "gauge", "Their slots.", static_cast<double>(fleet.slots));
  page.Single("canopy_running_attempts", "gauge", "Attempts under a lease.",
              static_cast<double>(fleet.running_attempts));
  page.Single("canopy_queued_events", "gauge", "Events that wait for the writer.",
              static_cast<double>(statistics.queued));
  page.Single("canopy_events_total", "counter", "Events that the writer has handled.",
              static_cast<double>(statistics.events));
  page.Single("canopy_wal_bytes", "gauge", "The database's write-ahead log.",
              static_cast<double>(statistics.wal_bytes));
  page.Single("canopy_held_back", "gauge",
              "1 while no work is given out, as a reader keeps that log growing.",
              statistics.held_back.empty() ? 0 : 1);
  page.Single("canopy_disk_low", "gauge", "1 while new work is refused because the disk is nearly full.",
              statistics.disk_low ? 1 : 0);
  AddCommits(statistics, page);
  AddBackups(backups.statistics(), page);
  return page.Take();
}

}  // namespace canopy::http
