#pragma once

#include "base/status.h"
#include "controller/core/core.h"
#include "storage/trial_store.h"

namespace canopy::engine {

// The core's state as of the last commit. Blocks on disk.
StatusOr<controller::CoreState> LoadCoreState(storage::TrialStore& store);

}  // namespace canopy::engine
