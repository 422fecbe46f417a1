#pragma once

#include <cstdint>
#include <string>

#include "base/status.h"
#include "controller/engine/campaign_proposer.h"

namespace canopy::engine {

struct ReplayedProposals {
  int64_t proposals = 0;  // compared
};

// Replays a campaign's committed log through a fresh proposer for each version of its space: shows it the
// results that each proposal had seen, and compares what it proposes with what the log has, byte by byte.
// DataLoss names the first that differs. Opens the database for reading by itself.
StatusOr<ReplayedProposals> ReplayProposals(const std::string& database_path, int64_t campaign_id,
                                            const StrategyFactory& make_strategy = MakeNamedStrategy);

}  // namespace canopy::engine
