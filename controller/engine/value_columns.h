#pragma once

#include <vector>

#include "base/status.h"
#include "search_spaces/space.h"
#include "storage/trial_store.h"

namespace canopy::engine {

// The typed columns of a campaign's table: one for each decision, one for each metric that the built-in
// trainer declares.
struct ValueColumns {
  std::vector<storage::TrialStore::Column> decisions, metrics;
};

// InvalidArgument where the space has too many decisions for a table, or one has the name of a metric or
// of a column that every campaign's view has.
StatusOr<ValueColumns> ColumnsOf(const search_space::SearchSpace& space);
// The same of the campaign's space, which is parsed for it.
StatusOr<ValueColumns> ColumnsOf(const model::CampaignRecord& campaign);

}  // namespace canopy::engine
