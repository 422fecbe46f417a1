#pragma once

#include "base/status.h"
#include "canopy/v1/types.pb.h"
#include "canopy/v1/worker_service.pb.h"
#include "storage/model/records.h"
#include "storage/model/states.h"

namespace canopy::rpc {

// Between the wire's types and the model's. A wire value that has no name here (UNSPECIFIED, or newer
// than this build) is InvalidArgument.

v1::Purpose ToProto(model::Purpose value);
v1::TrialState ToProto(model::TrialState value);
v1::AttemptState ToProto(model::AttemptState value);
v1::CampaignState ToProto(model::CampaignState value);
v1::FailureClass ToProto(model::FailureClass value);

StatusOr<model::Purpose> FromProto(v1::Purpose value);
StatusOr<model::TrialState> FromProto(v1::TrialState value);
StatusOr<model::AttemptState> FromProto(v1::AttemptState value);
StatusOr<model::CampaignState> FromProto(v1::CampaignState value);
StatusOr<model::FailureClass> FromProto(v1::FailureClass value);

// A worker's registration; first_seen_us and last_seen_us do not travel.
v1::WorkerInfo ToProto(const model::WorkerRecord& worker);
StatusOr<model::WorkerRecord> FromProto(const v1::WorkerInfo& worker);

v1::AttemptCost ToProto(const model::AttemptCost& cost);
model::AttemptCost FromProto(const v1::AttemptCost& cost);

v1::Measurement ToProto(const model::MeasurementRecord& measurement);
model::MeasurementRecord FromProto(const v1::Measurement& measurement);

// The part of a result that its worker knows: ids, seq, recipe hash and times are left out.
v1::AttemptResult ToProto(const model::ResultRecord& result);
model::ResultRecord FromProto(const v1::AttemptResult& result);

}  // namespace canopy::rpc
