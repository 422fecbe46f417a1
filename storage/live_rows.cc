#include "storage/live_rows.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "storage/ranking.h"
#include "storage/row_mapping.h"

namespace canopy::storage {
namespace {

using Live = TrialStore::LiveRows;

constexpr char kTrialFrom[] = " FROM trial t JOIN candidate c ON c.id = t.candidate_id ";
constexpr int64_t kFirstSignatures = 5;
constexpr size_t kLastSignatures = 20;

Status ReadTrials(Database& database, Live& live) {
  CANOPY_ASSIGN_OR_RETURN(Rows rows, database.Query("SELECT " + TrialColumns(true) + kTrialFrom +
                                                        "WHERE t.campaign_id = ? AND t.state IN ('PENDING', "
                                                        "'LEASED', 'PAUSED') ORDER BY t.id",
                                                    {live.campaign.id}));
  while (true) {
    CANOPY_ASSIGN_OR_RETURN(const bool more, rows.Next());
    if (!more) return {};
    RowReader reader(rows);
    ReadTrial(reader, live.trials.emplace_back());
    CANOPY_RETURN_IF_ERROR(reader.status());
  }
}

StatusOr<std::vector<model::AttemptRecord>> ReadAttempts(Database& database, const std::string& rest,
                                                         const std::vector<SqlValue>& values) {
  CANOPY_ASSIGN_OR_RETURN(Rows rows, database.Query("SELECT " + AttemptColumns("a.") + rest, values));
  std::vector<model::AttemptRecord> attempts;
  while (true) {
    CANOPY_ASSIGN_OR_RETURN(const bool more, rows.Next());
    if (!more) return attempts;
    RowReader reader(rows);
    ReadAttempt(reader, attempts.emplace_back());
    CANOPY_RETURN_IF_ERROR(reader.status());
  }
}

StatusOr<std::vector<std::string>> ReadTexts(Database& database, std::string_view sql,
                                             const std::vector<SqlValue>& values) {
  CANOPY_ASSIGN_OR_RETURN(Rows rows, database.Query(sql, values));
  std::vector<std::string> texts;
  while (true) {
    CANOPY_ASSIGN_OR_RETURN(const bool more, rows.Next());
    if (!more) return texts;
    texts.push_back(rows.Text(0));
  }
}

Status ReadSignatures(Database& database, Live& live) {
  const std::string from =
      "SELECT signature FROM attempt WHERE campaign_id = ? AND signature_seq IS NOT NULL AND id >= ? "
      "ORDER BY signature_seq ";
  const int64_t id = live.campaign.id, first_id = live.progress.signatures_from;
  CANOPY_ASSIGN_OR_RETURN(live.first_signatures,
                          ReadTexts(database, from + "LIMIT ?", {id, first_id, kFirstSignatures}));
  // A candidate counts once, by its newest end.
  CANOPY_ASSIGN_OR_RETURN(
      Rows rows,
      database.Query(
          "SELECT a.signature, c.candidate_hash FROM attempt a JOIN trial t ON t.id = a.trial_id "
          "JOIN candidate c ON c.id = t.candidate_id WHERE a.campaign_id = ? AND a.signature_seq IS "
          "NOT NULL AND a.id >= ? ORDER BY a.signature_seq DESC",
          {id, first_id}));
  std::set<std::string> candidates;
  while (candidates.size() < kLastSignatures) {
    CANOPY_ASSIGN_OR_RETURN(const bool more, rows.Next());
    if (!more) break;
    if (candidates.insert(rows.Text(1)).second) live.last_signatures.push_back({rows.Text(0), rows.Text(1)});
  }
  std::reverse(live.last_signatures.begin(), live.last_signatures.end());
  return {};
}

Status ReadCounts(Database& database, Live& live) {
  const auto count = [&](std::string_view sql) { return database.QueryInt(sql, {live.campaign.id}); };
  CANOPY_ASSIGN_OR_RETURN(live.trials_total,
                          count("SELECT COALESCE(SUM(trials), 0) FROM trial_count WHERE campaign_id = ?"));
  CANOPY_ASSIGN_OR_RETURN(live.search_trials, count("SELECT COALESCE(SUM(trials), 0) FROM trial_count WHERE "
                                                    "campaign_id = ? AND purpose = 'SEARCH'"));
  CANOPY_ASSIGN_OR_RETURN(live.search_completed,
                          count("SELECT results FROM result_count WHERE campaign_id = ? AND "
                                "purpose = 'SEARCH' AND feasible = 1"));
  CANOPY_ASSIGN_OR_RETURN(live.search_busy_ms,
                          count("SELECT busy_ms FROM result_count WHERE campaign_id = ? AND "
                                "purpose = 'SEARCH' AND feasible = 1"));
  CANOPY_ASSIGN_OR_RETURN(live.search_device_ms,
                          count("SELECT device_ms FROM result_count WHERE campaign_id = ? AND "
                                "purpose = 'SEARCH' AND feasible = 1"));
  CANOPY_ASSIGN_OR_RETURN(
      live.device_ms, count("SELECT COALESCE(SUM(device_ms), 0) FROM attempt_count WHERE campaign_id = ?"));
  return {};
}

StatusOr<std::vector<model::RungReportRecord>> ReadRungReports(Database& database, const std::string& rest,
                                                               const std::vector<SqlValue>& values) {
  CANOPY_ASSIGN_OR_RETURN(Rows rows, database.Query("SELECT " + RungReportColumns("g.") + rest, values));
  std::vector<model::RungReportRecord> reports;
  while (true) {
    CANOPY_ASSIGN_OR_RETURN(const bool more, rows.Next());
    if (!more) return reports;
    RowReader reader(rows);
    VisitRungReport(reader, reports.emplace_back());
    CANOPY_RETURN_IF_ERROR(reader.status());
  }
}

Status ReadRungs(Database& database, Live& live) {
  CANOPY_ASSIGN_OR_RETURN(
      live.reports,
      ReadRungReports(database,
                      " FROM trial t JOIN rung_report g ON g.trial_id = t.id AND g.rung = t.rung WHERE "
                      "t.campaign_id = ? AND t.state IN ('PENDING', 'LEASED', 'PAUSED') ORDER BY t.id",
                      {live.campaign.id}));
  CANOPY_ASSIGN_OR_RETURN(Rows rows, database.Query("SELECT trial_id, rung, objective FROM rung_report WHERE "
                                                    "campaign_id = ? ORDER BY event_seq",
                                                    {live.campaign.id}));
  while (true) {
    CANOPY_ASSIGN_OR_RETURN(const bool more, rows.Next());
    if (!more) return {};
    model::RungScore& score = live.rung_scores.emplace_back();
    score.trial_id = rows.Int(0);
    score.rung = rows.Int(1);
    if (!rows.IsNull(2)) score.objective = rows.Real(2);
  }
}

Status ReadRest(Database& database, Live& live) {
  CANOPY_ASSIGN_OR_RETURN(live.reference, ReadReference(database, live.campaign.id));
  CANOPY_RETURN_IF_ERROR(ReadTrials(database, live));
  CANOPY_ASSIGN_OR_RETURN(
      live.attempts,
      ReadAttempts(database, " FROM attempt a WHERE a.campaign_id = ? AND a.state = 'RUNNING' ORDER BY a.id",
                   {live.campaign.id}));
  CANOPY_ASSIGN_OR_RETURN(
      live.expired,
      ReadAttempts(database,
                   " FROM trial t JOIN attempt a ON a.id = t.last_attempt_id WHERE t.campaign_id = ? AND "
                   "t.state IN ('PENDING', 'LEASED', 'PAUSED') AND t.state <> 'LEASED' AND a.state = "
                   "'EXPIRED' ORDER BY a.id",
                   {live.campaign.id}));
  CANOPY_ASSIGN_OR_RETURN(live.best, ReadBestFinished(database, live.campaign, nullptr));
  CANOPY_ASSIGN_OR_RETURN(
      live.finals, ReadFinished(database,
                                "WHERE t.campaign_id = ? AND t.purpose = 'FINAL' AND t.state = 'COMPLETED' "
                                "ORDER BY t.id",
                                {live.campaign.id}));
  CANOPY_RETURN_IF_ERROR(ReadRungs(database, live));
  CANOPY_RETURN_IF_ERROR(ReadSignatures(database, live));
  return ReadCounts(database, live);
}

}  // namespace

StatusOr<std::vector<Live::Finished>> ReadFinished(Database& database, const std::string& rest,
                                                   const std::vector<SqlValue>& values) {
  CANOPY_ASSIGN_OR_RETURN(Rows rows,
                          database.Query("SELECT " + TrialColumns(true) + ", " + ResultColumns("r.") +
                                             ", a.worker_id FROM result r JOIN trial t ON t.id = r.trial_id "
                                             "JOIN candidate c ON c.id = t.candidate_id "
                                             "JOIN attempt a ON a.id = r.attempt_id " +
                                             rest,
                                         values));
  std::vector<Live::Finished> list;
  while (true) {
    CANOPY_ASSIGN_OR_RETURN(const bool more, rows.Next());
    if (!more) return list;
    RowReader reader(rows);
    Live::Finished& finished = list.emplace_back();
    ReadTrial(reader, finished.trial);
    VisitResult(reader, finished.result);
    reader("worker_id", finished.worker_id);
    CANOPY_RETURN_IF_ERROR(reader.status());
  }
}

StatusOr<std::optional<model::RungReportRecord>> ReadRungReport(Database& database, int64_t trial_id,
                                                                int64_t rung) {
  CANOPY_ASSIGN_OR_RETURN(
      auto reports,
      ReadRungReports(database, " FROM rung_report g WHERE g.trial_id = ? AND g.rung = ?", {trial_id, rung}));
  if (reports.empty()) return std::nullopt;
  return std::move(reports.front());
}

std::string NotSetAside() {
  return std::string("NOT EXISTS (SELECT 1 FROM set_aside s WHERE ") + kSetAsideNow + ") ";
}

StatusOr<std::optional<model::CandidateFacts>> ReadReference(Database& database, int64_t campaign_id) {
  ColumnWriter shared, writing;
  const model::CandidateFacts none;
  VisitCandidate(shared, none);
  VisitWriting(writing, none, "reference_");
  CANOPY_ASSIGN_OR_RETURN(
      Rows rows, database.Query("SELECT COALESCE(p.reference_graph_json, c.graph_json), " +
                                    shared.Names("c.") + ", " + writing.Names("p.") +
                                    " FROM campaign p JOIN candidate c ON c.id = p.reference_candidate_id "
                                    "WHERE p.id = ?",
                                {campaign_id}));
  CANOPY_ASSIGN_OR_RETURN(const bool found, rows.Next());
  if (!found) return std::nullopt;
  model::CandidateFacts reference;
  RowReader reader(rows);
  reader("reference_graph_json", reference.graph_json);
  VisitCandidate(reader, reference);
  VisitWriting(reader, reference, "reference_");
  CANOPY_RETURN_IF_ERROR(reader.status());
  return reference;
}

StatusOr<std::vector<Live>> ReadLiveCampaigns(Database& database) {
  std::vector<Live> list;
  CANOPY_ASSIGN_OR_RETURN(Rows rows,
                          database.Query("SELECT " + CampaignColumns(true) + ", " + ProgressColumns() +
                                         " FROM campaign WHERE state IN ('RUNNING', 'PAUSED', "
                                         "'FINALIZING') ORDER BY id"));
  while (true) {
    CANOPY_ASSIGN_OR_RETURN(const bool more, rows.Next());
    if (!more) break;
    Live& live = list.emplace_back();
    RowReader reader(rows);
    ReadCampaign(reader, live.campaign, true);
    VisitProgress(reader, live.progress);
    CANOPY_RETURN_IF_ERROR(reader.status());
  }
  for (Live& live : list) CANOPY_RETURN_IF_ERROR(ReadRest(database, live));
  return list;
}

StatusOr<std::vector<model::Drain>> ReadDrains(Database& database) {
  ColumnWriter columns;
  VisitDrain(columns, model::Drain());
  CANOPY_ASSIGN_OR_RETURN(Rows rows,
                          database.Query("SELECT " + columns.Names() + " FROM drain ORDER BY scope, name"));
  std::vector<model::Drain> drains;
  while (true) {
    CANOPY_ASSIGN_OR_RETURN(const bool more, rows.Next());
    if (!more) return drains;
    RowReader reader(rows);
    VisitDrain(reader, drains.emplace_back());
    CANOPY_RETURN_IF_ERROR(reader.status());
  }
}

StatusOr<std::vector<model::DeviceHealth>> ReadHealth(Database& database) {
  ColumnWriter columns;
  VisitHealth(columns, model::DeviceHealth());
  CANOPY_ASSIGN_OR_RETURN(Rows rows, database.Query("SELECT " + columns.Names() +
                                                    " FROM device_health ORDER BY host, device_uuid"));
  std::vector<model::DeviceHealth> list;
  while (true) {
    CANOPY_ASSIGN_OR_RETURN(const bool more, rows.Next());
    if (!more) return list;
    RowReader reader(rows);
    VisitHealth(reader, list.emplace_back());
    CANOPY_RETURN_IF_ERROR(reader.status());
  }
}

StatusOr<TrialStore::ProposerRows> ReadProposer(Database& database, int64_t campaign_id, int64_t last_seq) {
  // A reader that stays long keeps the WAL from beginning anew.
  constexpr int64_t kPage = 20'000;
  TrialStore::ProposerRows proposer;
  {
    CANOPY_ASSIGN_OR_RETURN(Rows rows, database.Query("SELECT state, seen_seq FROM proposer_state WHERE "
                                                      "campaign_id = ?",
                                                      {campaign_id}));
    CANOPY_ASSIGN_OR_RETURN(const bool found, rows.Next());
    if (found) {
      proposer.state = rows.Text(0);
      proposer.seen_seq = rows.Int(1);
    }
  }
  CANOPY_ASSIGN_OR_RETURN(
      const int64_t trials,
      database.QueryInt("SELECT COALESCE(SUM(trials), 0) FROM trial_count WHERE campaign_id = ? AND purpose "
                        "= 'SEARCH'",
                        {campaign_id}));
  proposer.known.reserve(static_cast<size_t>(trials));
  std::map<int64_t, int64_t> unseen;  // trial by the number of its result
  int64_t after_id = 0, read = kPage;
  while (read == kPage) {
    CANOPY_ASSIGN_OR_RETURN(
        Rows rows,
        database.Query("SELECT t.id, c.candidate_hash, t.replicate, r.seq, r.feasible, r.objective, " +
                           NotSetAside() + ", r.rung" +
                           " FROM trial t JOIN candidate c ON c.id = t.candidate_id LEFT JOIN result r ON "
                           "r.trial_id = t.id WHERE t.campaign_id = ? AND t.purpose = 'SEARCH' AND t.id > ? "
                           "ORDER BY t.id LIMIT ?",
                       {campaign_id, after_id, kPage}));
    for (read = 0;; ++read) {
      CANOPY_ASSIGN_OR_RETURN(const bool more, rows.Next());
      if (!more) break;
      after_id = rows.Int(0);
      if (rows.Int(6) == 0) continue;
      const int64_t seq = rows.IsNull(3) ? 0 : rows.Int(3);
      const bool seen = seq > 0 && seq <= proposer.seen_seq;
      proposer.known.push_back({model::CandidateKey::Of(rows.Text(1)), seen ? rows.Real(5) : 0.0,
                                static_cast<int32_t>(rows.Int(2)),
                                static_cast<int16_t>(seen ? rows.Int(7) : 0), seen,
                                !seen || rows.Int(4) != 0});
      if (seq > proposer.seen_seq && seq <= last_seq) unseen.emplace(seq, after_id);
    }
  }
  for (const auto& [seq, trial_id] : unseen) {
    CANOPY_ASSIGN_OR_RETURN(
        Rows rows,
        database.Query("SELECT t.decisions_json, c.candidate_hash, r.feasible, r.objective, r.rung FROM "
                       "trial t JOIN candidate c ON c.id = t.candidate_id JOIN result r ON "
                       "r.trial_id = t.id WHERE t.id = ?",
                       {trial_id}));
    CANOPY_ASSIGN_OR_RETURN(const bool found, rows.Next());
    if (!found) return DataLoss("trial " + std::to_string(trial_id) + " has lost its result");
    proposer.unseen.push_back({seq, rows.Text(0), rows.Text(1), rows.Int(2) != 0, rows.Real(3), rows.Int(4)});
  }
  return proposer;
}

}  // namespace canopy::storage
