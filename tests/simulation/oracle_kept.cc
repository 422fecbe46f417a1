// What the database says of results that workers kept over a restore: docs/backup.md.
#include <utility>

#include "tests/simulation/oracle.h"
#include "tests/simulation/oracle_rows.h"

namespace canopy::simulation {
namespace {

constexpr std::string_view kAdopted = "kept/";

bool IsAdopted(const std::string& request_id) { return request_id.rfind(kAdopted, 0) == 0; }

}  // namespace

bool Oracle::SameMeasurement(const Made& made, const Trial& trial) {
  return made.candidate_hash == trial.candidate_hash && made.purpose == trial.purpose &&
         made.replicate == trial.replicate && made.campaign_seed == trial.campaign_seed &&
         (made.purpose == "PROXY" || made.epochs == trial.epochs);
}

void Oracle::CheckAdopted(const Attempt& attempt, int64_t id, const Made& made, const Rows& rows) {
  const std::string name = Name("attempt", id);
  if (!IsAdopted(attempt.request_id) || attempt.request_id.substr(kAdopted.size()) != attempt.result_id) {
    Violated(name + " has the outcome of another lease: attempt " + std::to_string(made.attempt_id) +
             ", fence " + std::to_string(made.fence));
    return;
  }
  if (made.incarnation >= rows.incarnation)
    Violated(name + " is of a result that was kept over a restore, and there was none since");
  if (!made.in_full) Violated(name + " is of a result that was kept, and is none");
  if (made.worker_id != attempt.worker_id)
    Violated(name + " has a result that another worker kept, " + made.worker_id);
  if (attempt.fence <= made.fence)
    Violated(name + " has adopted a result under fence " + std::to_string(attempt.fence) +
             ", which is no newer than its own, " + std::to_string(made.fence));
  const auto trial = rows.trials.find(attempt.trial_id);
  if (trial == rows.trials.end() || !SameMeasurement(made, trial->second))
    Violated(name + " has adopted a result that measured something else than its trial does");
}

void Oracle::CheckKept(storage::Database& database, const Rows& rows) {
  if (rows.incarnation == 1) return;
  int64_t incarnation = 1;
  std::map<int64_t, bool> settled;       // campaigns
  std::map<int64_t, bool> there, ended;  // trials
  const auto refused = [&](const std::string& result_id, const std::string& why) {
    const auto made = made_.find(result_id);
    if (made == made_.end() || made->second.incarnation >= incarnation || !made->second.in_full) return;
    const auto trial = rows.trials.find(made->second.trial_id);
    if (trial == rows.trials.end() || !there[trial->first] || ended[trial->first] ||
        !SameMeasurement(made->second, trial->second))
      return;
    if (trial->second.epochs_requested == 0 && !settled[trial->second.campaign_id]) return;
    Violated("result " + result_id + " was kept over a restore and refused (" + why + "), and " +
             Name("trial", trial->first) + " waited for it");
  };
  const Status read = ForEach(
      database,
      "SELECT kind, COALESCE(trial_id, 0), COALESCE(campaign_id, 0), COALESCE(json_extract(payload_json, "
      "'$.result_id'), ''), COALESCE(json_extract(payload_json, '$.incarnation'), 0), "
      "COALESCE(json_extract(payload_json, '$.why'), '') FROM event WHERE kind IN ('trial_ended', "
      "'outcome_archived', 'fidelity_settled', 'database_restored', 'proposal_accepted', 'attempt_started') "
      "ORDER BY seq",
      [&](const storage::Rows& row) {
        const std::string kind = row.Text(0);
        if (kind == "proposal_accepted" || kind == "attempt_started") {
          there[row.Int(1)] = true;
        } else if (kind == "trial_ended") {
          ended[row.Int(1)] = true;
        } else if (kind == "fidelity_settled") {
          settled[row.Int(2)] = true;
        } else if (kind == "database_restored") {
          incarnation = row.Int(4);
        } else {
          if (row.Text(5).empty()) Violated("outcome " + row.Text(3) + " was archived without a reason");
          refused(row.Text(3), row.Text(5));
        }
      });
  if (!read.ok()) Violated("the log of kept results cannot be read: " + std::string(read.message()));
  if (incarnation != rows.incarnation)
    Violated("the database's incarnation is " + std::to_string(rows.incarnation) + ", and its log says " +
             std::to_string(incarnation));
}

void Oracle::VerifyKept(const std::string& path, const std::vector<const KeptResults*>& kept) {
  const auto database = storage::Database::Open(path, storage::Database::Mode::kReadOnly);
  Rows rows;
  if (!database.ok() || !Read(**database, rows).ok()) return Violated("the database cannot be read");
  for (const KeptResults* const results : kept)
    for (const auto& [result_id, entry] : results->entries()) {
      const bool counts = rows.attempt_of.count(result_id) > 0, archived = rows.archived.count(result_id) > 0;
      if (entry.outcome.incarnation != rows.incarnation)
        Violated("result " + result_id + " was kept over a restore, and not offered again");
      if (counts == archived)
        Violated("result " + result_id + " is kept by its worker, and the database " +
                 (counts ? "has counted and archived it" : "does not know it"));
    }
  trials_ = static_cast<int64_t>(rows.trials.size());
  results_ = static_cast<int64_t>(rows.results.size());
  attempts_ = static_cast<int64_t>(rows.attempts.size());
  for (const auto& [id, attempt] : rows.attempts) adopted_ += IsAdopted(attempt.request_id) ? 1 : 0;
}

}  // namespace canopy::simulation
