#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace canopy::search_space {

// The built-in spaces, compiled in from the .yaml files beside this header.
std::vector<std::string> CatalogNames();
// The space file of that name ("nas_bench_201"), nullopt where there is none.
std::optional<std::string_view> CatalogSpace(std::string_view name);

}  // namespace canopy::search_space
