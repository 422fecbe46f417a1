#pragma once

#include <span>
#include <string>

#include "base/status.h"
#include "config/yaml.h"

namespace canopy::config {

// Applies "path=value" texts in order: `path` is as in Location ("strategy.population", "constraints[0]"),
// `value` is YAML. The value that stands there is replaced; maps that are not there are added, and
// [number of items] adds to a list. Errors in a value found later name the override as their file.
// InvalidArgument for a text without path or value, or a path that leads through a scalar or past a list.
Status ApplyOverrides(YamlDocument& document, std::span<const std::string> overrides);

}  // namespace canopy::config
