#pragma once

#include <string>
#include <string_view>

#include "canopy/v1/worker_service.pb.h"
#include "worker/agent/attempt.h"
#include "worker/protocol/messages.h"

namespace canopy::agent {

// A trainer's result as the controller takes it.
v1::AttemptResult ToAttemptResult(const trainer_protocol::Result& result, const v1::Lease& lease,
                                  const AttemptEnvironment& environment);

v1::Measurement ToMeasurement(const trainer_protocol::Measurement& measurement, int64_t attempt_id);

// The last 8 KiB of a log, "" where there is none; what is no UTF-8 becomes '?'.
std::string LogTail(const std::string& path);
std::string ValidUtf8(std::string_view bytes);

}  // namespace canopy::agent
