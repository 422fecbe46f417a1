#pragma once

#include <string>
#include <vector>

#include "search_spaces/constraint.h"
#include "search_spaces/space.h"
#include "search_spaces/training_memory.h"
#include "storage/model/records.h"

namespace canopy::controller {

// Which candidates of an earlier version of a campaign's space a new version has too, as the same function:
// docs/adr/0006-space-versions.md. Immutable.
class SpaceMapping {
 public:
  // Space and the campaign's constraints are the new version's.
  SpaceMapping(search_space::SearchSpace space, std::vector<search_space::Constraint> constraints,
               const model::CampaignSettings& settings);

  // Why the new version leaves the candidate out, alike for what is alike; empty where it has it: the same
  // decisions with values that it allows, the same candidate hash, no constraint broken.
  std::string WhySetAside(const model::CandidateFacts& candidate) const;

 private:
  const search_space::SearchSpace space_;
  const std::vector<search_space::Constraint> constraints_;
  const search_space::TaskShape task_;
  const search_space::TrainingSetup setup_;
};

}  // namespace canopy::controller
