#pragma once

#include <iosfwd>

#include "canopy/v1/campaign_service.pb.h"

namespace canopy::cli {

// What an update changed, or would change where `dry_run`: fields, the space's version, and what becomes of
// the trials. `width` 0: no terminal.
void PrintUpdate(const v1::LaunchReply& reply, bool dry_run, std::ostream& out, int width);

}  // namespace canopy::cli
