#pragma once

#include "base/status.h"
#include "controller/core/effects.h"
#include "storage/trial_store.h"

namespace canopy::engine {

// Carries out one of the core's writes. REQUIRES an open transaction.
Status ApplyWrite(const controller::Write& write, storage::TrialStore& store);

}  // namespace canopy::engine
