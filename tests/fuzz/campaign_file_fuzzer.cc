// A campaign file, and behind a line `---` overrides of it, one a line.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "base/status.h"
#include "config/campaign.h"

namespace canopy::fuzz {
namespace {

constexpr std::string_view kOverrides = "\n---\n";

void ReadCampaign(std::string_view input) {
  const std::string_view text = input.substr(0, input.find(kOverrides));
  std::vector<std::string> overrides;
  if (text.size() < input.size()) {
    std::string_view rest = input.substr(text.size() + kOverrides.size());
    while (!rest.empty()) {
      const std::string_view line = rest.substr(0, rest.find('\n'));
      overrides.emplace_back(line);
      rest.remove_prefix(std::min(line.size() + 1, rest.size()));
    }
  }
  const auto campaign = config::ParseCampaign(text, "fuzz.yaml", overrides);
  if (!campaign.ok()) {
    CANOPY_CHECK(campaign.status().code() == absl::StatusCode::kInvalidArgument, Message(campaign.status()));
    CANOPY_CHECK(Message(campaign.status()).find("expected") != std::string::npos,
                 Message(campaign.status()));
    return;
  }
  CANOPY_CHECK(campaign->constraint_positions.size() == campaign->settings.constraints.size(), text);
  const auto recipe = config::MergeRecipe(campaign->settings.recipe_json, "{}");
  CANOPY_CHECK(recipe.ok(), Message(recipe.status()));
  const auto again = config::ParseCampaign(text, "again.yaml", overrides);
  CANOPY_CHECK(again.ok() && again->settings.recipe_json == campaign->settings.recipe_json, text);
}

}  // namespace
}  // namespace canopy::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  canopy::fuzz::ReadCampaign({reinterpret_cast<const char*>(data), size});
  return 0;
}
