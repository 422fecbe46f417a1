#include "controller/core/space_mapping.h"

#include <utility>

#include "base/status.h"
#include "controller/core/proposer.h"
#include "search_spaces/evaluation.h"

namespace canopy::controller {

SpaceMapping::SpaceMapping(search_space::SearchSpace space, std::vector<search_space::Constraint> constraints,
                           const model::CampaignSettings& settings)
    : space_(std::move(space)),
      constraints_(std::move(constraints)),
      task_{settings.task.input_shape, settings.task.classes},
      setup_(TrainingSetupOf(settings)) {}

std::string SpaceMapping::WhySetAside(const model::CandidateFacts& candidate) const {
  const auto parsed = space_.ParseCandidate(candidate.candidate_json);
  if (!parsed.ok()) return Message(parsed.status());
  const auto evaluation = search_space::Evaluate(space_, *parsed, task_, setup_);
  if (!evaluation.ok()) return "its network cannot be built: " + Message(evaluation.status());
  if (evaluation->graph_hash != candidate.graph_hash) return "its decisions now make another network";
  if (evaluation->candidate_hash != candidate.candidate_hash) return "its decisions now make another recipe";
  if (!evaluation->violations.empty()) return "breaks '" + evaluation->violations[0].constraint + "'";
  const auto violations = search_space::CheckConstraints(constraints_, *parsed, evaluation->costs);
  if (!violations.ok()) return Message(violations.status());
  if (!violations->empty()) return "breaks '" + (*violations)[0].constraint + "'";
  return "";
}

}  // namespace canopy::controller
