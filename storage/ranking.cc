#include "storage/ranking.h"

#include <set>
#include <unordered_set>

#include "storage/live_rows.h"
#include "storage/row_mapping.h"

namespace canopy::storage {
namespace {

std::string Ranked(model::Goal goal, const std::string& condition) {
  return "SELECT r.trial_id FROM result r WHERE r.campaign_id = ?1 AND r.purpose = 'SEARCH' AND r.objective "
         "IS "
         "NOT NULL AND r.rung = 0 AND r.skipped = 0 " +
         condition + "ORDER BY " + BestFirst(goal);
}

}  // namespace

std::string BestFirst(model::Goal goal) {
  return goal == model::Goal::kMaximize ? "r.objective DESC, r.trial_id" : "r.objective, r.trial_id";
}

std::string RankedTrials(model::Goal goal) { return Ranked(goal, ""); }

std::string RankedTrialsThatCount(model::Goal goal) {
  return Ranked(goal,
                "AND NOT EXISTS (SELECT 1 FROM set_aside s WHERE s.campaign_id = ?1 AND s.version = (SELECT "
                "k.space_version FROM campaign k WHERE k.id = ?1) AND s.trial_id = r.trial_id) ");
}

StatusOr<std::vector<TrialStore::LiveRows::Finished>> ReadBestFinished(
    Database& database, const model::CampaignRecord& campaign,
    const std::vector<model::SetAside>* set_aside) {
  std::unordered_set<int64_t> excluded;
  if (set_aside != nullptr) {
    excluded.reserve(set_aside->size());
    for (const model::SetAside& trial : *set_aside) excluded.insert(trial.trial_id);
  }
  const model::Goal goal = campaign.settings.objective_goal;
  std::set<int64_t> candidates;  // each counts by its best trial, which comes first
  std::vector<int64_t> trials;
  {
    CANOPY_ASSIGN_OR_RETURN(
        Rows rows, database.Query(set_aside != nullptr ? RankedTrials(goal) : RankedTrialsThatCount(goal),
                                  {campaign.id}));
    while (static_cast<int64_t>(trials.size()) <= campaign.settings.finals_top) {
      CANOPY_ASSIGN_OR_RETURN(const bool more, rows.Next());
      if (!more) break;
      const int64_t trial_id = rows.Int(0);
      if (excluded.count(trial_id) > 0) continue;
      CANOPY_ASSIGN_OR_RETURN(const int64_t candidate_id,
                              database.QueryInt("SELECT candidate_id FROM trial WHERE id = ?", {trial_id}));
      if (candidates.insert(candidate_id).second) trials.push_back(trial_id);
    }
  }
  std::vector<TrialStore::LiveRows::Finished> best;
  for (const int64_t trial_id : trials) {
    CANOPY_ASSIGN_OR_RETURN(auto one, ReadFinished(database, "WHERE t.id = ?", {trial_id}));
    best.push_back(std::move(one.at(0)));
  }
  return best;
}

Status WriteSetAside(Database& database, int64_t campaign_id, int64_t version,
                     const std::vector<model::SetAside>& set_aside) {
  CANOPY_ASSIGN_OR_RETURN(
      Statement insert,
      database.Prepare("INSERT INTO set_aside (campaign_id, version, trial_id, reason) VALUES (?, ?, ?, ?)"));
  for (const model::SetAside& trial : set_aside) {
    insert.Bind(1, campaign_id);
    insert.Bind(2, version);
    insert.Bind(3, trial.trial_id);
    insert.Bind(4, std::string_view(trial.reason));
    CANOPY_RETURN_IF_ERROR(insert.Run(4).status());
  }
  return {};
}

StatusOr<bool> SkipSetAside(Database& database, int64_t campaign_id, int64_t version, int64_t limit) {
  int64_t after = 0;
  {
    CANOPY_ASSIGN_OR_RETURN(
        Rows rows,
        database.Query("SELECT v.skipped_up_to FROM campaign c JOIN space_version v ON v.campaign_id = c.id "
                       "AND v.version = c.space_version WHERE c.id = ? AND v.version = ?",
                       {campaign_id, version}));
    CANOPY_ASSIGN_OR_RETURN(const bool current, rows.Next());
    if (!current) return true;
    after = rows.Int(0);
  }
  CANOPY_ASSIGN_OR_RETURN(
      const int64_t last,
      database.QueryInt(
          "SELECT COALESCE(MAX(trial_id), 0) FROM (SELECT trial_id FROM set_aside WHERE campaign_id = ? "
          "AND version = ? AND trial_id > ? ORDER BY trial_id LIMIT ?)",
          {campaign_id, version, after, limit}));
  if (last == 0) return true;
  CANOPY_RETURN_IF_ERROR(database
                             .Run("UPDATE result SET skipped = 1 WHERE skipped = 0 AND trial_id IN (SELECT "
                                  "trial_id FROM set_aside WHERE "
                                  "campaign_id = ? AND version = ? AND trial_id > ? AND trial_id <= ?)",
                                  {campaign_id, version, after, last})
                             .status());
  CANOPY_RETURN_IF_ERROR(
      database
          .Run("UPDATE space_version SET skipped_up_to = ? WHERE campaign_id = ? AND version = ?",
               {last, campaign_id, version})
          .status());
  return false;
}

Status RankAgain(Database& database, const std::vector<int64_t>& trials) {
  for (const int64_t trial_id : trials)
    CANOPY_RETURN_IF_ERROR(
        database.Run("UPDATE result SET skipped = 0 WHERE trial_id = ? AND skipped = 1", {trial_id})
            .status());
  return {};
}

}  // namespace canopy::storage
