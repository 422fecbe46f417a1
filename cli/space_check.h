#pragma once

#include "base/status.h"
#include "cli/space_options.h"

namespace canopy::cli {

// `canopy space check`: prints how many candidates a space has, what a sample of them costs, and its
// decisions. JSON is one object with all of it, JSONL and CSV are the decisions alone. InvalidArgument, with
// the file's position, where the space is refused or no candidate can be trained.
Status CheckSpaceFile(const SpaceOptions& options);

}  // namespace canopy::cli
