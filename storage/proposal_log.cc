#include "storage/proposal_log.h"

#include <memory>

#include "storage/database.h"

namespace canopy::storage {

StatusOr<ProposalLog> ReadProposalLog(const std::string& path, int64_t campaign_id) {
  CANOPY_ASSIGN_OR_RETURN(const std::unique_ptr<Database> database,
                          Database::Open(path, Database::Mode::kReadOnly));
  ProposalLog log;
  {
    CANOPY_ASSIGN_OR_RETURN(
        Rows rows,
        database->Query("SELECT seq, kind, payload_json FROM event WHERE campaign_id = ? AND kind IN "
                        "('proposal_accepted', 'proposal_rejected', 'proposal_cached') ORDER BY seq",
                        {campaign_id}));
    for (;;) {
      CANOPY_ASSIGN_OR_RETURN(const bool more, rows.Next());
      if (!more) break;
      log.proposals.push_back({rows.Int(0), rows.Text(1), rows.Text(2)});
    }
  }
  CANOPY_ASSIGN_OR_RETURN(
      Rows rows,
      database->Query("SELECT result.seq, trial.decisions_json, candidate.candidate_hash, result.feasible, "
                      "result.objective FROM result JOIN trial ON trial.id = result.trial_id "
                      "JOIN candidate ON candidate.id = trial.candidate_id "
                      "WHERE result.campaign_id = ? AND result.purpose = 'SEARCH' ORDER BY result.seq",
                      {campaign_id}));
  for (;;) {
    CANOPY_ASSIGN_OR_RETURN(const bool more, rows.Next());
    if (!more) return log;
    log.results.push_back({rows.Int(0), rows.Text(1), rows.Text(2), rows.Int(3) != 0, rows.Real(4)});
  }
}

}  // namespace canopy::storage
