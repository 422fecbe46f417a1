#pragma once

#include <map>
#include <string>

#include "base/status.h"

namespace canopy::cli {

// Reads the setting `data`: "name=path,name=path". InvalidArgument says what is wrong.
StatusOr<std::map<std::string, std::string>> ReadDatasetFolders(const std::string& text);

}  // namespace canopy::cli
