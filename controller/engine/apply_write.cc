#include "controller/engine/apply_write.h"

#include <nlohmann/json.hpp>
#include <string>
#include <variant>

#include "base/mutant.h"
#include "controller/engine/value_columns.h"
#include "storage/model/states.h"

namespace canopy::engine {
namespace {

using storage::TrialStore;

std::string DescribeOutcome(const controller::AttemptOutcome& outcome) {
  nlohmann::ordered_json json = {{"database_id", outcome.database_id},
                                 {"incarnation", outcome.incarnation},
                                 {"succeeded", outcome.succeeded},
                                 {"segment", model::ToString(outcome.segment)},
                                 {"rung", outcome.rung},
                                 {"cancelled", outcome.cancelled},
                                 {"failure", outcome.failure ? model::ToString(*outcome.failure) : ""},
                                 {"message", outcome.message},
                                 {"busy_ms", outcome.cost.busy_ms},
                                 {"epochs", outcome.result.epochs},
                                 {"steps", outcome.result.steps},
                                 {"metrics", outcome.result.metrics}};
  return json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

struct Apply {
  TrialStore& store;

  Status operator()(const controller::InsertCampaign& write) const {
    CANOPY_ASSIGN_OR_RETURN(const ValueColumns columns, ColumnsOf(write.campaign));
    return store.InsertCampaign(write.campaign, write.progress, write.reference, columns.decisions,
                                columns.metrics);
  }
  Status operator()(const controller::UpdateCampaign& write) const {
    return store.UpdateCampaign(write.campaign_id, write.progress);
  }
  Status operator()(const controller::ChangeCampaign& write) const {
    CANOPY_ASSIGN_OR_RETURN(const ValueColumns columns, ColumnsOf(write.campaign));
    return store.ChangeCampaign(write.campaign, write.reference, columns.decisions);
  }
  Status operator()(const controller::InsertSpaceVersion& write) const {
    return store.InsertSpaceVersion(write.version, write.set_aside.trials());
  }
  Status operator()(const controller::InsertTrial& write) const { return store.InsertTrial(write.trial); }
  Status operator()(const controller::UpdateTrial& write) const { return store.UpdateTrial(write.trial); }
  Status operator()(const controller::InsertAttempt& write) const {
    return store.InsertAttempt(write.attempt);
  }
  Status operator()(const controller::UpdateAttempt& write) const {
    return store.UpdateAttempt(write.attempt);
  }
  Status operator()(const controller::InsertResult& write) const { return store.InsertResult(write.result); }
  Status operator()(const controller::InsertRungReport& write) const {
    return store.InsertRungReport(write.report);
  }
  Status operator()(const controller::ArchiveOutcome& write) const {
    const controller::AttemptOutcome& outcome = write.outcome;
    return store.ArchiveOutcome(write.worker_id, outcome.result_id, outcome.trial_id, outcome.attempt_id,
                                outcome.fence, write.why, DescribeOutcome(outcome), write.wall_us);
  }
  Status operator()(const controller::InsertMeasurements& write) const {
    return store.InsertMeasurements(write.measurements);
  }
  Status operator()(const controller::AppendEvent& write) const { return store.AppendEvent(write.event); }
  Status operator()(const controller::SaveProposerState& write) const {
    if (kMutant == Mutant::kForgetRandomState)
      return store.SaveProposerState(write.campaign_id, write.event_seq, write.seen_seq, "");
    return store.SaveProposerState(write.campaign_id, write.event_seq, write.seen_seq, write.state);
  }
  Status operator()(const controller::UpsertWorker& write) const { return store.UpsertWorker(write.worker); }
  Status operator()(const controller::SaveDrain& write) const { return store.SaveDrain(write.drain); }
  Status operator()(const controller::RemoveDrain& write) const {
    return store.RemoveDrain(write.scope, write.name);
  }
  Status operator()(const controller::SaveHealth& write) const { return store.SaveHealth(write.health); }
  Status operator()(const controller::SaveCounters& write) const {
    CANOPY_RETURN_IF_ERROR(store.SetCounter("next_campaign_id", write.next_campaign_id));
    CANOPY_RETURN_IF_ERROR(store.SetCounter("next_trial_id", write.next_trial_id));
    CANOPY_RETURN_IF_ERROR(store.SetCounter("next_attempt_id", write.next_attempt_id));
    CANOPY_RETURN_IF_ERROR(store.SetCounter("next_fence", write.next_fence));
    CANOPY_RETURN_IF_ERROR(store.SetCounter("share_time", write.share_time));
    return store.SetCounter("next_event_seq", write.next_event_seq);
  }
};

}  // namespace

Status ApplyWrite(const controller::Write& write, TrialStore& store) {
  return std::visit(Apply{store}, write);
}

}  // namespace canopy::engine
