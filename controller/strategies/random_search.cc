#include "controller/strategies/random_search.h"

#include <utility>

namespace canopy::strategies {

RandomSearch::RandomSearch(search_space::SearchSpace space, Rng rng) : space_(std::move(space)), rng_(rng) {}

StatusOr<search_space::Candidate> RandomSearch::Propose() { return space_.Sample(rng_); }

void RandomSearch::Record(const controller::Observation&) {}

std::string RandomSearch::Save() const { return rng_.Save(); }

Status RandomSearch::Restore(std::string_view state) {
  CANOPY_ASSIGN_OR_RETURN(rng_, Rng::Restore(state));
  return absl::OkStatus();
}

}  // namespace canopy::strategies
