#include "controller/strategies/random_search.h"

#include <utility>

#include "base/strings.h"

namespace canopy::strategies {

using search_space::Candidate;
using search_space::Enumeration;
using search_space::Permutation;
using search_space::SearchSpace;

StatusOr<std::unique_ptr<RandomSearch>> RandomSearch::Make(Sampling sampling, const SearchSpace& space,
                                                           Rng rng) {
  std::optional<Enumeration> walked;
  if (sampling != Sampling::kUniform) {
    auto candidates = Enumeration::Make(space);
    if (sampling == Sampling::kDistinct) CANOPY_RETURN_IF_ERROR(candidates.status());
    const bool walks =
        candidates.ok() && (sampling == Sampling::kDistinct || candidates->size() <= kMaxWalked);
    if (walks) walked = *std::move(candidates);
  }
  return std::unique_ptr<RandomSearch>(new RandomSearch(space, rng, std::move(walked)));
}

RandomSearch::RandomSearch(SearchSpace space, Rng rng, std::optional<Enumeration> walked)
    : space_(std::move(space)), rng_(rng) {
  if (walked) walk_ = Walk{*walked, Permutation(walked->size(), rng_.Next())};
}

StatusOr<Candidate> RandomSearch::Propose() {
  if (!walk_) return space_.Sample(rng_);
  if (walk_->ended())
    return absl::OutOfRangeError("every candidate of space '" + space_.name() + "' was proposed");
  return walk_->candidates.At(walk_->order.At(static_cast<uint64_t>(walk_->position++)));
}

void RandomSearch::Record(const controller::Observation&) {}

std::string RandomSearch::Save() const { return walk_ ? std::to_string(walk_->position) : rng_.Save(); }

Status RandomSearch::Restore(std::string_view state) {
  const Status damaged = DataLoss("the state of random search is damaged, or of another space");
  if (!walk_) {
    const auto rng = Rng::Restore(state);
    if (!rng.ok()) return damaged;
    rng_ = *rng;
    return {};
  }
  const auto position = ParseInt(state);
  if (!position || *position < 0 || static_cast<uint64_t>(*position) > walk_->candidates.size())
    return damaged;
  walk_->position = *position;
  return {};
}

}  // namespace canopy::strategies
