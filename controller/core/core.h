#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "controller/core/effects.h"
#include "controller/core/events.h"
#include "controller/core/fidelity_schedule.h"

namespace canopy::controller {

// The two clocks, as values. Monotonic time drives leases and budgets; wall time only stamps records.
struct Now {
  int64_t monotonic_ms = 0;
  int64_t wall_us = 0;
};

struct CoreLimits {
  int64_t lease_ttl_ms = 30'000;
  int64_t heartbeat_interval_ms = 5'000;
  int64_t worker_forgotten_ms = 120'000;  // its slots no longer count for the queue's target
  int64_t max_live_campaigns = 10'000;
  // How long a trial that ran out of memory waits for a worker with more before it is INFEASIBLE.
  int64_t larger_worker_wait_ms = 3'600'000;
  // Slots of a project beside the others, in proportion; 1 for those that are not named.
  std::map<std::string, int64_t> project_shares;
};

// What a restarted controller finds in its database: live campaigns with their live trials and running
// attempts. Terminal rows stay in the database.
struct LiveCampaign {
  model::CampaignRecord campaign;
  model::CampaignProgress progress;
  std::optional<model::CandidateFacts> reference;
  std::vector<model::TrialRecord> trials;        // not terminal, ascending id
  std::vector<model::AttemptRecord> attempts;    // running, ascending id
  std::vector<model::AttemptRecord> expired;     // the newest of trials that wait, where they expired
  std::vector<model::RungReportRecord> reports;  // the newest of each live trial
  std::vector<model::RungScore> rung_scores;     // of all of its trials, in the order of their acceptance
  // The finals_top + 1 best candidates by their best SEARCH trial that was trained in full and is not set
  // aside, best first.
  using Best = RankedCandidate;
  std::vector<Best> best;
  // FINAL trials that completed, ascending id.
  struct Final {
    model::TrialRecord trial;
    model::ResultRecord result;
    std::string worker_id;
  };
  std::vector<Final> finals;
  // How the first 5 attempts ended, and the newest attempts of the last 20 candidates; oldest first.
  std::vector<std::string> first_signatures;
  std::vector<model::EndSignature> last_signatures;
  int64_t trials_total = 0;
  int64_t search_trials = 0;     // created, whatever their state
  int64_t search_completed = 0;  // those that were stopped at a rung included
  int64_t search_busy_ms = 0;    // over these, for predictions
  int64_t search_device_ms = 0;  // the same
  int64_t device_ms = 0;         // of all attempts that ended
};
struct CoreState {
  SaveCounters counters;
  std::string database_id;
  int64_t incarnation = 0;
  std::vector<LiveCampaign> campaigns;
  std::vector<model::Drain> drains;
  std::vector<model::DeviceHealth> health;
};

// The controller's decisions as a pure state machine: no clock, thread, I/O or randomness. Single-threaded.
// Memory and database agree after the returned writes are committed; if they cannot be, the process ends
// and rebuilds the core from the database.
class Core {
 public:
  // Every live attempt gets twice its TTL from `now`; unanswered refills are in the first Step's effects.
  // REQUIRES that `make_schedule` makes the schedule of each campaign, those launched later included.
  Core(CoreState state, const CoreLimits& limits, ScheduleFactory make_schedule, const Now& now);
  ~Core();
  Core(const Core&) = delete;
  Core& operator=(const Core&) = delete;

  Effects Step(const Now& now, Event event);

  // When Tick is due next, in monotonic milliseconds.
  int64_t NextTickMs() const;
  // Canonical text of all durable state, for comparing memory with a core rebuilt from the database.
  std::string DurableText() const;
  // How the core's indices differ from what they index, for tests; empty where they do not. Scans all.
  std::string IndexErrors() const;
  // How often it was asked whether a worker can run a trial, since the start: for tests and benchmarks.
  int64_t FitChecks() const;

  // What a status page shows beyond the database; valid until the next Step.
  struct CampaignGlance {
    int64_t campaign_id = 0;
    int64_t pending = 0, leased = 0, paused = 0, slots = 0;
    int64_t deadline_left_ms = -1;  // by duration or date; -1: no such budget
    int64_t device_running_ms = 0;  // of live attempts
    int64_t device_left_ms = -1;    // -1: no such budget
    int64_t waiting_without_worker_ms = 0;
    std::string waiting_reason;        // why no connected worker is eligible
    std::vector<std::string> notices;  // on trials that wait for what no connected worker has
  };
  // A connected worker, beyond its record.
  struct WorkerGlance {
    std::string worker_id;
    int64_t silent_ms = 0, last_seen_us = 0;
    struct Running {
      int64_t attempt_id = 0, fence = 0, step = 0, total_steps = 0;
      std::string trial;  // "fashion-macro/17"
    };
    std::vector<Running> attempts;
    std::optional<int64_t> remaining_ms;  // until it ends, where that is known
  };
  struct FleetGlance {
    int64_t workers = 0, slots = 0, running_attempts = 0;
    // Of workers that are alike, one, and how many they are.
    struct Kind {
      model::WorkerRecord worker;
      int64_t workers = 0;
    };
    std::vector<Kind> kinds;
  };
  // Why a trial waits; `live` is false where it has ended, or there is none of that id.
  struct TrialOutlook {
    bool live = false;
    std::string campaign_state, campaign_reason;
    bool budget_is_taken = false;  // by what its campaign runs, if that takes what is expected
    bool fidelity_open = false;    // a probe settles it before other trials are given out
    int64_t rung = 0;              // that it waits at; 0: none
    int64_t rung_since_us = 0;
    std::string rung_awaits;  // "3 of 4 reports"
    // For the worker with its checkpoint, before it begins anew elsewhere; 0: it has none.
    int64_t checkpoint_patience_ms = 0;
    int64_t trials_before = 0;  // of its campaign, that a slot is given first
    struct Verdict {
      std::string worker_id, host;
      bool eligible = false, free = false;
      std::string why;      // it is not eligible
      int64_t workers = 1;  // that it stands for, itself included
    };
    std::vector<Verdict> workers;  // each; where they are many, one of each kind
    struct Before {
      std::string campaign;  // "default/fashion-macro"
      int64_t running = 0, priority = 0;
    };
    std::vector<Before> before;  // campaigns with waiting trials whose turn comes first; the first of them
    int64_t campaigns_before = 0;
  };
  TrialOutlook Explain(const Now& now, int64_t trial_id) const;
  // nullopt: it has ended, or there is none.
  std::optional<CampaignGlance> Glance(const Now& now, int64_t campaign_id) const;
  std::vector<CampaignGlance> Campaigns(const Now& now) const;
  // How far those of the attempts are that run.
  std::vector<AttemptProgress> Progress(const std::vector<int64_t>& attempt_ids) const;
  // Those of the workers that are connected.
  std::vector<WorkerGlance> Workers(const Now& now, const std::vector<std::string>& worker_ids) const;
  FleetGlance Fleet() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace canopy::controller
