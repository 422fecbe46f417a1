#pragma once

#include <string>
#include <string_view>

#include "base/status.h"

namespace canopy::config {

// Refuses text that breaks a bound of yaml.h in one pass, without memory of its own, before the YAML
// parser, which is neither linear nor frugal, sees it. The count of tokens and the nesting are upper
// bounds: commas in texts and comments count as tokens, and brackets in texts of several lines as nesting.
// Control characters and what is not UTF-8 are refused too.
Status CheckYamlBounds(std::string_view text, const std::string& file);

}  // namespace canopy::config
