#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "base/status.h"
#include "config/bind.h"

namespace canopy::search_space {

struct SpaceFile;

// A space includes at most so many files, directly and through others, so deep.
inline constexpr int kMaxIncludes = 32;
inline constexpr int kMaxIncludeDepth = 8;

// The text of a file by its path relative to the space's file.
using ReadIncluded = std::function<StatusOr<std::string>(const std::string& path)>;

// The space file `text` with the texts of all files that it includes under `included:`, so that it can be
// parsed where they are not; `text` itself where it includes none. InvalidArgument for a path that is not
// relative, and for more than a space may have, the size of a file counting for the whole; errors of `read`
// with the place of the include.
StatusOr<std::string> BundleIncludes(std::string_view text, const std::string& file,
                                     const ReadIncluded& read);

// How messages name an included file: from where the space's file is named.
std::string IncludedFileName(const std::string& file, const std::string& path);

// Puts the blocks and operators of the included files in front of the space's own and clears what it said
// about them. Positions within name their file. InvalidArgument for a file that includes itself, is missing
// under `included` or not included at all.
Status MergeIncludes(const config::Binder& binder, const std::string& file, SpaceFile& space);

}  // namespace canopy::search_space
