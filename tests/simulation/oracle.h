#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "storage/database.h"
#include "tests/simulation/kept_results.h"
#include "tests/simulation/messages.h"

namespace canopy::simulation {

// Says whether the controller kept its promises: what it answered must be in the database, and the database
// must obey the invariants (ARCHITECTURE.md), whatever failed in between. It knows the protocol and the
// documented tables, and nothing of the core.
class Oracle {
 public:
  // The controller's reply has left it; `database` is what it serves, the time that of the simulation.
  void Replied(const Request& request, const Reply& reply, const DatabaseName& database, int64_t now_ms);
  // A worker has an outcome on its disk.
  void OutcomeMade(const std::string& worker_id, const controller::Lease& lease,
                   const controller::AttemptOutcome& outcome);
  // A controller was rebuilt from the database.
  void Rebuilt(const std::string& text, const std::vector<std::string>& expected);
  // Reads the whole database. REQUIRES that the controller is at rest.
  void Verify(const std::string& path, bool check_integrity);
  // The same when faults have ended and all campaigns have: nothing waits any more.
  void VerifyEnd(const std::string& path);
  // Then the database knows of all that workers kept.
  void VerifyKept(const std::string& path, const std::vector<const KeptResults*>& kept);

  // An older copy is put back: what was promised since is void. Incarnations grow.
  struct History {
    struct Leased {
      int64_t trial_id = 0, fence = 0;
      std::string worker_id, request_id;
    };
    std::map<int64_t, Leased> leases;                            // by attempt
    std::map<std::string, controller::OutcomeVerdict> verdicts;  // by result id
    std::map<std::string, std::string> answers;                  // by request id
    std::map<int64_t, std::string> replaced;                     // attempts whose trial has a newer one
    std::map<int64_t, std::string> ended;                        // trials
    std::map<std::pair<int64_t, int64_t>, std::string> reports;  // by trial and rung, as they were accepted
    std::map<std::pair<int64_t, int64_t>, int64_t> pauses;  // attempts that were told so, by trial and rung
    std::set<std::string> older_results;                    // that an earlier incarnation had committed
    // How long campaigns with a duration were running at the least: between two leases of one process, where
    // nobody resumed the campaign in between.
    struct Ran {
      int64_t ms = 0, last_lease_ms = -1;
    };
    std::map<int64_t, Ran> ran;
    int64_t highest_fence = 0, events = 0;
  };
  const History& history() const { return history_; }
  void Rewind(History history, const std::string& path);

  void Violated(const std::string& what);
  const std::vector<std::string>& violations() const { return violations_; }
  // What was checked, for the report.
  int64_t promises() const { return promises_; }
  // Of the database, as of VerifyKept.
  int64_t adopted() const { return adopted_; }  // kept results that counted
  int64_t trials() const { return trials_; }
  int64_t results() const { return results_; }
  int64_t attempts() const { return attempts_; }

 private:
  struct Made {
    std::string worker_id;
    int64_t trial_id = 0, attempt_id = 0, fence = 0, incarnation = 0;
    bool succeeded = false, in_full = false;
    // What its lease was for.
    std::string candidate_hash, purpose, campaign_seed;
    int64_t replicate = 0, epochs = 0;
  };
  struct Attempt {
    int64_t trial_id = 0, fence = 0;
    std::string worker_id, request_id, state, failure, result_id;
  };
  struct Trial {
    int64_t campaign_id = 0, last_attempt_id = 0;
    std::string purpose, state;
    int64_t rung = 0;
    int64_t replicate = 0;
    std::string candidate_hash, campaign_seed;
    int64_t epochs = 0, epochs_requested = 0;
  };
  struct Result {
    int64_t attempt_id = 0, campaign_id = 0, seq = 0;
    std::string purpose, result_id;
    bool feasible = true;
    int64_t rung = 0;
  };
  struct Report {
    int64_t attempt_id = 0, fence = 0;
    std::string action;
    std::string text;  // all of it
  };
  // The database as it is.
  struct Rows {
    int64_t incarnation = 0, next_fence = 0, next_event_seq = 0, events = 0, last_event = 0;
    std::map<int64_t, Attempt> attempts;
    std::map<int64_t, Trial> trials;
    std::map<int64_t, Result> results;                       // by trial
    std::map<std::pair<int64_t, int64_t>, Report> reports;   // by trial and rung
    std::map<std::string, int64_t> attempt_of, attempts_of;  // by result id: one, and how many
    std::map<std::string, int64_t> archived;                 // result ids, how often
    std::set<std::string> requests;
  };
  Status Read(storage::Database& database, Rows& rows) const;
  void CheckPromises(const Rows& rows);
  void CheckAttempts(const Rows& rows);
  void CheckResults(const Rows& rows);
  void CheckRungs(storage::Database& database, const Rows& rows);
  void CheckRetries(const Rows& rows);
  void CheckLog(storage::Database& database, const Rows& rows);
  void CheckStrategies(storage::Database& database);
  void CheckBudgets(storage::Database& database);
  void CheckKept(storage::Database& database, const Rows& rows);
  // An attempt's outcome was made under another lease.
  void CheckAdopted(const Attempt& attempt, int64_t id, const Made& made, const Rows& rows);
  static bool SameMeasurement(const Made& made, const Trial& trial);
  void TakeLease(const ExchangeRequest& request, const controller::Lease& lease, int64_t now_ms);
  void TakeRungAnswer(const RungRequest& request, const RungReply& reply);
  void TakeVerdict(const ExchangeRequest& request, const ExchangeReply& reply, const DatabaseName& database);

  History history_;
  std::map<std::string, Made> made_;  // by result id
  std::vector<std::string> violations_;
  int64_t promises_ = 0, adopted_ = 0, trials_ = 0, results_ = 0, attempts_ = 0;
};

}  // namespace canopy::simulation
