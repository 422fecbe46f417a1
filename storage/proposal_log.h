#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/status.h"
#include "storage/model/records.h"

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
    int64_t rung = 0;
  };
  // A SEARCH trial that was made before the version and that it counts.
  struct Known {
    std::string candidate_hash;
    int64_t replicate = 0;
  };
  // What was proposed under one version of the space.
  struct Version {
    model::SpaceVersion space;
    std::vector<Known> known;         // ascending trial id
    std::vector<Proposal> proposals;  // ascending event_seq
    std::vector<Result> results;      // that the version counts, ascending seq
  };
  std::vector<Version> versions;  // ascending
};

// Opens the database for reading by itself. Blocks on disk.
StatusOr<ProposalLog> ReadProposalLog(const std::string& path, int64_t campaign_id);

}  // namespace canopy::storage
