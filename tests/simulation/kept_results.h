#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/random.h"
#include "tests/simulation/messages.h"

namespace canopy::simulation {

// What an agent's disk keeps of acknowledged results, for the case that the database is restored to an older
// state: docs/backup.md.
class KeptResults {
 public:
  struct Entry {
    controller::AttemptOutcome outcome;
    int64_t since_ms = 0;
    bool moved = false;  // its file is the spool's, under another name that is not synced
  };

  // The database's state `incarnation` has acknowledged it.
  void Keep(controller::AttemptOutcome outcome, int64_t incarnation, int64_t now_ms) {
    const bool moved = outcome.incarnation == incarnation;
    outcome.incarnation = incarnation;
    const std::string result_id = outcome.result_id;
    entries_[result_id] = {std::move(outcome), now_ms, moved};
    constexpr int64_t kKeptForMs = 7 * 24 * 3'600'000LL;
    std::erase_if(entries_, [&](const auto& entry) { return entry.second.since_ms < now_ms - kKeptForMs; });
  }
  // What is to be offered to the database again, in the order of attempts.
  std::vector<controller::AttemptOutcome> Before(const DatabaseName& database) const {
    std::vector<controller::AttemptOutcome> kept;
    for (const auto& [result_id, entry] : entries_)
      if (entry.outcome.database_id == database.id && entry.outcome.incarnation < database.incarnation)
        kept.push_back(entry.outcome);
    std::sort(kept.begin(), kept.end(),
              [](const auto& a, const auto& b) { return a.attempt_id < b.attempt_id; });
    return kept;
  }
  bool AnyBefore(const DatabaseName& database) const {
    return std::any_of(entries_.begin(), entries_.end(), [&](const auto& named) {
      const controller::AttemptOutcome& outcome = named.second.outcome;
      return outcome.database_id == database.id && outcome.incarnation < database.incarnation;
    });
  }
  // After a loss of power some of the newest are in the spool again.
  std::vector<controller::AttemptOutcome> LosePower(int64_t now_ms, Rng& rng) {
    constexpr int64_t kUnsyncedMs = 30'000;
    std::vector<controller::AttemptOutcome> back;
    std::erase_if(entries_, [&](const auto& named) {
      const Entry& entry = named.second;
      if (!entry.moved || entry.since_ms < now_ms - kUnsyncedMs || rng.Below(2) == 0) return false;
      back.push_back(entry.outcome);
      return true;
    });
    return back;
  }
  const std::map<std::string, Entry>& entries() const { return entries_; }  // by result id

 private:
  std::map<std::string, Entry> entries_;
};

}  // namespace canopy::simulation
