#pragma once

#include <string_view>
#include <utility>

#include "gtest/gtest.h"
#include "search_spaces/space.h"

namespace canopy::search_space {

// The space of a text that a test relies on; messages call the file space.yaml.
inline SearchSpace ParseSpace(std::string_view text) {
  auto space = SearchSpace::Parse(text, "space.yaml");
  EXPECT_TRUE(space.ok()) << space.status();
  return *std::move(space);
}

}  // namespace canopy::search_space
