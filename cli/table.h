#pragma once

#include <cstddef>
#include <cstdint>
#include <ostream>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/status.h"

namespace canopy::cli {

enum class Format { kTable, kJson, kJsonl, kCsv };
StatusOr<Format> ParseFormat(std::string_view name);

// How a column's values look to people; the other formats print them as they are, times as ISO 8601.
enum class Display {
  kText,      // as it is
  kCount,     // 1,234,567
  kFraction,  // 0.9123
  kNumber,    // shortest exact form
  kTime,      // UTC microseconds: 2026-03-01 12:34:56; 0 is nothing
  kDuration,  // milliseconds: 3 m 20 s
};

struct Column {
  std::string name;  // lower_snake
  Display display = Display::kText;
};

// Nothing, a number or a text.
using Cell = std::variant<std::monostate, int64_t, double, std::string>;

// Rows under named columns, printed in one of four formats. Control characters never reach a terminal: a
// name from elsewhere cannot move its cursor.
class Table {
 public:
  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}

  // REQUIRES as many cells as columns.
  void AddRow(std::vector<Cell> row);
  const std::vector<Column>& columns() const { return columns_; }

  // As a table, lines are cut to `width` characters; 0: never. JSON is one array, JSONL an object a line.
  void Print(std::ostream& out, Format format, int width = 0) const;

 private:
  std::string Show(const Cell& cell, Display display) const;
  void PrintTable(std::ostream& out, int width) const;
  void PrintJson(std::ostream& out, bool lines) const;
  void PrintCsv(std::ostream& out) const;

  const std::vector<Column> columns_;
  std::vector<std::vector<Cell>> rows_;
};

// A field of a CSV file, in quotes where it needs them.
std::string CsvText(const std::string& text);
// The text with control characters replaced by '?', for a terminal.
std::string Printable(std::string_view text);
// Its number of characters (UTF-8 code points).
size_t DisplayWidth(std::string_view text);
// At most `width` characters of it; a cut one ends with "...".
std::string CutTo(std::string_view text, size_t width);

// "name   value" lines on standard output; those without a value are left out.
void PrintFields(const std::vector<std::pair<std::string, std::string>>& fields);

}  // namespace canopy::cli
