#include "cli/space_source.h"

#include <filesystem>
#include <vector>

#include "base/file.h"
#include "base/strings.h"
#include "config/yaml.h"
#include "search_spaces/catalog/catalog.h"
#include "search_spaces/includes.h"

namespace canopy::cli {

StatusOr<SpaceSource> FindSpace(const std::string& reference, const std::string& folder) {
  const std::string path = (std::filesystem::path(folder) / reference).lexically_normal();
  if (FileExists(path)) {
    CANOPY_ASSIGN_OR_RETURN(std::string text, ReadFile(path, config::kMaxFileBytes));
    const std::string space_folder = std::filesystem::path(path).parent_path();
    CANOPY_ASSIGN_OR_RETURN(text, search_space::BundleIncludes(text, path, [&](const std::string& included) {
                              return ReadFile(
                                  (std::filesystem::path(space_folder) / included).lexically_normal(),
                                  config::kMaxFileBytes);
                            }));
    return SpaceSource{path, std::move(text)};
  }
  if (const auto text = search_space::CatalogSpace(reference)) {
    return SpaceSource{reference + " (built in)", std::string(*text)};
  }
  const std::vector<std::string> names = search_space::CatalogNames();
  return NotFound("search space '" + reference + "': there is no file " + path +
                  ", and no built-in space of that name" + DidYouMean(reference, names) + "; built in are " +
                  Join(names, ", "));
}

}  // namespace canopy::cli
