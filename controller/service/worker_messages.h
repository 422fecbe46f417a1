#pragma once

#include <string>

#include "base/status.h"
#include "canopy/v1/worker_service.pb.h"
#include "controller/core/effects.h"
#include "controller/core/events.h"

namespace canopy::controller {

// Between the wire's messages and the core's events and replies.

StatusOr<AttemptOutcome> FromProto(const v1::Outcome& outcome);
v1::OutcomeVerdict ToProto(OutcomeVerdict verdict);
v1::RungAction ToProto(model::RungAction action);
// Internal where the stored recipe can't be merged.
StatusOr<v1::Lease> ToProto(const Lease& lease, const std::string& database_id, int64_t incarnation);

}  // namespace canopy::controller
