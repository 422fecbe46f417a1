#include "tests/simulation/chained_strategy.h"

#include "base/sha256.h"
#include "base/strings.h"

namespace canopy::simulation {

std::string ChainedStrategy::Link(const std::string& chain, const std::string& candidate_json, bool feasible,
                                  double score) {
  return Sha256Hex(chain + candidate_json + (feasible ? FormatDouble(score) : "infeasible")).substr(0, 16);
}

void ChainedStrategy::Record(const controller::Observation& observation) {
  inner_->Record(observation);
  if (observation.kind == controller::Observation::Kind::kRejected) return;
  chain_ = Link(chain_, observation.candidate.ToJson(),
                observation.kind != controller::Observation::Kind::kInfeasible, observation.score);
}

Status ChainedStrategy::Restore(std::string_view state) {
  const size_t end = state.find('\n');
  if (end == std::string_view::npos) return DataLoss("not a chained strategy's state");
  chain_ = std::string(state.substr(0, end));
  return inner_->Restore(state.substr(end + 1));
}

}  // namespace canopy::simulation
