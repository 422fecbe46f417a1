#pragma once

#include <cstdint>
#include <string>
#include <utility>

#include "base/status.h"
#include "canopy/v1/campaign_service.pb.h"
#include "storage/reader.h"

namespace canopy::controller {

// The 95 % score interval of a proportion `p` over `n` observations (Wilson 1927); {0, 1} without any.
std::pair<double, double> WilsonInterval(double p, int64_t n);

// The comparison of winner and reference as the finals' trials stand, complete or not, without result_path.
// Means are over final seeds; the test interval is over the test images at the mean.
StatusOr<v1::CampaignReport> BuildReport(storage::Reader& reader, const storage::CampaignRow& campaign,
                                         const std::string& database_id);

// <state_dir>/campaigns/<project>__<name>: what the campaign leaves besides the database.
std::string CampaignFolder(const std::string& state_dir, const model::CampaignRecord& campaign);
// Makes sure that the campaign's folder has result.json with the report's figures, and returns its path. A
// file of the same database and campaign stays as it is. Blocks on disk; durable.
StatusOr<std::string> WriteResult(const std::string& state_dir, const model::CampaignRecord& campaign,
                                  const v1::CampaignReport& report);

}  // namespace canopy::controller
