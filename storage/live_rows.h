#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/status.h"
#include "storage/database.h"
#include "storage/trial_store.h"

namespace canopy::storage {

// What TrialStore's loads return; each blocks on disk. DataLoss where a row cannot be read.
StatusOr<std::vector<TrialStore::LiveRows>> ReadLiveCampaigns(Database& database);
StatusOr<std::vector<model::Drain>> ReadDrains(Database& database);
StatusOr<std::vector<model::DeviceHealth>> ReadHealth(Database& database);
StatusOr<TrialStore::ProposerRows> ReadProposer(Database& database, int64_t campaign_id, int64_t last_seq);

// The results that the terms `rest` on `result r` and `trial t` name, with their trials.
StatusOr<std::vector<TrialStore::LiveRows::Finished>> ReadFinished(Database& database,
                                                                   const std::string& rest,
                                                                   const std::vector<SqlValue>& values);

// A campaign's reference candidate, nullopt where its space names none.
StatusOr<std::optional<model::CandidateFacts>> ReadReference(Database& database, int64_t campaign_id);

// A condition on `trial t`, with a space behind it: the current version of its campaign counts it.
std::string NotSetAside();

// What was accepted for that rung of the trial.
StatusOr<std::optional<model::RungReportRecord>> ReadRungReport(Database& database, int64_t trial_id,
                                                                int64_t rung);

}  // namespace canopy::storage
