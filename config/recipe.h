#pragma once

#include <string>
#include <string_view>

#include "base/status.h"
#include "nlohmann/json_fwd.hpp"

namespace canopy::config {

// How the built-in trainer trains: the keys that it consumes, what each may be and its default.
// docs/campaign_file.md has the same table for people.

// The default recipe for that optimizer ("sgd", "adamw"; anything else is read as "sgd").
nlohmann::json DefaultRecipe(std::string_view optimizer);
// OK where the trainer consumes `key`; else a message with the nearest one.
Status CheckRecipeKey(std::string_view key);
// Whether `key` takes integers alone; REQUIRES a key that the trainer consumes.
bool TakesIntegers(std::string_view key);
// OK where `value` is one that `key` can take; REQUIRES a key that the trainer consumes. The message says
// what was expected and found.
Status CheckRecipeValue(std::string_view key, const nlohmann::json& value);

}  // namespace canopy::config
