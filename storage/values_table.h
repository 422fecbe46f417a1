#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/status.h"
#include "storage/database.h"
#include "storage/row_statement.h"
#include "storage/trial_store.h"

namespace canopy::storage {

// Most columns that a campaign's decisions and metrics may have together.
inline constexpr size_t kMaxValueColumns = 1'500;

// "campaign_7_values" and "default__fashion_macro".
std::string ValuesTableName(int64_t campaign_id);
std::string CampaignViewName(const std::string& project, const std::string& name);

// InvalidArgument for a name that is no column's (not lower_snake, given twice, one of the view's own) or too
// many columns.
Status CheckValueColumns(const std::vector<TrialStore::Column>& decisions,
                         const std::vector<TrialStore::Column>& metrics);
// AlreadyExists where another campaign's view has the name; InvalidArgument where no view can.
Status CheckViewName(Database& database, const std::string& project, const std::string& campaign);
// Creates a campaign's table with a typed column for each decision and metric, and its view. Refuses what
// CheckValueColumns does. REQUIRES a view name that CheckViewName passed.
Status CreateValuesTable(Database& database, const model::CampaignRecord& campaign,
                         const std::vector<TrialStore::Column>& decisions,
                         const std::vector<TrialStore::Column>& metrics);

// InvalidArgument where the campaign's table cannot also have those columns.
Status CheckAddedColumns(Database& database, int64_t campaign_id,
                         const std::vector<TrialStore::Column>& decisions);
// Gives the campaign's table and view the columns that they lack. One that is there keeps its values and gets
// the wider type, of integer, real and text in this order. REQUIRES an open transaction.
Status AddColumns(Database& database, const model::CampaignRecord& campaign,
                  const std::vector<TrialStore::Column>& decisions);
// Brings the views that an earlier version of the program made to what this one makes.
Status RefreshViews(Database& database);

// Writes the rows of campaigns' value tables; remembers the columns of each.
class ValuesTables {
 public:
  explicit ValuesTables(Database& database) : database_(database) {}
  // The trial's row, with the active decisions of `decisions_json`.
  Status InsertDecisions(int64_t campaign_id, int64_t trial_id, const std::string& decisions_json);
  // The finite ones that the campaign has a column for; the others become NULL.
  Status SetMetrics(int64_t campaign_id, int64_t trial_id, const model::Metrics& metrics);
  // After a rollback, which may have taken a campaign with it.
  void Forget() { tables_.clear(); }

 private:
  struct Name {
    std::string plain, quoted;
  };
  struct Table {
    std::vector<Name> decisions, metrics;
    RowStatement insert, set_metrics;
  };
  StatusOr<Table*> TableOf(int64_t campaign_id);

  Database& database_;
  std::map<int64_t, Table> tables_;
};

}  // namespace canopy::storage
