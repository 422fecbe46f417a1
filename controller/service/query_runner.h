#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/status.h"
#include "canopy/v1/campaign_service.pb.h"

namespace canopy::controller {

// Runs a stranger's SQL in a process of its own (query_process.h), which is killed when it takes longer than
// 8 seconds. Gives at least one message, the first with the columns. Blocks.
StatusOr<std::vector<v1::QueryRows>> RunQuery(const std::string& program, const std::string& database_path,
                                              const v1::QueryRequest& request);

}  // namespace canopy::controller
