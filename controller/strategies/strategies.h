#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "controller/core/strategy.h"
#include "search_spaces/space.h"

namespace canopy::strategies {

// The names that `strategy: {kind: ...}` may take.
std::vector<std::string> StrategyKinds();

// A fresh strategy. `parameters_json` is an object of the kind's own parameters; one that is missing takes
// its default (docs/strategies.md). InvalidArgument for an unknown kind (the valid ones are listed), an
// unknown parameter, one out of range, or one that the space does not allow. `task` is that of the campaign.
StatusOr<std::unique_ptr<controller::Strategy>> MakeStrategy(std::string_view kind,
                                                             std::string_view parameters_json,
                                                             const search_space::SearchSpace& space,
                                                             const search_space::TaskShape& task,
                                                             uint64_t seed);

}  // namespace canopy::strategies
