#include "cli/table.h"

#include <algorithm>
#include <cmath>
#include <iostream>
#include <utility>

#include "base/check.h"
#include "base/clock.h"
#include "base/strings.h"
#include "nlohmann/json.hpp"

namespace canopy::cli {
namespace {

using nlohmann::ordered_json;

bool IsContinuation(char c) { return (static_cast<unsigned char>(c) & 0xC0) == 0x80; }

ordered_json ToJson(const Cell& cell, Display display) {
  if (const auto* integer = std::get_if<int64_t>(&cell)) {
    if (display == Display::kTime)
      return *integer == 0 ? ordered_json() : ordered_json(FormatWallUs(*integer));
    return *integer;
  }
  if (const auto* number = std::get_if<double>(&cell)) {
    return std::isfinite(*number) ? ordered_json(*number) : ordered_json(FormatDouble(*number));
  }
  if (const auto* text = std::get_if<std::string>(&cell)) return *text;
  return nullptr;
}

std::string Dump(const ordered_json& value) {
  return value.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
}

std::string CsvField(const Cell& cell, Display display) {
  const ordered_json value = ToJson(cell, display);
  if (value.is_null()) return "";
  if (!value.is_string()) return Dump(value);
  return CsvText(value.get_ref<const std::string&>());
}

}  // namespace

StatusOr<Format> ParseFormat(std::string_view name) {
  if (name == "table") return Format::kTable;
  if (name == "json") return Format::kJson;
  if (name == "jsonl") return Format::kJsonl;
  if (name == "csv") return Format::kCsv;
  return InvalidArgument("expected table, json, jsonl or csv, found '" + std::string(name) + "'");
}

std::string CsvText(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string quoted = "\"";
  for (const char c : text) quoted += c == '"' ? "\"\"" : std::string(1, c);
  return quoted + "\"";
}

std::string Printable(std::string_view text) {
  std::string result(text);
  for (char& c : result) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) c = '?';
  }
  return result;
}

size_t DisplayWidth(std::string_view text) {
  return static_cast<size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return !IsContinuation(c); }));
}

std::string CutTo(std::string_view text, size_t width) {
  if (DisplayWidth(text) <= width) return std::string(text);
  const size_t kept = width > 3 ? width - 3 : width;
  size_t at = 0, characters = 0;
  while (at < text.size() && (characters < kept || IsContinuation(text[at]))) {
    if (!IsContinuation(text[at])) ++characters;
    ++at;
  }
  return std::string(text.substr(0, at)) + (width > 3 ? "..." : "");
}

void Table::AddRow(std::vector<Cell> row) {
  CANOPY_CHECK(row.size() == columns_.size(), "one cell a column");
  rows_.push_back(std::move(row));
}

std::string Table::Show(const Cell& cell, Display display) const {
  if (const auto* text = std::get_if<std::string>(&cell)) return Printable(*text);
  if (const auto* number = std::get_if<double>(&cell)) {
    return display == Display::kFraction ? FormatFixed(*number, 4) : FormatDouble(*number);
  }
  const auto* integer = std::get_if<int64_t>(&cell);
  if (!integer) return "-";
  switch (display) {
    case Display::kCount:
      return FormatCount(*integer);
    case Display::kDuration:
      return FormatDuration(*integer);
    case Display::kTime: {
      if (*integer == 0) return "-";
      std::string time = FormatWallUs(*integer).substr(0, 19);
      std::replace(time.begin(), time.end(), 'T', ' ');
      return time;
    }
    default:
      return std::to_string(*integer);
  }
}

void Table::Print(std::ostream& out, Format format, int width) const {
  switch (format) {
    case Format::kTable:
      return PrintTable(out, width);
    case Format::kJson:
      return PrintJson(out, false);
    case Format::kJsonl:
      return PrintJson(out, true);
    case Format::kCsv:
      return PrintCsv(out);
  }
}

void Table::PrintTable(std::ostream& out, int width) const {
  std::vector<std::vector<std::string>> lines(1);
  for (const Column& column : columns_) {
    std::string title = column.name;
    std::transform(title.begin(), title.end(), title.begin(), [](char c) {
      return c == '_' ? ' ' : static_cast<char>(c >= 'a' && c <= 'z' ? c - 32 : c);
    });
    lines[0].push_back(std::move(title));
  }
  for (const auto& row : rows_) {
    auto& line = lines.emplace_back();
    for (size_t i = 0; i < row.size(); ++i) line.push_back(Show(row[i], columns_[i].display));
  }
  // Numbers stand right, a column with any text left.
  std::vector<bool> right(columns_.size());
  for (size_t i = 0; i < columns_.size(); ++i) {
    const Display display = columns_[i].display;
    right[i] = display != Display::kText && display != Display::kTime &&
               std::none_of(rows_.begin(), rows_.end(),
                            [i](const auto& row) { return std::holds_alternative<std::string>(row[i]); });
  }
  std::vector<size_t> widths(columns_.size(), 0);
  for (const auto& line : lines) {
    for (size_t i = 0; i < line.size(); ++i) widths[i] = std::max(widths[i], DisplayWidth(line[i]));
  }
  for (const auto& line : lines) {
    std::string text;
    for (size_t i = 0; i < line.size(); ++i) {
      const std::string padding(widths[i] - DisplayWidth(line[i]), ' ');
      if (i > 0) text += "  ";
      text += right[i] ? padding + line[i] : line[i] + padding;
    }
    text.erase(text.find_last_not_of(' ') + 1);
    out << (width > 0 ? CutTo(text, static_cast<size_t>(width)) : text) << '\n';
  }
}

void Table::PrintJson(std::ostream& out, bool lines) const {
  if (!lines) out << '[';
  for (size_t r = 0; r < rows_.size(); ++r) {
    ordered_json object = ordered_json::object();
    for (size_t i = 0; i < columns_.size(); ++i) {
      object[columns_[i].name] = ToJson(rows_[r][i], columns_[i].display);
    }
    if (!lines) out << (r > 0 ? ",\n " : "\n ");
    out << Dump(object) << (lines ? "\n" : "");
  }
  if (!lines) out << (rows_.empty() ? "]\n" : "\n]\n");
}

void Table::PrintCsv(std::ostream& out) const {
  for (size_t i = 0; i < columns_.size(); ++i) out << (i > 0 ? "," : "") << columns_[i].name;
  out << '\n';
  for (const auto& row : rows_) {
    for (size_t i = 0; i < row.size(); ++i)
      out << (i > 0 ? "," : "") << CsvField(row[i], columns_[i].display);
    out << '\n';
  }
}

void PrintFields(const std::vector<std::pair<std::string, std::string>>& fields) {
  for (const auto& [name, value] : fields) {
    if (value.empty()) continue;
    std::cout << name << std::string(name.size() < 17 ? 18 - name.size() : 1, ' ') << Printable(value)
              << '\n';
  }
}

}  // namespace canopy::cli
