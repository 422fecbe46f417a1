#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/status.h"
#include "search_spaces/candidate.h"

namespace canopy::controller {

// What became of a proposal, as a strategy sees it.
struct Observation {
  enum class Kind {
    kCompleted,   // `score` is finite, and of the campaign's full fidelity
    kStopped,     // the fidelity schedule gave it up at `rung`, where it had reached `score`
    kInfeasible,  // DIVERGED, OUT_OF_MEMORY, INVALID_CANDIDATE: worse than every finite score
    kRejected,    // never evaluated: a constraint is broken by `violation`, or it could not be built
  };
  Kind kind = Kind::kCompleted;
  search_space::Candidate candidate;
  double score = 0;      // higher is better, whatever the objective's goal
  double violation = 0;  // sum of the broken constraints' amounts
  int64_t rung = 0;      // from 1; scores of different rungs do not compare
};

// Proposes candidates from what was observed. Pure: the same seed and the same calls give the same
// proposals on every release; no clock, thread, file or other randomness. Not thread-safe.
class Strategy {
 public:
  virtual ~Strategy() = default;
  // The next candidate; OutOfRange where the space is exhausted.
  virtual StatusOr<search_space::Candidate> Propose() = 0;
  virtual void Record(const Observation& observation) = 0;
  // All that later proposals depend on, random state included; Restore on a fresh strategy of the same
  // space and parameters continues with the same next proposal. DataLoss for a state it did not write.
  virtual std::string Save() const = 0;
  virtual Status Restore(std::string_view state) = 0;
};

}  // namespace canopy::controller
