#pragma once

#include <string>
#include <string_view>

#include "base/status.h"
#include "canopy/v1/search_space.pb.h"
#include "config/yaml.h"

namespace canopy::search_space {

// A space file as written: checked against its schema, its meaning not yet.
struct SpaceFile {
  v1::SearchSpaceFile message;
  config::YamlDocument document;  // locates values of `message` by their path
};

// Reads what docs/search_spaces.md describes: blocks as operator names, lists or maps of one key; values as
// scalars or maps. InvalidArgument "file:line:column: path: expected ..., found ...".
StatusOr<SpaceFile> ReadSpaceFile(std::string_view text, const std::string& file);

}  // namespace canopy::search_space
