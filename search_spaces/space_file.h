#pragma once

#include <string>
#include <string_view>

#include "base/status.h"
#include "canopy/v1/search_space.pb.h"
#include "config/bind.h"
#include "config/yaml.h"
#include "search_spaces/file_operators.h"
#include "search_spaces/value.h"

namespace canopy::search_space {

// A space file as written: checked against its schema, its meaning not yet.
struct SpaceFile {
  v1::SearchSpaceFile message;
  config::YamlDocument document;  // locates values of `message` by their path
  FileOperators operators;        // that its blocks may name
};

// Reads what docs/search_spaces.md describes: blocks as operator names, lists or maps of one key; values as
// scalars or maps. InvalidArgument "file:line:column: path: expected ..., found ...".
StatusOr<SpaceFile> ReadSpaceFile(std::string_view text, const std::string& file);

// A literal as it is written.
void SetLiteralHook(config::Binder& binder);
Value ToValue(const v1::Literal& literal);

}  // namespace canopy::search_space
