#pragma once

#include <span>
#include <string_view>

namespace canopy::search_space {

// Names that no decision may have. A decision's whole name becomes a column of the campaign's table and
// view, and its name within a block is a name of expressions.

// The columns that every campaign's view has, the metrics of constraints among them.
std::span<const std::string_view> ViewColumnNames();
// The metrics that every campaign's table has a column for.
std::span<const std::string_view> MetricColumnNames();
// Words and functions of expressions, and what they call the input's channels and the number of classes.
std::span<const std::string_view> ExpressionWords();

// What takes `name` already, for messages: "a column of every campaign"; empty where it is free. `whole` is
// the decision's whole name, `name` that within its block.
std::string_view ReservedFor(std::string_view whole, std::string_view name);

}  // namespace canopy::search_space
