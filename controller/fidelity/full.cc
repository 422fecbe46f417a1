#include "controller/fidelity/full.h"

namespace canopy::fidelity {

std::vector<int64_t> Full::Rungs(int64_t /*epochs*/) const { return {}; }
void Full::Record(const Report& /*report*/) {}
model::RungAction Full::Decide(const Report& /*report*/) const { return model::RungAction::kContinue; }
std::vector<Full::Verdict> Full::Judge(const Waiting& /*waiting*/, bool /*last*/) const { return {}; }
std::string Full::Awaited(int64_t /*trial_id*/, int64_t /*rung*/) const { return ""; }

}  // namespace canopy::fidelity
