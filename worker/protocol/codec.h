#pragma once

#include <string>
#include <string_view>

#include "base/status.h"
#include "worker/protocol/messages.h"

namespace canopy::trainer_protocol {

// One line without its newline: {"type":"job", ...}. InvalidArgument where `graph` or `decisions` is not
// a JSON object, or where the line would pass kMaxLineBytes (bigger things go by path).
StatusOr<std::string> Encode(const TrainerMessage& message);

// Unknown fields are ignored. InvalidArgument names the field and what was expected; also for an unknown
// type and for nesting deeper than 64. Safe on hostile input.
StatusOr<TrainerMessage> Decode(std::string_view line);

}  // namespace canopy::trainer_protocol
