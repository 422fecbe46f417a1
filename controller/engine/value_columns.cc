#include "controller/engine/value_columns.h"

#include <string>
#include <variant>

#include "search_spaces/reserved_names.h"
#include "storage/values_table.h"

namespace canopy::engine {
namespace {

using Column = storage::TrialStore::Column;

Column::Type TypeOf(const search_space::Decision& decision) {
  constexpr size_t kReal = search_space::Value(0.0).index(),
                   kText = std::variant_size_v<search_space::Value> - 1;
  if (decision.value_type() == kReal) return Column::Type::kReal;
  return decision.value_type() == kText ? Column::Type::kText : Column::Type::kInteger;
}

}  // namespace

StatusOr<ValueColumns> ColumnsOf(const search_space::SearchSpace& space) {
  ValueColumns columns;
  for (const std::string_view name : search_space::MetricColumnNames())
    columns.metrics.push_back({std::string(name), Column::Type::kReal});
  for (const search_space::Decision& decision : space.decisions())
    columns.decisions.push_back({decision.name, TypeOf(decision)});
  const Status status = storage::CheckValueColumns(columns.decisions, columns.metrics);
  if (!status.ok()) return WithContext(status, "space " + space.name());
  return columns;
}

StatusOr<ValueColumns> ColumnsOf(const model::CampaignRecord& campaign) {
  CANOPY_ASSIGN_OR_RETURN(const search_space::SearchSpace space,
                          search_space::SearchSpace::Parse(campaign.space_text, campaign.space_file_name));
  return ColumnsOf(space);
}

}  // namespace canopy::engine
