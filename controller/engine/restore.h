#pragma once

#include "base/status.h"
#include "controller/core/core.h"
#include "storage/trial_store.h"

namespace canopy::engine {

// The core's state as of the last commit. Blocks on disk.
StatusOr<controller::CoreState> LoadCoreState(storage::TrialStore& store);

// The store's rows of a campaign's best candidates as the core keeps them.
std::vector<controller::RankedCandidate> RankedOf(std::vector<storage::TrialStore::LiveRows::Finished> rows);

}  // namespace canopy::engine
