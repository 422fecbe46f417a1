#include "controller/engine/replay.h"

#include <memory>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "storage/proposal_log.h"
#include "storage/reader.h"

namespace canopy::engine {
namespace {

using controller::Proposal;
using nlohmann::ordered_json;
using storage::ProposalLog;

const char* Kind(Proposal::Verdict verdict) {
  switch (verdict) {
    case Proposal::Verdict::kAccepted:
      return "proposal_accepted";
    case Proposal::Verdict::kRejected:
      return "proposal_rejected";
    case Proposal::Verdict::kCached:
      return "proposal_cached";
  }
  return "";
}

// The part of an event that the proposer determines: all of it.
struct Logged {
  std::string kind, payload;
  int64_t seen_seq = 0;
};

StatusOr<Logged> Parse(const ProposalLog::Proposal& event) {
  const ordered_json payload = ordered_json::parse(event.payload_json, nullptr, false);
  if (!payload.is_object() || !payload.contains("candidate") || !payload.contains("seen_seq"))
    return DataLoss("event " + std::to_string(event.event_seq) + ": its payload is damaged");
  return Logged{event.kind, event.payload_json, payload["seen_seq"].get<int64_t>()};
}

Status Compare(const Logged& logged, const Proposal& replayed, int64_t seen_seq, int64_t event_seq) {
  const std::string payload = controller::ProposalPayload(replayed, seen_seq);
  if (logged.kind == Kind(replayed.verdict) && logged.payload == payload) return absl::OkStatus();
  return DataLoss("event " + std::to_string(event_seq) + " is " + logged.kind + " " + logged.payload +
                  ", replayed it is " + Kind(replayed.verdict) + " " + payload);
}

// Replays what was proposed under one version of the space.
Status Replay(const ProposalLog::Version& version, const model::CampaignSettings& settings,
              controller::Proposer& proposer) {
  std::vector<controller::Proposer::Known> known;
  for (const ProposalLog::Known& trial : version.known)
    known.push_back({model::CandidateKey::Of(trial.candidate_hash), trial.replicate, false, true, 0});
  CANOPY_RETURN_IF_ERROR(proposer.Restore("", known));
  std::vector<Logged> logged;
  for (const ProposalLog::Proposal& event : version.proposals) {
    CANOPY_ASSIGN_OR_RETURN(Logged parsed, Parse(event));
    logged.push_back(std::move(parsed));
  }

  size_t next_result = 0;
  for (size_t begin = 0; begin < logged.size();) {
    // All that saw the same results are asked for at once: how they were batched makes no difference.
    const int64_t seen_seq = logged[begin].seen_seq;
    size_t end = begin;
    int64_t count = 0;
    for (; end < logged.size() && logged[end].seen_seq == seen_seq; ++end)
      count += logged[end].kind == Kind(Proposal::Verdict::kAccepted);
    // Where the last was not accepted, a bound ended the search there.
    if (logged[end - 1].kind != Kind(Proposal::Verdict::kAccepted)) ++count;
    std::vector<controller::ObservedResult> results;
    for (; next_result < version.results.size() && version.results[next_result].seq <= seen_seq;
         ++next_result) {
      const ProposalLog::Result& result = version.results[next_result];
      results.push_back({result.seq, result.candidate_json, result.candidate_hash, result.feasible,
                         result.feasible ? Score(settings, result.objective) : 0, result.rung});
    }
    CANOPY_ASSIGN_OR_RETURN(const controller::ProposalBatch batch,
                            proposer.Propose(results, seen_seq, count));
    if (batch.proposals.size() != end - begin)
      return DataLoss("after result " + std::to_string(seen_seq) + " the log has " +
                      std::to_string(end - begin) + " proposals, replayed there are " +
                      std::to_string(batch.proposals.size()));
    for (size_t i = begin; i < end; ++i)
      CANOPY_RETURN_IF_ERROR(
          Compare(logged[i], batch.proposals[i - begin], seen_seq, version.proposals[i].event_seq));
    begin = end;
  }
  return absl::OkStatus();
}

}  // namespace

StatusOr<ReplayedProposals> ReplayProposals(const std::string& database_path, int64_t campaign_id,
                                            const StrategyFactory& make_strategy) {
  CANOPY_ASSIGN_OR_RETURN(const std::unique_ptr<storage::Reader> reader,
                          storage::Reader::Open(database_path));
  CANOPY_ASSIGN_OR_RETURN(const storage::CampaignRow row, reader->Campaign(std::to_string(campaign_id)));
  CANOPY_ASSIGN_OR_RETURN(const ProposalLog log, storage::ReadProposalLog(database_path, campaign_id));
  if (log.versions.empty()) return DataLoss("campaign " + row.campaign.name + " has no version of its space");
  ReplayedProposals replayed;
  for (const ProposalLog::Version& version : log.versions) {
    model::CampaignRecord campaign = row.campaign;
    campaign.space_version = version.space.version;
    campaign.space_file_name = version.space.space_file_name;
    campaign.space_text = version.space.space_text;
    campaign.settings.constraints = version.space.constraints;
    CANOPY_ASSIGN_OR_RETURN(const std::unique_ptr<controller::Proposer> proposer,
                            MakeProposer(campaign, make_strategy));
    CANOPY_RETURN_IF_ERROR(WithContext(Replay(version, campaign.settings, *proposer),
                                       "space version " + std::to_string(version.space.version)));
    replayed.proposals += static_cast<int64_t>(version.proposals.size());
  }
  return replayed;
}

}  // namespace canopy::engine
