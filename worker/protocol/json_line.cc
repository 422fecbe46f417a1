#include "worker/protocol/json_line.h"

#include <charconv>
#include <cmath>
#include <limits>
#include <optional>
#include <vector>

#include "base/strings.h"
#include "worker/protocol/line_reader.h"

namespace canopy::trainer_protocol {
namespace {

using nlohmann::json;

constexpr int kMaxDepth = 64;
constexpr int64_t kMaxExactInteger = (int64_t{1} << 53) - 1;
constexpr std::string_view kSpecialNumbers[] = {"-Infinity", "Infinity", "NaN"};

// Quotes bare NaN and infinities, which nlohmann's parser refuses, and bounds the nesting, because its
// serializer recurses.
StatusOr<std::string> QuoteSpecialNumbers(std::string_view line) {
  std::string out;
  out.reserve(line.size() + 16);
  int depth = 0;
  bool in_string = false;
  for (size_t i = 0; i < line.size(); ++i) {
    const char c = line[i];
    if (in_string) {
      out += c;
      if (c == '\\' && i + 1 < line.size()) out += line[++i];
      if (c == '"') in_string = false;
      continue;
    }
    if (c == '"') in_string = true;
    if ((c == '{' || c == '[') && ++depth > kMaxDepth)
      return InvalidArgument("trainer protocol: expected at most 64 levels of nesting in a line");
    if (c == '}' || c == ']') --depth;
    std::string_view special;
    for (std::string_view name : kSpecialNumbers)
      if (special.empty() && line.substr(i).starts_with(name)) special = name;
    if (special.empty()) {
      out += c;
    } else {
      out.append("\"").append(special).append("\"");
      i += special.size() - 1;
    }
  }
  return out;
}

std::optional<double> ToDouble(const json& value) {
  if (value.is_number()) return value.get<double>();
  if (!value.is_string()) return std::nullopt;
  const auto& text = value.get_ref<const std::string&>();
  if (text == "NaN") return std::numeric_limits<double>::quiet_NaN();
  if (text == "Infinity") return std::numeric_limits<double>::infinity();
  if (text == "-Infinity") return -std::numeric_limits<double>::infinity();
  return std::nullopt;
}

template <typename Integer>
bool ParseWhole(const std::string& text, Integer& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size() && !text.empty();
}

// Bytes that are no UTF-8 (a library's message, a path) are replaced instead of refused.
std::string Dump(const json& value) { return value.dump(-1, ' ', false, json::error_handler_t::replace); }

}  // namespace

StatusOr<json> ParseLine(std::string_view line) {
  if (line.size() > kMaxLineBytes)
    return InvalidArgument("trainer protocol: a line has at most 1 MiB, got " + std::to_string(line.size()) +
                           " bytes; pass bigger things by path");
  CANOPY_ASSIGN_OR_RETURN(const std::string quoted, QuoteSpecialNumbers(line));
  json object = json::parse(quoted, nullptr, /*allow_exceptions=*/false);
  if (!object.is_object())
    return InvalidArgument("trainer protocol: expected a JSON object in one line, got '" +
                           std::string(line.substr(0, 80)) + "'");
  const auto type = object.find("type");
  if (type == object.end() || !type->is_string())
    return InvalidArgument("trainer protocol: expected a string member \"type\"");
  return object;
}

StatusOr<std::string> FormatLine(const json& object,
                                 const std::vector<std::pair<std::string_view, std::string>>& raw) {
  std::string line = Dump(object);
  line.pop_back();
  for (const auto& [name, text] : raw)
    line.append(line.size() > 1 ? ",\"" : "\"").append(name).append("\":").append(text);
  line += '}';
  if (line.size() > kMaxLineBytes)
    return InvalidArgument("trainer protocol: the " + object.value("type", "") + " line would have " +
                           std::to_string(line.size()) + " bytes, expected at most 1 MiB");
  return line;
}

std::string FormatMetrics(const Metrics& metrics) {
  std::string text = "{";
  for (const auto& [name, value] : metrics) {
    if (text.size() > 1) text += ',';
    text += Dump(name) + ':';
    if (std::isnan(value)) {
      text += "NaN";
    } else if (std::isinf(value)) {
      text += value > 0 ? "Infinity" : "-Infinity";
    } else {
      text += Dump(value);
    }
  }
  return text + '}';
}

FieldReader::FieldReader(const json& object, std::string path) : object_(object), path_(std::move(path)) {}

const json* FieldReader::Find(const char* name, bool required) {
  if (!status_.ok()) return nullptr;
  const auto member = object_.find(name);
  if (member != object_.end() && !member->is_null()) return &*member;
  if (required) Expect(false, name, "a value; it is missing");
  return nullptr;
}

bool FieldReader::Expect(bool ok, const char* name, std::string_view expected) {
  if (ok || !status_.ok()) return ok;
  status_ =
      InvalidArgument("trainer protocol: " + path_ + "." + name + ": expected " + std::string(expected));
  return false;
}

void FieldReader::GetString(const char* name, std::string& value, bool required) {
  const json* member = Find(name, required);
  if (member != nullptr && Expect(member->is_string(), name, "a string")) value = member->get<std::string>();
}

void FieldReader::GetInteger(const char* name, int64_t& value, bool required) {
  const json* member = Find(name, required);
  if (member == nullptr) return;
  constexpr std::string_view kExpected = "an integer between 0 and 2^53 - 1";
  if (!Expect(member->is_number_unsigned(), name, kExpected)) return;
  const auto number = member->get<uint64_t>();
  if (Expect(number <= static_cast<uint64_t>(kMaxExactInteger), name, kExpected))
    value = static_cast<int64_t>(number);
}

void FieldReader::GetNumber(const char* name, double& value, bool required) {
  const json* member = Find(name, required);
  if (member == nullptr || !Expect(member->is_number(), name, "a number")) return;
  const auto number = member->get<double>();
  if (Expect(std::isfinite(number), name, "a finite number")) value = number;
}

void FieldReader::GetOptional(const char* name, bool& value) {
  const json* member = Find(name, false);
  if (member != nullptr && Expect(member->is_boolean(), name, "true or false")) value = member->get<bool>();
}

void FieldReader::GetOptional(const char* name, Metrics& value) {
  const json* member = Find(name, false);
  if (member == nullptr || !Expect(member->is_object(), name, "an object of metric values")) return;
  for (const auto& [metric, number] : member->items()) {
    const std::optional<double> parsed = ToDouble(number);
    if (!Expect(parsed.has_value(), name, "a number, NaN or Infinity for metric '" + metric + "'")) return;
    value[metric] = *parsed;
  }
}

void FieldReader::GetOptional(const char* name, std::vector<int64_t>& value) {
  constexpr size_t kMost = 4'096;
  const json* member = Find(name, false);
  if (member == nullptr ||
      !Expect(member->is_array() && member->size() <= kMost, name, "an array of at most 4,096 integers"))
    return;
  for (const json& number : *member) {
    const bool exact =
        number.is_number_unsigned() && number.get<uint64_t>() <= static_cast<uint64_t>(kMaxExactInteger);
    if (!Expect(exact, name, "integers between 0 and 2^53 - 1")) return;
    value.push_back(static_cast<int64_t>(number.get<uint64_t>()));
  }
}

void FieldReader::GetFence(const char* name, int64_t& value) {
  std::string text;
  GetString(name, text, true);
  if (status_.ok())
    Expect(ParseWhole(text, value) && value >= 0, name, "a decimal number below 2^63 in a string");
}

void FieldReader::GetSeed(const char* name, uint64_t& value) {
  std::string text;
  GetString(name, text, true);
  if (status_.ok()) Expect(ParseWhole(text, value), name, "a decimal number below 2^64 in a string");
}

int FieldReader::IndexOfName(const char* name, const std::string_view* names, size_t count) {
  std::string text;
  GetString(name, text, true);
  if (!status_.ok()) return -1;
  std::string expected;
  for (size_t i = 0; i < count; ++i) {
    if (names[i] == text) return static_cast<int>(i);
    expected.append(i == 0 ? "'" : ", '").append(names[i]).append("'");
  }
  Expect(false, name, (count == 1 ? "" : "one of ") + expected + ", got '" + text + "'");
  return -1;
}

void FieldReader::GetOptionalObjectText(const char* name, std::string& text) {
  const json* member = Find(name, false);
  if (member != nullptr && Expect(member->is_object(), name, "an object")) text = Dump(*member);
}

}  // namespace canopy::trainer_protocol
