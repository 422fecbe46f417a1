#include "storage/values_table.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "base/strings.h"
#include "storage/row_mapping.h"

namespace canopy::storage {
namespace {

using Column = TrialStore::Column;

std::string_view TypeName(Column::Type type) {
  switch (type) {
    case Column::Type::kInteger:
      return "INTEGER";
    case Column::Type::kReal:
      return "REAL";
    case Column::Type::kText:
      return "TEXT";
  }
  return "TEXT";
}

// The view's own columns around the campaign's: name and expression over trial t, candidate c, result r.
struct ViewColumn {
  std::string_view name, expression;
};
constexpr std::string_view kSetAsideReason =
    "(SELECT s.reason FROM set_aside s WHERE s.campaign_id = t.campaign_id AND s.version = "
    "p.space_version AND s.trial_id = t.id)";
constexpr ViewColumn kFirstColumns[] = {
    {"trial", "t.number"},          {"name", "p.name || '/' || t.number"},
    {"purpose", "t.purpose"},       {"replicate", "t.replicate"},
    {"state", "t.state"},           {"reference", "t.reference"},
    {"objective", "r.objective"},   {"space_version", "t.space_version"},
    {"set_aside", kSetAsideReason},
};
// An attempt ended a part of the training, or showed that the candidate cannot be trained; or it did not.
#define CANOPY_USEFUL "(a.segment IS NOT NULL OR (a.id IS r.attempt_id AND r.feasible = 0))"
#define CANOPY_WASTED "NOT " CANOPY_USEFUL
constexpr ViewColumn kLastColumns[] = {
    {"params", "c.params"},
    {"macs", "c.macs"},
    {"activation_memory", "t.activation_memory"},
    {"depth", "c.depth"},
    {"params_as_written", "t.params_as_written"},
    {"macs_as_written", "t.macs_as_written"},
    {"epochs", "r.epochs"},
    {"rung", "t.rung"},
    {"steps", "r.steps"},
    {"numeric_mode", "r.numeric_mode"},
    {"recipe_hash", "r.recipe_hash"},
    {"split_hash", "r.split_hash"},
    {"dataset_digest", "r.dataset_digest"},
    {"seeds", "r.seeds_json"},
    {"trainer_build", "r.trainer_build"},
    {"libtorch_version", "r.libtorch_version"},
    {"failure", "t.failure"},
    {"reason", "t.reason"},
    {"attempts", "(SELECT COUNT(*) FROM attempt a WHERE a.trial_id = t.id)"},
    {"useful_busy_ms",
     "(SELECT SUM(a.busy_ms) FROM attempt a WHERE a.trial_id = t.id AND " CANOPY_USEFUL ")"},
    {"useful_allocated_ms",
     "(SELECT SUM(a.allocated_ms) FROM attempt a WHERE a.trial_id = t.id AND " CANOPY_USEFUL ")"},
    {"useful_device_ms",
     "(SELECT SUM(a.device_ms) FROM attempt a WHERE a.trial_id = t.id AND " CANOPY_USEFUL ")"},
    {"wasted_busy_ms",
     "(SELECT COALESCE(SUM(a.busy_ms), 0) FROM attempt a WHERE a.trial_id = t.id AND " CANOPY_WASTED ")"},
    {"wasted_allocated_ms",
     "(SELECT COALESCE(SUM(a.allocated_ms), 0) FROM attempt a WHERE a.trial_id = t.id AND " CANOPY_WASTED
     ")"},
    {"wasted_device_ms",
     "(SELECT COALESCE(SUM(a.device_ms), 0) FROM attempt a WHERE a.trial_id = t.id AND " CANOPY_WASTED ")"},
    {"peak_memory_bytes", "(SELECT MAX(a.peak_memory_bytes) FROM attempt a WHERE a.trial_id = t.id)"},
    {"worker", "(SELECT a.worker_id FROM attempt a WHERE a.id = COALESCE(r.attempt_id, t.last_attempt_id))"},
    {"host", "(SELECT a.host FROM attempt a WHERE a.id = COALESCE(r.attempt_id, t.last_attempt_id))"},
    {"device_model", "r.device_model"},
    {"parent_trial", "(SELECT u.number FROM trial u WHERE u.id = t.parent_trial_id)"},
    {"candidate_hash", "c.candidate_hash"},
    {"graph_hash", "c.graph_hash"},
    {"created_at", "strftime('%Y-%m-%dT%H:%M:%fZ', t.created_us / 1e6, 'unixepoch')"},
    {"finished_at",
     "CASE WHEN t.finished_us > 0 THEN strftime('%Y-%m-%dT%H:%M:%fZ', t.finished_us / 1e6, 'unixepoch') END"},
    {"trial_id", "t.id"},
};

std::string TableSql(int64_t campaign_id, const std::vector<Column>& decisions,
                     const std::vector<Column>& metrics) {
  std::string sql =
      "CREATE TABLE " + ValuesTableName(campaign_id) + " (trial_id INTEGER PRIMARY KEY REFERENCES trial (id)";
  for (const std::vector<Column>* columns : {&decisions, &metrics})
    for (const Column& column : *columns)
      sql += ", " + QuoteIdentifier(column.name) + " " + std::string(TypeName(column.type));
  return sql + ") STRICT";
}

struct Columns {
  std::vector<Column> decisions, metrics;
};

StatusOr<Columns> ReadColumns(Database& database, int64_t campaign_id) {
  Columns columns;
  CANOPY_ASSIGN_OR_RETURN(Rows rows,
                          database.Query("SELECT name, kind, type FROM campaign_column WHERE campaign_id = ? "
                                         "ORDER BY position",
                                         {campaign_id}));
  while (true) {
    CANOPY_ASSIGN_OR_RETURN(const bool more, rows.Next());
    if (!more) return columns;
    const std::string type = rows.Text(2);
    (rows.Text(1) == "decision" ? columns.decisions : columns.metrics)
        .push_back({rows.Text(0), type == "INTEGER" ? Column::Type::kInteger
                                  : type == "REAL"  ? Column::Type::kReal
                                                    : Column::Type::kText});
  }
}

std::string ViewSql(int64_t campaign_id, const std::string& view, const Columns& value_columns) {
  std::string columns;
  const auto add = [&](std::string_view expression, std::string_view name) {
    if (!columns.empty()) columns += ",\n  ";
    columns += std::string(expression) + " AS " + QuoteIdentifier(name);
  };
  for (const ViewColumn& column : kFirstColumns) add(column.expression, column.name);
  for (const Column& column : value_columns.decisions) add("v." + QuoteIdentifier(column.name), column.name);
  for (const Column& column : value_columns.metrics) add("v." + QuoteIdentifier(column.name), column.name);
  for (const ViewColumn& column : kLastColumns) add(column.expression, column.name);
  return "CREATE VIEW " + QuoteIdentifier(view) + " AS SELECT\n  " + columns +
         "\nFROM trial t JOIN campaign p ON p.id = t.campaign_id JOIN candidate c ON c.id = "
         "t.candidate_id\n" +
         "LEFT JOIN result r ON r.trial_id = t.id LEFT JOIN " + ValuesTableName(campaign_id) +
         " v ON v.trial_id = t.id\nWHERE t.campaign_id = " + std::to_string(campaign_id);
}

const Column* FindColumn(const std::vector<Column>& columns, const std::string& name) {
  const auto found =
      std::find_if(columns.begin(), columns.end(), [&](const Column& column) { return column.name == name; });
  return found == columns.end() ? nullptr : &*found;
}

Status NoteColumn(Database& database, int64_t campaign_id, int64_t position, const Column& column,
                  const std::string& kind) {
  return database
      .Run("INSERT INTO campaign_column (campaign_id, position, name, kind, type) VALUES (?, ?, ?, ?, ?)",
           {campaign_id, position, column.name, kind, std::string(TypeName(column.type))})
      .status();
}

SqlValue ToSqlValue(const nlohmann::json& value) {
  if (value.is_boolean()) return int64_t{value.get<bool>()};
  if (value.is_number_integer()) return value.get<int64_t>();
  if (value.is_number()) return value.get<double>();
  if (value.is_string()) return value.get<std::string>();
  return nullptr;
}

}  // namespace

std::string ValuesTableName(int64_t campaign_id) {
  return "campaign_" + std::to_string(campaign_id) + "_values";
}

std::string CampaignViewName(const std::string& project, const std::string& name) {
  std::string view = project + "__" + name;
  std::replace(view.begin(), view.end(), '-', '_');
  return view;
}

Status CheckValueColumns(const std::vector<Column>& decisions, const std::vector<Column>& metrics) {
  if (decisions.size() + metrics.size() > kMaxValueColumns) {
    return InvalidArgument("the campaign has " + std::to_string(decisions.size()) + " decisions and " +
                           std::to_string(metrics.size()) + " metrics, and its table holds at most " +
                           std::to_string(kMaxValueColumns) +
                           " columns; share decisions among repeated blocks");
  }
  std::set<std::string_view> own, taken;
  for (const ViewColumn& column : kFirstColumns) own.insert(column.name);
  for (const ViewColumn& column : kLastColumns) own.insert(column.name);
  const auto check = [&](const Column& column, const std::string& kind) -> Status {
    if (!IsLowerSnake(column.name))
      return InvalidArgument(kind + " '" + column.name +
                             "' becomes a column: expected a name like stage2_width");
    if (own.contains(column.name))
      return InvalidArgument(kind + " '" + column.name +
                             "' has the name of a column that every campaign's view has; rename it");
    if (!taken.insert(column.name).second)
      return InvalidArgument(kind + " '" + column.name +
                             "' has the name of another decision or metric; rename it");
    return {};
  };
  for (const Column& column : decisions) CANOPY_RETURN_IF_ERROR(check(column, "decision"));
  for (const Column& column : metrics) CANOPY_RETURN_IF_ERROR(check(column, "metric"));
  return {};
}

Status CheckViewName(Database& database, const std::string& project, const std::string& campaign) {
  for (const std::string& name : {project, campaign}) {
    if (!IsResourceName(name) || name.starts_with("sqlite"))
      return InvalidArgument("'" + name +
                             "' names a project or campaign: expected lower-case letters, digits and "
                             "'-', beginning with a letter or digit and not with 'sqlite'");
  }
  const std::string view = CampaignViewName(project, campaign);
  CANOPY_ASSIGN_OR_RETURN(
      const int64_t taken,
      database.QueryInt("SELECT COUNT(*) FROM sqlite_schema WHERE name = ? COLLATE NOCASE", {view}));
  if (taken > 0) {
    return AlreadyExists(
        "campaign '" + project + "/" + campaign + "' needs the view '" + view +
        "', which another campaign has; give it another name (campaign.name, or launch --name)");
  }
  return {};
}

Status CreateValuesTable(Database& database, const model::CampaignRecord& campaign,
                         const std::vector<Column>& decisions, const std::vector<Column>& metrics) {
  CANOPY_RETURN_IF_ERROR(CheckValueColumns(decisions, metrics));
  CANOPY_RETURN_IF_ERROR(database.RunScript(TableSql(campaign.id, decisions, metrics)));
  CANOPY_RETURN_IF_ERROR(database.RunScript(
      ViewSql(campaign.id, CampaignViewName(campaign.project, campaign.name), Columns{decisions, metrics})));
  int64_t position = 0;
  for (const std::vector<Column>* columns : {&decisions, &metrics}) {
    for (const Column& column : *columns) {
      CANOPY_RETURN_IF_ERROR(NoteColumn(database, campaign.id, position++, column,
                                        columns == &decisions ? "decision" : "metric"));
    }
  }
  return {};
}

Status CheckAddedColumns(Database& database, int64_t campaign_id, const std::vector<Column>& decisions) {
  CANOPY_ASSIGN_OR_RETURN(Columns columns, ReadColumns(database, campaign_id));
  for (const Column& column : decisions)
    if (FindColumn(columns.decisions, column.name) == nullptr) columns.decisions.push_back(column);
  return CheckValueColumns(columns.decisions, columns.metrics);
}

Status AddColumns(Database& database, const model::CampaignRecord& campaign,
                  const std::vector<Column>& decisions) {
  CANOPY_RETURN_IF_ERROR(CheckAddedColumns(database, campaign.id, decisions));
  CANOPY_ASSIGN_OR_RETURN(const Columns columns, ReadColumns(database, campaign.id));
  // SQLite changes no table while a view names what is not there.
  const std::string view = QuoteIdentifier(CampaignViewName(campaign.project, campaign.name));
  CANOPY_RETURN_IF_ERROR(database.RunScript("DROP VIEW " + view));
  const std::string table = "ALTER TABLE " + ValuesTableName(campaign.id);
  auto position = static_cast<int64_t>(columns.decisions.size() + columns.metrics.size());
  for (const Column& column : decisions) {
    const std::string name = QuoteIdentifier(column.name), type(TypeName(column.type));
    const Column* const known = FindColumn(columns.decisions, column.name);
    if (known == nullptr) {
      CANOPY_RETURN_IF_ERROR(database.RunScript(table + " ADD COLUMN " + name + " " + type));
      CANOPY_RETURN_IF_ERROR(NoteColumn(database, campaign.id, position++, column, "decision"));
    } else if (known->type < column.type) {
      CANOPY_RETURN_IF_ERROR(database.RunScript(table + " ADD COLUMN \"wider \" " + type + "; UPDATE " +
                                                ValuesTableName(campaign.id) + " SET \"wider \" = " + name +
                                                "; " + table + " DROP COLUMN " + name + "; " + table +
                                                " RENAME COLUMN \"wider \" TO " + name));
      CANOPY_RETURN_IF_ERROR(
          database
              .Run("UPDATE campaign_column SET type = ? WHERE campaign_id = ? AND name = ?",
                   {type, campaign.id, column.name})
              .status());
    }
  }
  CANOPY_ASSIGN_OR_RETURN(const Columns all, ReadColumns(database, campaign.id));
  return database.RunScript(ViewSql(campaign.id, CampaignViewName(campaign.project, campaign.name), all));
}

Status RefreshViews(Database& database) {
  std::map<std::string, int64_t> others;  // campaigns by their view, which is missing or another release's
  {
    CANOPY_ASSIGN_OR_RETURN(Rows rows, database.Query("SELECT id, project, name FROM campaign", {}));
    while (true) {
      CANOPY_ASSIGN_OR_RETURN(const bool more, rows.Next());
      if (!more) break;
      others.emplace(CampaignViewName(rows.Text(1), rows.Text(2)), rows.Int(0));
    }
  }
  {
    // The schema has no index: it is read once, not once for each campaign.
    CANOPY_ASSIGN_OR_RETURN(Rows rows,
                            database.Query("SELECT name, sql FROM sqlite_schema WHERE type = 'view'", {}));
    while (true) {
      CANOPY_ASSIGN_OR_RETURN(const bool more, rows.Next());
      if (!more) break;
      const auto campaign = others.find(rows.Text(0));
      if (campaign == others.end()) continue;
      CANOPY_ASSIGN_OR_RETURN(const Columns columns, ReadColumns(database, campaign->second));
      if (ViewSql(campaign->second, campaign->first, columns) == rows.Text(1)) others.erase(campaign);
    }
  }
  if (others.empty()) return {};
  CANOPY_RETURN_IF_ERROR(database.RunScript("BEGIN IMMEDIATE"));
  const Status made = [&]() -> Status {
    for (const auto& [view, campaign_id] : others) {
      CANOPY_ASSIGN_OR_RETURN(const Columns columns, ReadColumns(database, campaign_id));
      CANOPY_RETURN_IF_ERROR(database.RunScript("DROP VIEW IF EXISTS " + QuoteIdentifier(view) + "; " +
                                                ViewSql(campaign_id, view, columns)));
    }
    return database.RunScript("COMMIT");
  }();
  if (!made.ok() && database.in_transaction()) static_cast<void>(database.RunScript("ROLLBACK"));
  return made;
}

StatusOr<ValuesTables::Table*> ValuesTables::TableOf(int64_t campaign_id) {
  if (const auto known = tables_.find(campaign_id); known != tables_.end()) return &known->second;
  CANOPY_ASSIGN_OR_RETURN(const Columns columns, ReadColumns(database_, campaign_id));
  const std::string name = ValuesTableName(campaign_id);
  Table table{{}, {}, RowStatement::Insert(name), RowStatement::Update(name, "trial_id")};
  for (const Column& column : columns.decisions)
    table.decisions.push_back({column.name, QuoteIdentifier(column.name)});
  for (const Column& column : columns.metrics)
    table.metrics.push_back({column.name, QuoteIdentifier(column.name)});
  if (table.decisions.empty() && table.metrics.empty())
    return Internal("campaign " + std::to_string(campaign_id) + " has no value table");
  return &tables_.emplace(campaign_id, std::move(table)).first->second;
}

Status ValuesTables::InsertDecisions(int64_t campaign_id, int64_t trial_id,
                                     const std::string& decisions_json) {
  CANOPY_ASSIGN_OR_RETURN(Table* const table, TableOf(campaign_id));
  const auto decisions = nlohmann::json::parse(decisions_json, nullptr, false);
  if (!decisions.is_object())
    return Internal("trial " + std::to_string(trial_id) + ": decisions are no JSON object");
  const auto visit = [&](auto& row) {
    row("trial_id", trial_id);
    for (const Name& name : table->decisions) {
      const auto value = decisions.find(name.plain);
      row.Add(name.quoted, value == decisions.end() ? SqlValue(nullptr) : ToSqlValue(*value));
    }
  };
  return table->insert.Run(database_, visit).status();
}

Status ValuesTables::SetMetrics(int64_t campaign_id, int64_t trial_id, const model::Metrics& metrics) {
  CANOPY_ASSIGN_OR_RETURN(Table* const table, TableOf(campaign_id));
  if (table->metrics.empty()) return {};
  const auto visit = [&](auto& row) {
    for (const Name& name : table->metrics) {
      const auto metric = metrics.find(name.plain);
      const bool finite = metric != metrics.end() && std::isfinite(metric->second);
      row.Add(name.quoted, finite ? SqlValue(metric->second) : SqlValue(nullptr));
    }
  };
  return table->set_metrics.Run(database_, visit, {trial_id}).status();
}

}  // namespace canopy::storage
