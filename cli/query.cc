#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "CLI/CLI.hpp"
#include "cli/connection.h"
#include "cli/nouns.h"
#include "cli/table.h"
#include "nlohmann/json.hpp"

namespace canopy::cli {
namespace {

struct QueryOptions {
  std::string sql;
  int64_t max_rows = 1000;
  Format format = Format::kTable;
};

Cell ToCell(const nlohmann::json& value) {
  if (value.is_number_integer()) return value.get<int64_t>();
  if (value.is_number()) return value.get<double>();
  if (value.is_string()) return value.get<std::string>();
  return {};
}

Status Run(const Context& context, const QueryOptions& options) {
  CANOPY_ASSIGN_OR_RETURN(const config::Settings settings, LoadSettings(context));
  CANOPY_ASSIGN_OR_RETURN(const auto connection,
                          Connection::Open(context, settings, Connection::Missing::kRefuse));
  v1::QueryRequest request;
  request.set_sql(options.sql);
  request.set_max_rows(options.max_rows);
  std::unique_ptr<Table> table;
  bool truncated = false;
  CANOPY_RETURN_IF_ERROR(connection->client().Query(request, [&](const v1::QueryRows& rows) {
    if (!table) {
      std::vector<Column> columns;
      for (const std::string& name : rows.columns()) columns.push_back({name, Display::kNumber});
      table = std::make_unique<Table>(std::move(columns));
    }
    for (const std::string& text : rows.rows_json()) {
      std::vector<Cell> row;
      for (const auto& value : nlohmann::json::parse(text, nullptr, false)) row.push_back(ToCell(value));
      row.resize(table->columns().size());
      table->AddRow(std::move(row));
    }
    truncated = truncated || rows.truncated();
  }));
  if (table) table->Print(std::cout, options.format, TerminalWidth(1));
  if (truncated) std::cerr << "There are more rows: see --max-rows, or narrow the query\n";
  return {};
}

}  // namespace

void AddQuery(CLI::App& app, Context& context) {
  auto options = std::make_shared<QueryOptions>();
  CLI::App* verb =
      AddVerb(app, context, "query", "Ask the trial database in SQL, read-only (docs/storage_format.md)",
              "canopy query \"select trial, val_accuracy, params from default__fashion_macro order by "
              "val_accuracy desc limit 5\"",
              [&context, options] { return Run(context, *options); });
  verb->add_option("SQL", options->sql, "one SELECT statement on the documented views")->required();
  verb->add_option("--max-rows", options->max_rows, "at most so many (default: 1000)")
      ->check(CLI::PositiveNumber);
  AddConnectionSettings(verb, context);
  AddFormat(verb, options->format);
}

}  // namespace canopy::cli
