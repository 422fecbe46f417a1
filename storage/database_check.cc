#include "storage/database_check.h"

#include <algorithm>
#include <filesystem>
#include <iterator>
#include <memory>
#include <set>
#include <string_view>
#include <utility>

#include "base/file.h"
#include "storage/database.h"
#include "storage/migrations.h"

namespace canopy::storage {
namespace {

constexpr size_t kExamples = 3;

// `sql` gives a row with a text for each violation.
struct Invariant {
  const char* name;
  const char* sql;
};

constexpr Invariant kInvariants[] = {
    {"every state is one that this program knows",
     "SELECT 'trial ' || id || ' is ' || state FROM trial WHERE state NOT IN ('PENDING', 'LEASED', 'PAUSED', "
     "'COMPLETED', 'STOPPED', 'INFEASIBLE', 'FAILED', 'CANCELLED', 'QUARANTINED') UNION ALL "
     "SELECT 'attempt ' || id || ' is ' || state FROM attempt WHERE state NOT IN ('RUNNING', 'SUCCEEDED', "
     "'FAILED', 'EXPIRED', 'SUPERSEDED', 'CANCELLED') UNION ALL "
     "SELECT 'campaign ' || id || ' is ' || state FROM campaign WHERE state NOT IN ('RUNNING', 'PAUSED', "
     "'FINALIZING', 'COMPLETED', 'CANCELLED', 'FAILED')"},
    {"each completed trial has a result",
     "SELECT 'trial ' || t.id FROM trial t LEFT JOIN result r ON r.trial_id = t.id WHERE t.state = "
     "'COMPLETED' "
     "AND r.trial_id IS NULL"},
    {"each stopped trial has the result of its rung",
     "SELECT 'trial ' || t.id FROM trial t LEFT JOIN result r ON r.trial_id = t.id WHERE t.state = 'STOPPED' "
     "AND (r.trial_id IS NULL OR r.rung <> t.rung)"},
    {"a trial waits at a rung that it has reported",
     "SELECT 'trial ' || t.id FROM trial t WHERE t.rung > 0 AND NOT EXISTS (SELECT 1 FROM rung_report g "
     "WHERE "
     "g.trial_id = t.id AND g.rung = t.rung) UNION ALL "
     "SELECT 'trial ' || t.id FROM trial t WHERE t.state = 'PAUSED' AND (t.rung = 0 OR t.rung_action <> "
     "'PAUSE')"},
    {"no trial that waits or runs has a result",
     "SELECT 'trial ' || t.id || ' is ' || t.state FROM trial t JOIN result r ON r.trial_id = t.id WHERE "
     "t.state "
     "IN ('PENDING', 'LEASED', 'PAUSED')"},
    {"a result is of an attempt of its trial",
     "SELECT 'trial ' || r.trial_id || ', attempt ' || r.attempt_id FROM result r JOIN attempt a ON a.id = "
     "r.attempt_id WHERE a.trial_id <> r.trial_id"},
    {"no two trials have the result of one id",
     "SELECT 'result ' || result_id FROM result WHERE result_id <> '' GROUP BY result_id HAVING COUNT(*) > "
     "1"},
    {"a leased trial has one running attempt, its newest",
     "SELECT 'trial ' || t.id FROM trial t WHERE t.state = 'LEASED' AND (SELECT COUNT(*) FROM attempt a "
     "WHERE "
     "a.trial_id = t.id AND a.state = 'RUNNING' AND a.id = t.last_attempt_id) <> 1"},
    {"a running attempt is of a leased trial",
     "SELECT 'attempt ' || a.id FROM attempt a JOIN trial t ON t.id = a.trial_id WHERE a.state = 'RUNNING' "
     "AND "
     "t.state <> 'LEASED'"},
    {"nothing waits or runs in a campaign that has ended",
     "SELECT 'trial ' || t.id || ' is ' || t.state FROM campaign c JOIN trial t ON t.campaign_id = c.id "
     "WHERE "
     "c.state IN ('COMPLETED', 'CANCELLED', 'FAILED') AND t.state IN ('PENDING', 'LEASED', 'PAUSED')"},
    {"fences grow with their attempts",
     "SELECT 'attempt ' || id || ' has fence ' || fence || ' after ' || before FROM (SELECT id, fence, "
     "LAG(fence) "
     "OVER (ORDER BY id) AS before FROM attempt) WHERE fence <= before"},
    {"what is numbered next is above all numbers given",
     "SELECT name || ' is ' || value || ', and ' || used || ' is in use' FROM (SELECT c.name, c.value, CASE "
     "c.name "
     "WHEN 'next_campaign_id' THEN (SELECT MAX(id) FROM campaign) WHEN 'next_trial_id' THEN (SELECT MAX(id) "
     "FROM "
     "trial) WHEN 'next_attempt_id' THEN (SELECT MAX(id) FROM attempt) WHEN 'next_fence' THEN (SELECT "
     "MAX(fence) "
     "FROM attempt) WHEN 'next_event_seq' THEN (SELECT MAX(seq) FROM event) END AS used FROM counter c) "
     "WHERE used "
     ">= value"},
    {"a campaign's results are numbered once and up to its last",
     "SELECT 'campaign ' || c.id || ' counts ' || c.last_result_seq || ', its results go up to ' || "
     "COALESCE(MAX(r.seq), 0) FROM campaign c LEFT JOIN result r ON r.campaign_id = c.id AND r.seq > 0 GROUP "
     "BY "
     "c.id HAVING COALESCE(MAX(r.seq), 0) <> c.last_result_seq OR COUNT(DISTINCT r.seq) <> COUNT(r.seq)"},
    {"the counts of trials are those of their rows",
     "SELECT 'campaign ' || campaign_id || ', ' || purpose || ' ' || state FROM (SELECT campaign_id, "
     "purpose, "
     "state, COUNT(*) AS trials FROM trial GROUP BY 1, 2, 3 EXCEPT SELECT campaign_id, purpose, state, "
     "trials FROM "
     "trial_count) UNION ALL SELECT 'campaign ' || campaign_id || ', ' || purpose || ' ' || state FROM "
     "(SELECT "
     "campaign_id, purpose, state, trials FROM trial_count WHERE trials <> 0 EXCEPT SELECT campaign_id, "
     "purpose, "
     "state, COUNT(*) FROM trial GROUP BY 1, 2, 3)"},
    {"the counts of attempts are those of their rows",
     "SELECT 'campaign ' || campaign_id || ', ' || state FROM (SELECT campaign_id, state, COUNT(*), "
     "SUM(device_ms) FROM attempt GROUP BY 1, 2 EXCEPT SELECT campaign_id, state, attempts, device_ms FROM "
     "attempt_count)"},
    {"the counts of results are those of their rows",
     "SELECT 'campaign ' || campaign_id || ', ' || purpose FROM (SELECT r.campaign_id, r.purpose, "
     "r.feasible, "
     "COUNT(DISTINCT r.trial_id), COALESCE(SUM(a.device_ms), 0) FROM result r LEFT JOIN attempt a ON "
     "a.trial_id "
     "= r.trial_id AND (a.segment IS NOT NULL OR (a.id = r.attempt_id AND r.feasible = 0)) GROUP BY 1, 2, 3 "
     "EXCEPT SELECT campaign_id, purpose, feasible, results, device_ms FROM result_count)"},
    {"the counts of space versions are those of their rows",
     "SELECT 'campaign ' || v.campaign_id || ', version ' || v.version FROM space_version v WHERE v.trials "
     "<> "
     "(SELECT COUNT(*) FROM trial t WHERE t.campaign_id = v.campaign_id AND t.purpose = 'SEARCH' AND "
     "t.space_version = v.version) OR v.trials_set_aside <> (SELECT COUNT(*) FROM set_aside s WHERE "
     "s.campaign_id = v.campaign_id AND s.version = v.version)"},
    {"rankings pass by nothing that its campaign's version counts",
     "SELECT 'trial ' || r.trial_id FROM result r WHERE r.skipped = 1 AND NOT EXISTS (SELECT 1 FROM "
     "set_aside s JOIN "
     "campaign c ON c.id = s.campaign_id AND c.space_version = s.version WHERE s.campaign_id = r.campaign_id "
     "AND "
     "s.trial_id = r.trial_id)"},
    {"a chosen winner is a trial of its campaign",
     "SELECT 'campaign ' || c.id || ', trial ' || c.winner_trial_id FROM campaign c LEFT JOIN trial t ON "
     "t.id = "
     "c.winner_trial_id AND t.campaign_id = c.id WHERE c.winner_trial_id > 0 AND t.id IS NULL"},
    {"TEST trials exist only where a winner is chosen",
     "SELECT 'trial ' || t.id FROM trial t JOIN campaign c ON c.id = t.campaign_id WHERE t.purpose = 'TEST' "
     "AND "
     "c.winner_committed = 0"},
    {"the database has an id and an incarnation",
     "SELECT 'meta' WHERE (SELECT COUNT(*) FROM meta WHERE (name = 'database_id' AND value <> '') OR (name = "
     "'incarnation' AND CAST(value AS INTEGER) >= 1)) <> 2"},
};

StatusOr<CheckResult> Evaluate(Database& database, std::string name, const std::string& sql) {
  CheckResult result;
  result.name = std::move(name);
  CANOPY_ASSIGN_OR_RETURN(Rows rows, database.Query(sql));
  for (;;) {
    CANOPY_ASSIGN_OR_RETURN(const bool more, rows.Next());
    if (!more) return result;
    if (result.violations++ < static_cast<int64_t>(kExamples)) result.examples.push_back(rows.Text(0));
  }
}

// The campaigns' own tables have a row for each trial.
StatusOr<CheckResult> CheckValues(Database& database) {
  CheckResult all;
  all.name = "each trial has its row of decisions and metrics";
  CANOPY_ASSIGN_OR_RETURN(Rows campaigns, database.Query("SELECT id FROM campaign"));
  for (;;) {
    CANOPY_ASSIGN_OR_RETURN(const bool more, campaigns.Next());
    if (!more) return all;
    const std::string id = std::to_string(campaigns.Int(0));
    const std::string table = QuoteIdentifier("campaign_" + id + "_values");
    CANOPY_ASSIGN_OR_RETURN(const CheckResult one,
                            Evaluate(database, "",
                                     "SELECT 'trial ' || id FROM trial WHERE campaign_id = " + id +
                                         " AND id NOT IN (SELECT trial_id FROM " + table + ")"));
    all.violations += one.violations;
    for (const std::string& example : one.examples)
      if (all.examples.size() < kExamples) all.examples.push_back(example);
  }
}

}  // namespace

StatusOr<std::vector<CheckResult>> CheckDatabase(const std::string& path, bool immutable) {
  if (!FileExists(path)) return NotFound("there is no database '" + path + "'");
  CANOPY_ASSIGN_OR_RETURN(const auto database, Database::Open(path, immutable ? Database::Mode::kImmutable
                                                                              : Database::Mode::kReadOnly));
  const auto application_id = database->QueryInt("PRAGMA application_id");
  if (absl::IsDataLoss(application_id.status()) || (application_id.ok() && *application_id != kApplicationId))
    return FailedPrecondition("'" + path + "' is no database of Canopy");
  CANOPY_RETURN_IF_ERROR(application_id.status());
  std::vector<CheckResult> results;
  const std::string name = "the file's pages and indices are whole";
  StatusOr<CheckResult> pages = Evaluate(
      *database, name, "SELECT integrity_check FROM pragma_integrity_check WHERE integrity_check <> 'ok'");
  if (absl::IsDataLoss(pages.status())) pages = CheckResult{name, 1, {Message(pages.status())}};
  CANOPY_RETURN_IF_ERROR(pages.status());
  const bool whole = pages->violations == 0;
  results.push_back(*std::move(pages));
  // What rows say is worth nothing where the pages are damaged.
  if (!whole) return results;
  CANOPY_ASSIGN_OR_RETURN(
      CheckResult references,
      Evaluate(*database, "every reference finds its row",
               "SELECT \"table\" || ' row ' || COALESCE(rowid, '?') || ' refers to ' || parent FROM "
               "pragma_foreign_key_check"));
  results.push_back(std::move(references));
  for (const Invariant& invariant : kInvariants) {
    CANOPY_ASSIGN_OR_RETURN(CheckResult result, Evaluate(*database, invariant.name, invariant.sql));
    results.push_back(std::move(result));
  }
  CANOPY_ASSIGN_OR_RETURN(CheckResult values, CheckValues(*database));
  results.push_back(std::move(values));
  return results;
}

StatusOr<WorkerFiles> CompareWorkerFiles(const std::string& path, const std::string& worker_id,
                                         const std::vector<std::string>& files) {
  CANOPY_ASSIGN_OR_RETURN(const auto database, Database::Open(path, Database::Mode::kReadOnly));
  CANOPY_ASSIGN_OR_RETURN(
      Rows rows,
      database->Query("SELECT r.weights_path FROM result r JOIN attempt a ON a.id = r.attempt_id WHERE "
                      "r.purpose = 'FINAL' AND r.weights_path <> '' AND a.worker_id = ?1 UNION ALL SELECT "
                      "checkpoint_path FROM trial WHERE checkpoint_path <> '' AND checkpoint_worker_id = ?1 "
                      "AND state IN ('PENDING', 'LEASED', 'PAUSED')",
                      {worker_id}));
  std::set<std::string> named;
  for (;;) {
    CANOPY_ASSIGN_OR_RETURN(const bool more, rows.Next());
    if (!more) break;
    named.insert(std::filesystem::path(rows.Text(0)).filename().string());
  }
  const std::set<std::string> there(files.begin(), files.end());
  WorkerFiles result;
  std::set_difference(there.begin(), there.end(), named.begin(), named.end(),
                      std::back_inserter(result.orphans));
  std::set_difference(named.begin(), named.end(), there.begin(), there.end(),
                      std::back_inserter(result.missing));
  return result;
}

StatusOr<std::vector<std::string>> CampaignNames(const std::string& path) {
  CANOPY_ASSIGN_OR_RETURN(const auto database, Database::Open(path, Database::Mode::kReadOnly));
  CANOPY_ASSIGN_OR_RETURN(Rows rows, database->Query("SELECT project || '__' || name FROM campaign"));
  std::vector<std::string> names;
  for (;;) {
    CANOPY_ASSIGN_OR_RETURN(const bool more, rows.Next());
    if (!more) return names;
    names.push_back(rows.Text(0));
  }
}

}  // namespace canopy::storage
