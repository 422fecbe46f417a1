#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/status.h"

namespace canopy::storage {

// What a campaign's strategy proposed and what it saw, as the log has it.
struct ProposalLog {
  struct Proposal {
    int64_t event_seq = 0;
    std::string kind;          // proposal_accepted, proposal_rejected or proposal_cached
    std::string payload_json;  // docs/storage_format.md
  };
  struct Result {
    int64_t seq = 0;
    std::string candidate_json, candidate_hash;
    bool feasible = true;
    double objective = 0;
  };
  std::vector<Proposal> proposals;  // ascending event_seq
  std::vector<Result> results;      // of SEARCH trials, ascending seq
};

// Opens the database for reading by itself. Blocks on disk.
StatusOr<ProposalLog> ReadProposalLog(const std::string& path, int64_t campaign_id);

}  // namespace canopy::storage
