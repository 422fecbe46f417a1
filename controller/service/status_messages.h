#pragma once

#include "canopy/v1/campaign_service.pb.h"
#include "controller/core/core.h"
#include "storage/database_copy.h"
#include "storage/reader.h"

namespace canopy::controller {

// Rows of the database as people's messages.
v1::CampaignSummary ToProto(const storage::CampaignRow& row);
v1::SpaceVersion ToProto(const storage::SpaceVersionRow& row);
v1::TrialSummary ToProto(const storage::TrialRow& row);
v1::TrialDetails ToProto(const storage::TrialDetail& detail);
v1::DatabaseFacts ToProto(const storage::DatabaseFacts& facts);

// Adds what counts and rows say, and, where the campaign is live or the worker connected, what the core does.
void AddCounts(const storage::CampaignCounts& counts, v1::CampaignStatus& status);
void AddGlance(const Core::CampaignGlance& glance, v1::CampaignStatus& status);
void AddGlance(const Core::WorkerGlance& glance, v1::WorkerStatus& status);

}  // namespace canopy::controller
