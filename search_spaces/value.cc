#include "search_spaces/value.h"

#include <bit>

#include "base/check.h"
#include "base/strings.h"
#include "search_spaces/mix.h"

namespace canopy::search_space {

std::string QuoteJson(std::string_view text) {
  static constexpr char kHex[] = "0123456789abcdef";
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (byte < 0x20) {
      out += "\\u00";
      out += kHex[byte >> 4];
      out += kHex[byte & 15];
    } else {
      out += c;
    }
  }
  return out + "\"";
}

std::string DisplayText(const Value& value) {
  if (const auto* word = std::get_if<std::string>(&value)) return *word;
  return CanonicalText(value);
}

std::string CanonicalText(const Value& value) {
  switch (value.index()) {
    case 0:
      return std::get<bool>(value) ? "true" : "false";
    case 1:
      return std::to_string(std::get<int64_t>(value));
    case 2:
      return FormatDouble(std::get<double>(value));
    default:
      return QuoteJson(std::get<std::string>(value));
  }
}

uint64_t HashOf(const Value& value) {
  const auto of_kind = [&](uint64_t bits) { return bits + (uint64_t{value.index()} << 56); };
  if (const auto* word = std::get_if<std::string>(&value)) return of_kind(MixText(*word));
  if (const auto* number = std::get_if<double>(&value)) return of_kind(std::bit_cast<uint64_t>(*number));
  if (const auto* integer = std::get_if<int64_t>(&value)) return of_kind(static_cast<uint64_t>(*integer));
  return of_kind(std::get<bool>(value) ? 1 : 0);
}

double AsDouble(const Value& value) {
  switch (value.index()) {
    case 0:
      return std::get<bool>(value) ? 1 : 0;
    case 1:
      return static_cast<double>(std::get<int64_t>(value));
    case 2:
      return std::get<double>(value);
    default:
      CANOPY_CHECK(false, "a word is no number");
  }
  return 0;
}

bool IsNumber(const Value& value) { return value.index() == 1 || value.index() == 2; }

}  // namespace canopy::search_space
