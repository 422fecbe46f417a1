#pragma once

#include <string>
#include <vector>

#include "base/status.h"
#include "canopy/v1/worker_service.pb.h"

namespace canopy::agent {

// Outcomes on disk from before they are sent until the controller has acknowledged them:
// <folder>/<result_id>.json. Thread-safe for different outcomes.
class Spool {
 public:
  // Makes the folder. Removes what an interrupted write left.
  static StatusOr<Spool> Open(const std::string& folder);

  // Durable once it returns OK. REQUIRES a result_id of 32 hexadecimal digits.
  Status Put(const v1::Outcome& outcome) const;
  // The acknowledged outcome is forgotten.
  Status Remove(const std::string& result_id) const;
  // The acknowledged outcome moves to <folder>/kept, as one of the database's state `incarnation`, in case
  // the database is restored to an older state. The oldest are removed once they are 7 days old, or older
  // than 3 hours and with what is younger larger than 64 MiB; with a warning, once all are larger than 512
  // MiB. OK where it was moved or removed already.
  Status Keep(const v1::Outcome& outcome, int64_t incarnation) const;
  // What was kept of that database's states before `incarnation`, in the order of attempts.
  StatusOr<std::vector<v1::Outcome>> KeptBefore(const std::string& database_id, int64_t incarnation) const;
  // Removes what is kept beyond its time or the bound.
  void PruneKept() const;
  // Moves it to <folder>/refused, for people to look at.
  Status SetRefused(const std::string& result_id) const;

  // Moves it to <folder>/foreign, as Take does.
  Status SetForeign(const std::string& result_id) const;

  // What waits to be sent to that database, in the order of attempts. Outcomes of another database move
  // to <folder>/foreign with a warning, and come back once its controller does; damaged files move to
  // <folder>/refused. Other errors are those of reading, and leave everything where it is.
  StatusOr<std::vector<v1::Outcome>> Take(const std::string& database_id) const;
  // All that waits, for whatever database.
  StatusOr<std::vector<v1::Outcome>> Waiting() const;

 private:
  explicit Spool(std::string folder) : folder_(std::move(folder)) {}

  Status Write(const std::string& folder, const v1::Outcome& outcome) const;
  StatusOr<std::vector<v1::Outcome>> ReadFolder(const std::string& folder) const;
  Status Move(const std::string& result_id, const std::string& from, const std::string& to) const;

  std::string folder_;
};

}  // namespace canopy::agent
