#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/status.h"
#include "storage/database.h"
#include "storage/model/records.h"
#include "storage/trial_store.h"

namespace canopy::storage {

// The ids of a campaign's SEARCH trials that were trained in full, best first: a query whose ?1 is the
// campaign, and which reads indices alone.
std::string RankedTrials(model::Goal goal);
// The same without what the campaign's current version sets aside.
std::string RankedTrialsThatCount(model::Goal goal);

// The order of RankedTrials as terms on `r`, a result.
std::string BestFirst(model::Goal goal);

// TrialStore::LoadBest.
StatusOr<std::vector<TrialStore::LiveRows::Finished>> ReadBestFinished(
    Database& database, const model::CampaignRecord& campaign, const std::vector<model::SetAside>* set_aside);

// Adds what the version sets aside. REQUIRES an open transaction, and that there is nothing of it yet.
Status WriteSetAside(Database& database, int64_t campaign_id, int64_t version,
                     const std::vector<model::SetAside>& set_aside);

// TrialStore's of these names. REQUIRE an open transaction.
StatusOr<bool> SkipSetAside(Database& database, int64_t campaign_id, int64_t version, int64_t limit);
Status RankAgain(Database& database, const std::vector<int64_t>& trials);

}  // namespace canopy::storage
