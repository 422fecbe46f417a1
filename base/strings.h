#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/strings/string_view.h"

namespace canopy {

// The one place where absl's and the standard's string views meet.
inline absl::string_view ToAbsl(std::string_view s) { return {s.data(), s.size()}; }
inline std::string_view ToStd(absl::string_view s) { return {s.data(), s.size()}; }

std::string Join(std::span<const std::string> parts, std::string_view separator);
// Splits at every `separator`; an empty text gives one empty part.
std::vector<std::string> Split(std::string_view text, char separator);
std::string_view Trim(std::string_view text);

// The shortest text that reads back as the same double ("0.1", "1e-05", "nan", "inf"): canonical, so
// it may be hashed.
std::string FormatDouble(double value);
// Fixed notation with `digits` after the point, for people.
std::string FormatFixed(double value, int digits);
// "1,234,567".
std::string FormatCount(int64_t value);
// "2 h 05 m", "3 m 20 s", "12 s".
std::string FormatDuration(int64_t ms);

// Whole-text parses; nullopt where anything is left over or out of range.
std::optional<int64_t> ParseInt(std::string_view text);
std::optional<double> ParseDouble(std::string_view text);
// "90s", "10m", "2h", "3d", "250ms" to milliseconds; nullopt otherwise or when negative or too large.
std::optional<int64_t> ParseDurationMs(std::string_view text);

std::string HexEncode(std::string_view bytes);
std::optional<std::string> HexDecode(std::string_view hex);

// The candidate with the smallest edit distance to `name`, if at most a third of its length differs:
// the "did you mean" of error messages.
std::optional<std::string> NearestName(std::string_view name, std::span<const std::string> candidates);
// " (did you mean 'x'?)" or "".
std::string DidYouMean(std::string_view name, std::span<const std::string> candidates);

// True for [a-z][a-z0-9_]*, at most 63 characters: a decision, metric or column name.
bool IsLowerSnake(std::string_view name);
// True for [a-z0-9][a-z0-9-]*, at most 63 characters: a campaign or project name.
bool IsResourceName(std::string_view name);

}  // namespace canopy
