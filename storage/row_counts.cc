#include "storage/row_counts.h"

#include "storage/row_mapping.h"

namespace canopy::storage {

Status RowCounts::Write() {
  for (const auto& [key, trials] : trials_) {
    if (trials == 0) continue;
    const auto& [campaign_id, purpose, state] = key;
    CANOPY_RETURN_IF_ERROR(database_
                               .Run("INSERT INTO trial_count (campaign_id, purpose, state, trials) VALUES "
                                    "(?, ?, ?, ?) ON CONFLICT "
                                    "DO UPDATE SET trials = trials + excluded.trials",
                                    {campaign_id, ToSql(purpose), ToSql(state), trials})
                               .status());
  }
  for (const auto& [key, trials] : version_trials_)
    CANOPY_RETURN_IF_ERROR(
        database_
            .Run("UPDATE space_version SET trials = trials + ? WHERE campaign_id = ? AND version = ?",
                 {trials, key.first, key.second})
            .status());
  for (const auto& [key, attempts] : attempts_) {
    if (attempts.number == 0 && attempts.device_ms == 0) continue;
    CANOPY_RETURN_IF_ERROR(
        database_
            .Run("INSERT INTO attempt_count (campaign_id, state, attempts, device_ms) VALUES (?, ?, ?, ?) ON "
                 "CONFLICT DO UPDATE SET attempts = attempts + excluded.attempts, device_ms = device_ms + "
                 "excluded.device_ms",
                 {key.first, ToSql(key.second), attempts.number, attempts.device_ms})
            .status());
  }
  for (const auto& [key, events] : events_)
    CANOPY_RETURN_IF_ERROR(
        database_
            .Run("INSERT INTO event_count (campaign_id, kind, events) VALUES (?, ?, ?) ON CONFLICT DO UPDATE "
                 "SET events = events + excluded.events",
                 {key.first, key.second, events})
            .status());
  for (const auto& [key, results] : results_) {
    const auto& [campaign_id, purpose, feasible] = key;
    CANOPY_RETURN_IF_ERROR(
        database_
            .Run("INSERT INTO result_count (campaign_id, purpose, feasible, results, busy_ms, device_ms) "
                 "VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET results = results + excluded.results, "
                 "busy_ms = busy_ms + excluded.busy_ms, device_ms = device_ms + excluded.device_ms",
                 {campaign_id, ToSql(purpose), ToSql(feasible), results.number, results.busy_ms,
                  results.device_ms})
            .status());
  }
  Forget();
  return {};
}

void RowCounts::Forget() {
  trials_.clear();
  version_trials_.clear();
  attempts_.clear();
  events_.clear();
  results_.clear();
}

}  // namespace canopy::storage
