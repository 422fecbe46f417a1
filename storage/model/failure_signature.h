#pragma once

#include <optional>
#include <string>

#include "storage/model/records.h"

namespace canopy::model {

// What makes ended attempts alike: "TRAINER_CRASH: first line of the message, without its digits"; empty
// for one that succeeded. nullopt where the attempt says nothing about campaign or candidate: it runs, was
// cancelled or superseded, or ended as PREEMPTED or WORKER_LOST.
std::optional<std::string> FailureSignature(const AttemptRecord& attempt);

}  // namespace canopy::model
