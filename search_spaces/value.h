#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>

namespace canopy::search_space {

// A decision's value or an operator's attribute: a switch, a count, a rate or a word.
using Value = std::variant<bool, int64_t, double, std::string>;

// Canonical text, as JSON writes it: true, 16, 0.1, "sep_conv". Equal values have equal texts; a double
// that is a whole number prints as one.
std::string CanonicalText(const Value& value);
// The same for people: words without quotes.
std::string DisplayText(const Value& value);
// Equal for equal values, on every machine.
uint64_t HashOf(const Value& value);
// A JSON string literal.
std::string QuoteJson(std::string_view text);
// The value as a number, with switches as 0 and 1; REQUIRES that it is no word.
double AsDouble(const Value& value);
// True for integers and doubles.
bool IsNumber(const Value& value);

}  // namespace canopy::search_space
