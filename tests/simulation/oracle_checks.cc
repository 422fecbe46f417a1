#include <algorithm>
#include <cstdio>
#include <memory>
#include <utility>

#include "tests/simulation/chained_strategy.h"
#include "tests/simulation/oracle.h"
#include "tests/simulation/oracle_rows.h"

namespace canopy::simulation {
namespace {

using controller::OutcomeVerdict;
using storage::Database;

bool IsEnded(const std::string& state) {
  return state != "PENDING" && state != "LEASED" && state != "PAUSED";
}

}  // namespace

Status Oracle::Read(Database& database, Rows& rows) const {
  CANOPY_RETURN_IF_ERROR(ForEach(
      database,
      "SELECT id, trial_id, fence, worker_id, request_id, state, COALESCE(failure, ''), result_id FROM "
      "attempt ORDER BY id",
      [&](const storage::Rows& row) {
        rows.attempts[row.Int(0)] = {row.Int(1),  row.Int(2),  row.Text(3), row.Text(4),
                                     row.Text(5), row.Text(6), row.Text(7)};
        if (!row.Text(7).empty()) ++rows.attempts_of[row.Text(7)], rows.attempt_of[row.Text(7)] = row.Int(0);
      }));
  CANOPY_RETURN_IF_ERROR(ForEach(
      database,
      "SELECT t.id, t.campaign_id, COALESCE(t.last_attempt_id, 0), t.purpose, t.state, t.rung, t.replicate, "
      "c.candidate_hash, p.seed, p.epochs, p.epochs_requested FROM trial t JOIN candidate c ON c.id = "
      "t.candidate_id JOIN campaign p ON p.id = t.campaign_id",
      [&](const storage::Rows& row) {
        rows.trials[row.Int(0)] = {row.Int(1), row.Int(2),  row.Text(3), row.Text(4), row.Int(5),
                                   row.Int(6), row.Text(7), row.Text(8), row.Int(9),  row.Int(10)};
      }));
  CANOPY_RETURN_IF_ERROR(
      ForEach(database,
              "SELECT trial_id, attempt_id, campaign_id, seq, purpose, result_id, feasible, rung FROM result",
              [&](const storage::Rows& row) {
                rows.results[row.Int(0)] = {row.Int(1),  row.Int(2),      row.Int(3), row.Text(4),
                                            row.Text(5), row.Int(6) != 0, row.Int(7)};
              }));
  CANOPY_RETURN_IF_ERROR(ForEach(
      database,
      "SELECT trial_id, rung, attempt_id, fence, action, epoch || ' ' || metrics_json || ' ' || event_seq "
      "FROM rung_report",
      [&](const storage::Rows& row) {
        rows.reports[{row.Int(0), row.Int(1)}] = {
            row.Int(2), row.Int(3), row.Text(4),
            std::to_string(row.Int(2)) + " " + row.Text(4) + " " + row.Text(5)};
      }));
  CANOPY_RETURN_IF_ERROR(ForEach(database,
                                 "SELECT result_id, COUNT(*) FROM archived_outcome GROUP BY result_id",
                                 [&](const storage::Rows& row) { rows.archived[row.Text(0)] = row.Int(1); }));
  CANOPY_RETURN_IF_ERROR(ForEach(database, "SELECT id FROM request",
                                 [&](const storage::Rows& row) { rows.requests.insert(row.Text(0)); }));
  const auto number = [&](std::string_view sql, int64_t* value) -> Status {
    CANOPY_ASSIGN_OR_RETURN(*value, database.QueryInt(sql));
    return {};
  };
  CANOPY_RETURN_IF_ERROR(
      number("SELECT CAST(value AS INTEGER) FROM meta WHERE name = 'incarnation'", &rows.incarnation));
  CANOPY_RETURN_IF_ERROR(number("SELECT value FROM counter WHERE name = 'next_fence'", &rows.next_fence));
  CANOPY_RETURN_IF_ERROR(
      number("SELECT value FROM counter WHERE name = 'next_event_seq'", &rows.next_event_seq));
  CANOPY_RETURN_IF_ERROR(number("SELECT MAX(seq) FROM event", &rows.last_event));
  return number("SELECT COUNT(*) FROM event", &rows.events);
}

void Oracle::Verify(const std::string& path, bool check_integrity) {
  auto database = Database::Open(path, Database::Mode::kReadOnly);
  Rows rows;
  const Status read = database.ok() ? Read(**database, rows) : database.status();
  if (!read.ok()) return Violated("the database cannot be read: " + std::string(read.message()));
  if (check_integrity) {
    const Status checked = ForEach(**database, "PRAGMA integrity_check", [&](const storage::Rows& row) {
      if (row.Text(0) != "ok") Violated("the database is damaged: " + row.Text(0));
    });
    if (!checked.ok()) Violated("the database cannot be checked: " + std::string(checked.message()));
  }
  CheckPromises(rows);
  CheckAttempts(rows);
  CheckResults(rows);
  CheckRungs(**database, rows);
  CheckRetries(rows);
  CheckLog(**database, rows);
  CheckStrategies(**database);
  CheckBudgets(**database);
  CheckKept(**database, rows);
}

void Oracle::CheckPromises(const Rows& rows) {
  for (const auto& [attempt_id, lease] : history_.leases) {
    const auto found = rows.attempts.find(attempt_id);
    if (found == rows.attempts.end())
      Violated(Name("attempt", attempt_id) + " was leased to " + lease.worker_id + ", and is not there");
    else if (found->second.trial_id != lease.trial_id || found->second.fence != lease.fence ||
             found->second.worker_id != lease.worker_id || found->second.request_id != lease.request_id)
      Violated(Name("attempt", attempt_id) + " is not what was leased");
  }
  for (const auto& [result_id, verdict] : history_.verdicts) {
    const auto made = made_.find(result_id);
    const auto attempt = rows.attempt_of.find(result_id);
    const bool counted = attempt != rows.attempt_of.end();
    if (verdict == OutcomeVerdict::kArchived && rows.archived.count(result_id) == 0)
      Violated("outcome " + result_id + " was acknowledged as archived, and is not there");
    if (verdict == OutcomeVerdict::kArchived && counted)
      Violated("outcome " + result_id + " was acknowledged as archived, and counts");
    if (verdict == OutcomeVerdict::kAccepted && !counted)
      Violated("outcome " + result_id + " of " + Name("attempt", made->second.attempt_id) +
               " was acknowledged, and is not there");
  }
  for (const auto& [request_id, answer] : history_.answers)
    if (rows.requests.count(request_id) == 0)
      Violated("request " + request_id + " was answered, and is not there");
}

void Oracle::CheckAttempts(const Rows& rows) {
  int64_t fence = 0;
  std::map<int64_t, int64_t> newest;  // by trial
  for (const auto& [id, attempt] : rows.attempts) {
    if (attempt.fence <= fence) Violated(Name("attempt", id) + " has a fence that has not grown");
    fence = attempt.fence;
    newest[attempt.trial_id] = id;
  }
  if (fence >= std::max<int64_t>(rows.next_fence, 1)) Violated("the next fence was given out already");
  if (rows.next_fence < history_.highest_fence) Violated("the next fence has shrunk");
  history_.highest_fence = rows.next_fence;

  for (const auto& [id, attempt] : rows.attempts) {
    const bool replaced = newest.at(attempt.trial_id) != id;
    if (replaced && attempt.state == "RUNNING")
      Violated(Name("attempt", id) + " runs, and its trial has a newer one");
    const std::string text = attempt.state + " " + attempt.failure + " " + attempt.result_id;
    const auto before = history_.replaced.find(id);
    if (before != history_.replaced.end() && before->second != text)
      Violated(Name("attempt", id) + " was '" + before->second +
               "' when its trial had a newer one, and is '" + text + "' now");
    if (replaced) history_.replaced[id] = text;
    if (attempt.result_id.empty()) continue;
    const auto made = made_.find(attempt.result_id);
    if (made == made_.end()) {
      Violated(Name("attempt", id) + " has an outcome that nobody made");
      continue;
    }
    if (made->second.attempt_id != id || made->second.fence != attempt.fence ||
        made->second.worker_id != attempt.worker_id)
      CheckAdopted(attempt, id, made->second, rows);
    else if (made->second.incarnation != rows.incarnation &&
             history_.older_results.count(attempt.result_id) == 0)
      Violated(Name("attempt", id) + " has an outcome of incarnation " +
               std::to_string(made->second.incarnation) + ", applied by fence under another");
    if (rows.archived.count(attempt.result_id) > 0)
      Violated("outcome " + attempt.result_id + " counts, and is archived too");
  }
  for (const auto& [result_id, times] : rows.attempts_of)
    if (times > 1) Violated("outcome " + result_id + " counts for " + std::to_string(times) + " attempts");
  for (const auto& [result_id, times] : rows.archived)
    if (times > 1) Violated("outcome " + result_id + " is archived " + std::to_string(times) + " times");
}

void Oracle::CheckResults(const Rows& rows) {
  for (const auto& [trial_id, result] : rows.results) {
    const auto trial = rows.trials.find(trial_id);
    const auto attempt = rows.attempts.find(result.attempt_id);
    if (trial == rows.trials.end() || attempt == rows.attempts.end() ||
        attempt->second.trial_id != trial_id) {
      Violated(Name("the result of trial", trial_id) + " is of no attempt of it");
      continue;
    }
    const bool newest = result.feasible ? result.rung == 0 : trial->second.rung == 0;
    if (newest && trial->second.last_attempt_id != result.attempt_id)
      Violated(Name("the result of trial", trial_id) + " is of an older lease than the newest");
    if (trial->second.state != (!result.feasible ? "INFEASIBLE" : result.rung == 0 ? "COMPLETED" : "STOPPED"))
      Violated(Name("trial", trial_id) + " has a result, and is " + trial->second.state);
    // Of a trial that was stopped while it waited, no worker knows.
    const bool own = result.rung > 0 && result.result_id.empty();
    if (result.feasible && !own && attempt->second.result_id != result.result_id)
      Violated(Name("the result of trial", trial_id) + " is not its attempt's");
  }
  for (const auto& [trial_id, trial] : rows.trials) {
    if ((trial.state == "COMPLETED" || trial.state == "STOPPED") && rows.results.count(trial_id) == 0)
      Violated(Name("trial", trial_id) + " is " + trial.state + ", and has no result");
    const auto before = history_.ended.find(trial_id);
    if (before != history_.ended.end() && before->second != trial.state)
      Violated(Name("trial", trial_id) + " was " + before->second + " for good, and is " + trial.state);
    if (IsEnded(trial.state)) history_.ended[trial_id] = trial.state;
  }
  // A late success is accepted where nobody was given the trial meanwhile.
  for (const auto& [result_id, verdict] : history_.verdicts) {
    const auto made = made_.find(result_id);
    if (verdict != OutcomeVerdict::kArchived || made == made_.end() || !made->second.succeeded ||
        made->second.incarnation != rows.incarnation)
      continue;
    const auto trial = rows.trials.find(made->second.trial_id);
    if (trial != rows.trials.end() && !IsEnded(trial->second.state) &&
        trial->second.last_attempt_id == made->second.attempt_id)
      Violated("outcome " + result_id + " of the newest lease of " + Name("trial", trial->first) +
               " was archived, and the trial waits");
  }
}

void Oracle::CheckRungs(Database& database, const Rows& rows) {
  std::map<int64_t, int64_t> highest;  // by trial
  for (const auto& [key, report] : rows.reports) {
    const auto& [trial_id, rung] = key;
    const std::string name = Name("rung", rung) + " of " + Name("trial", trial_id);
    highest[trial_id] = rung;
    const auto attempt = rows.attempts.find(report.attempt_id);
    if (attempt == rows.attempts.end() || attempt->second.trial_id != trial_id ||
        attempt->second.fence != report.fence)
      Violated(name + " was reported under no lease of the trial");
    const auto [before, first] = history_.reports.emplace(key, report.text);
    if (!first && before->second != report.text)
      Violated(name + " was accepted as '" + before->second + "', and is '" + report.text + "'");
  }
  for (const auto& [key, text] : history_.reports)
    if (rows.reports.count(key) == 0)
      Violated(Name("rung", key.second) + " of " + Name("trial", key.first) +
               " was accepted, and is not there");
  for (const auto& [key, attempt_id] : history_.pauses) {
    const auto report = rows.reports.find(key);
    if (report == rows.reports.end() || report->second.attempt_id != attempt_id ||
        report->second.action != "PAUSE")
      Violated(Name("attempt", attempt_id) + " was told to pause at rung " + std::to_string(key.second) +
               ", and the database does not know");
  }
  for (const auto& [trial_id, trial] : rows.trials) {
    if (trial.rung != highest[trial_id])
      Violated(Name("trial", trial_id) + " is at rung " + std::to_string(trial.rung) + ", and has reported " +
               std::to_string(highest[trial_id]));
    const auto last = rows.attempts.find(trial.last_attempt_id);
    if (trial.state == "PAUSED" && last != rows.attempts.end() && last->second.state == "RUNNING")
      Violated(Name("trial", trial_id) + " waits at a rung, and runs");
    const auto result = rows.results.find(trial_id);
    if (trial.state != "STOPPED" || result == rows.results.end()) continue;
    const auto report = rows.reports.find({trial_id, result->second.rung});
    if (result->second.rung != trial.rung || report == rows.reports.end() ||
        report->second.attempt_id != result->second.attempt_id)
      Violated(Name("trial", trial_id) + " was stopped with another result than its rung's");
  }
  std::map<std::pair<int64_t, int64_t>, int64_t> logged;
  const Status read =
      ForEach(database,
              "SELECT trial_id, json_extract(payload_json, '$.rung') FROM event WHERE kind = 'rung_reported'",
              [&](const storage::Rows& row) {
                ++logged[{row.Int(0), row.Int(1)}];
              });
  if (!read.ok()) Violated("the log of rungs cannot be read: " + std::string(read.message()));
  if (logged.size() != rows.reports.size()) Violated("a rung's report is not in the log");
  for (const auto& [key, times] : logged)
    if (times != 1)
      Violated(Name("rung", key.second) + " of " + Name("trial", key.first) + " was accepted " +
               std::to_string(times) + " times");
}

void Oracle::CheckRetries(const Rows& rows) {
  struct Bound {
    const char* failure;
    int64_t attempts;
  };
  constexpr Bound kBounds[] = {{"TRAINER_CRASH", 2}, {"TIMEOUT", 2},           {"OUT_OF_MEMORY", 2},
                               {"DIVERGED", 1},      {"INVALID_CANDIDATE", 1}, {"DATA", 11}};
  std::map<int64_t, std::map<std::string, int64_t>> failures;
  for (const auto& [id, attempt] : rows.attempts)
    if (!attempt.failure.empty()) ++failures[attempt.trial_id][attempt.failure];
  for (auto& [trial_id, by_class] : failures) {
    for (const Bound& bound : kBounds)
      if (by_class[bound.failure] > bound.attempts)
        Violated(Name("trial", trial_id) + " was tried again " + std::to_string(by_class[bound.failure]) +
                 " times after " + bound.failure);
    if (by_class["PREEMPTED"] + by_class["WORKER_LOST"] > 51)
      Violated(Name("trial", trial_id) + " was interrupted more than 51 times");
  }
}

void Oracle::CheckLog(Database& database, const Rows& rows) {
  if (rows.events != rows.last_event || rows.last_event != std::max<int64_t>(rows.next_event_seq, 1) - 1)
    Violated("the log has " + std::to_string(rows.events) + " events, its last is " +
             std::to_string(rows.last_event) + ", and the next is " + std::to_string(rows.next_event_seq));
  if (rows.events < history_.events) Violated("the log has shrunk");
  history_.events = rows.events;
  std::map<int64_t, int64_t> last_seq;
  std::map<int64_t, int64_t> accepted;
  const Status read =
      ForEach(database,
              "SELECT trial_id, campaign_id, json_extract(payload_json, '$.seq') FROM event WHERE kind = "
              "'result_accepted' ORDER BY seq",
              [&](const storage::Rows& row) {
                const auto result = rows.results.find(row.Int(0));
                ++accepted[row.Int(0)];
                if (result == rows.results.end() || result->second.seq != row.Int(2))
                  return Violated(Name("trial", row.Int(0)) + " has another result than the log says");
                if (result->second.purpose != "SEARCH") return;
                if (row.Int(2) != ++last_seq[row.Int(1)])
                  Violated(Name("campaign", row.Int(1)) + " has result " + std::to_string(row.Int(2)) +
                           " out of order");
              });
  if (!read.ok()) Violated("the log cannot be read: " + std::string(read.message()));
  for (const auto& [trial_id, times] : accepted)
    if (times != 1) Violated(Name("trial", trial_id) + " had " + std::to_string(times) + " results accepted");
  if (accepted.size() != rows.results.size()) Violated("a result is not in the log");
}

void Oracle::CheckStrategies(Database& database) {
  std::map<int64_t, std::string> chains;
  const Status recomputed = ForEach(
      database,
      "SELECT r.campaign_id, t.decisions_json, r.feasible, r.objective FROM result r JOIN trial t ON t.id = "
      "r.trial_id JOIN proposer_state s ON s.campaign_id = r.campaign_id JOIN campaign p ON p.id = "
      "r.campaign_id WHERE r.purpose = 'SEARCH' AND r.seq <= s.seen_seq AND p.duplicates = 'evaluate' ORDER "
      "BY r.campaign_id, r.seq",
      [&](const storage::Rows& row) {
        std::string& chain = chains[row.Int(0)];
        chain = ChainedStrategy::Link(chain, row.Text(1), row.Int(2) != 0, row.Real(3));
      });
  const Status compared = ForEach(
      database,
      "SELECT s.campaign_id, s.state FROM proposer_state s JOIN campaign p ON p.id = s.campaign_id WHERE "
      "p.duplicates = 'evaluate'",
      [&](const storage::Rows& row) {
        if (ChainedStrategy::ChainOf(row.Text(1)) != chains[row.Int(0)])
          Violated(Name("the strategy of campaign", row.Int(0)) +
                   " has not seen each result once and in the order of their commits");
      });
  if (!recomputed.ok() || !compared.ok()) Violated("the strategies' states cannot be read");
}

void Oracle::CheckBudgets(Database& database) {
  const Status read = ForEach(
      database,
      "SELECT p.id, p.budget_trials, COUNT(*) FROM campaign p JOIN trial t ON t.campaign_id = p.id AND "
      "t.purpose = 'SEARCH' WHERE p.budget_trials > 0 GROUP BY p.id",
      [&](const storage::Rows& row) {
        if (row.Int(2) > row.Int(1))
          Violated(Name("campaign", row.Int(0)) + " has " + std::to_string(row.Int(2)) +
                   " trials, and its budget is " + std::to_string(row.Int(1)));
      });
  // By the log, in the order of its events: what was charged when a trial began, those aside whose result a
  // worker had kept. An attempt that came back after its end is charged at the last one.
  std::map<int64_t, int64_t> charged, last_end;
  const Status ends = ForEach(
      database, "SELECT attempt_id, MAX(seq) FROM event WHERE kind = 'attempt_ended' GROUP BY attempt_id",
      [&](const storage::Rows& row) { last_end[row.Int(0)] = row.Int(1); });
  const Status spent = ForEach(
      database,
      "SELECT e.seq, e.kind, a.id, a.campaign_id, t.purpose, p.budget_device_ms, CAST(ROUND(a.allocated_ms * "
      "a.device_count * a.device_share) AS INTEGER) FROM event e JOIN attempt a ON a.id = e.attempt_id JOIN "
      "trial t ON t.id = a.trial_id JOIN campaign p ON p.id = a.campaign_id WHERE e.kind IN "
      "('attempt_started', 'attempt_ended') AND p.budget_device_ms > 0 AND a.request_id NOT LIKE "
      "'kept/%' ORDER BY e.seq",
      [&](const storage::Rows& row) {
        int64_t& sum = charged[row.Int(3)];
        if (row.Text(1) == "attempt_ended") {
          if (last_end[row.Int(2)] == row.Int(0)) sum += row.Int(6);
        } else if (row.Text(4) == "SEARCH" && sum >= row.Int(5)) {
          Violated(Name("attempt", row.Int(2)) + " was begun after " + Name("campaign", row.Int(3)) +
                   " had used " + std::to_string(sum) + " ms of its " + std::to_string(row.Int(5)) +
                   " ms of device time");
        }
      });
  const Status counted =
      ForEach(database,
              "SELECT a.campaign_id, SUM(a.device_ms), (SELECT SUM(c.device_ms) FROM attempt_count c WHERE "
              "c.campaign_id = a.campaign_id) FROM attempt a GROUP BY a.campaign_id",
              [&](const storage::Rows& row) {
                if (row.Int(1) != row.Int(2))
                  Violated(Name("campaign", row.Int(0)) + " is charged for " + std::to_string(row.Int(2)) +
                           " ms of device time, and its attempts had " + std::to_string(row.Int(1)));
              });
  for (const Status& one : {read, ends, spent, counted})
    if (!one.ok()) Violated("the budgets cannot be read: " + std::string(one.message()));
}

void Oracle::VerifyEnd(const std::string& path) {
  Verify(path, true);
  auto database = Database::Open(path, Database::Mode::kReadOnly);
  if (!database.ok()) return;
  const Status read =
      ForEach(**database,
              "SELECT 'trial', id, state FROM trial WHERE state IN ('PENDING', 'LEASED', 'PAUSED') UNION ALL "
              "SELECT 'attempt', id, state FROM attempt WHERE state = 'RUNNING' UNION ALL SELECT 'campaign', "
              "id, state FROM campaign WHERE state NOT IN ('COMPLETED', 'CANCELLED', 'FAILED')",
              [&](const storage::Rows& row) {
                Violated("faults have ended, and " + row.Text(0) + " " + std::to_string(row.Int(1)) +
                         " is still " + row.Text(2));
              });
  if (!read.ok()) Violated("the database cannot be read: " + std::string(read.message()));
}

}  // namespace canopy::simulation
