#pragma once

#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "config/yaml.h"
#include "storage/model/records.h"

namespace canopy::config {

// A campaign file, read and checked by itself; docs/campaign_file.md describes every field.
struct CampaignFile {
  std::string project = "default";
  std::string name;
  std::string description, notes;
  std::string labels_json;     // canonical: {"team":"vision"}
  std::string overrides_json;  // canonical: ["budget.trials=30"]
  // As written: a path, relative to the campaign file's folder, or the name of a built-in space.
  std::string space;
  // numeric_mode "auto" and epochs 0 are still to be settled; the task's shape and digest are the workers'
  // to tell; recipe_json is complete (see MergeRecipe).
  model::CampaignSettings settings;

  // Where things stand, for what is found wrong later.
  std::vector<Location> constraint_positions;    // one for each of settings.constraints
  std::map<std::string, Location> fixed_recipe;  // the recipe keys that `trainer:` names
  std::shared_ptr<const YamlDocument> document;  // of the file, with the overrides
  // Where the value with that path stands, such as "task.dataset", or what encloses it.
  Location Locate(std::string_view path) const { return document->Locate(path); }
};

// Parses `text`; `file` is the name that messages show. Overrides ("budget.duration=5m",
// "constraints[0]=params < 100000") replace or add values of the text before it is checked, in order; their
// values are YAML. InvalidArgument "file:line:column: path: expected ..., found ..." for the first error.
StatusOr<CampaignFile> ParseCampaign(std::string_view text, const std::string& file,
                                     std::span<const std::string> overrides = {});

// A searched recipe decision with values that it can take, as JSON: all of a choice's, both ends of a range.
struct RecipeDecision {
  std::string name;
  std::vector<std::string> values_json;
  Location location = {};    // in the space's file
  bool float_range = false;  // numbers between the two values are drawn, too
};

// OK where the built-in trainer consumes every one of the space's recipe decisions, with each value, and
// the campaign fixes none of them.
Status CheckRecipeDecisions(const CampaignFile& campaign, std::span<const RecipeDecision> decisions);

// Where the optimizer is one of `decisions`, leaves the defaults that depend on it open in recipe_json
// (null), for MergeRecipe to fill for each candidate. REQUIRES that CheckRecipeDecisions passed.
void LeaveDefaultsToOptimizer(CampaignFile& campaign, std::span<const RecipeDecision> decisions);

// What a trial trains with: the campaign's recipe_json, where a candidate's recipe decisions (a JSON object,
// SearchSpace::Recipe(candidate).ToJson()) take the place of the campaign's values; what then is open gets
// the default of the optimizer. Canonical JSON.
StatusOr<std::string> MergeRecipe(std::string_view recipe_json, std::string_view recipe_decisions_json);

}  // namespace canopy::config
