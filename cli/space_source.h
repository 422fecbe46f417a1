#pragma once

#include <string>

#include "base/status.h"

namespace canopy::cli {

struct SpaceSource {
  std::string file;  // as messages name it
  std::string text;  // with what it includes
};

// The space that `reference` names: a file, relative to `folder`, or else a built-in space.
// A file's includes are read beside it. NotFound names both readings and lists the built-in spaces.
StatusOr<SpaceSource> FindSpace(const std::string& reference, const std::string& folder = "");

}  // namespace canopy::cli
