#include "controller/service/launch_files.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "base/clock.h"
#include "base/strings.h"
#include "controller/core/proposer.h"
#include "controller/engine/value_columns.h"
#include "controller/strategies/strategies.h"
#include "search_spaces/evaluation.h"

namespace canopy::controller {
namespace {

using config::CampaignFile;
using search_space::Constraint;
using search_space::Decision;
using search_space::DecisionKind;
using search_space::DecisionRole;
using search_space::SearchSpace;

config::RecipeDecision ForRecipe(const Decision& decision) {
  config::RecipeDecision recipe{decision.name, {}, decision.location, decision.kind == DecisionKind::kFloat};
  for (const search_space::Value& value : decision.choices)
    recipe.values_json.push_back(search_space::CanonicalText(value));
  if (decision.kind == DecisionKind::kInteger || decision.kind == DecisionKind::kFloat)
    for (const double end : {decision.low, decision.high}) recipe.values_json.push_back(FormatDouble(end));
  return recipe;
}

// Settles of the recipe what the searched decisions leave open.
Status CheckDecisions(CampaignFile& campaign, const SearchSpace& space) {
  const auto recipe = nlohmann::json::parse(campaign.settings.recipe_json, nullptr, false);
  std::vector<config::RecipeDecision> recipe_decisions;
  for (const Decision& decision : space.decisions()) {
    if (decision.role == DecisionRole::kRecipe) {
      recipe_decisions.push_back(ForRecipe(decision));
    } else if (recipe.contains(decision.name)) {
      return decision.location.Error(
          "expected another name than '" + decision.name +
          "', a field of the recipe, for what shapes the network: rename it, or move "
          "it under `recipe:`");
    }
  }
  CANOPY_RETURN_IF_ERROR(config::CheckRecipeDecisions(campaign, recipe_decisions));
  config::LeaveDefaultsToOptimizer(campaign, recipe_decisions);
  return engine::ColumnsOf(space).status();
}

// Both become part of a view's name, and SQLite keeps names that begin like its own for itself.
Status CheckName(const char* what, const std::string& name) {
  if (IsResourceName(name) && !name.starts_with("sqlite")) return absl::OkStatus();
  return InvalidArgument(std::string(what) + " name '" + name +
                         "': expected lower-case letters, digits and dashes, not beginning with 'sqlite'");
}

Status CheckDate(const CampaignFile& campaign) {
  const int64_t until_us = campaign.settings.budget_until_us, now_us = SystemClock().WallUs();
  if (until_us == 0 || until_us > now_us) return absl::OkStatus();
  return campaign.Locate("budget.until")
      .Error("expected a time to come, found " + FormatWallUs(until_us) + "; it is " + FormatWallUs(now_us) +
             " now");
}

StatusOr<std::vector<Constraint>> ParseConstraints(const CampaignFile& campaign, const SearchSpace& space) {
  std::vector<Constraint> constraints;
  for (size_t i = 0; i < campaign.settings.constraints.size(); ++i) {
    auto constraint = Constraint::Parse(campaign.settings.constraints[i], space);
    if (!constraint.ok()) return campaign.constraint_positions[i].Error(Message(constraint.status()));
    constraints.push_back(*std::move(constraint));
  }
  return constraints;
}

}  // namespace

StatusOr<LaunchFiles> ReadLaunchFiles(const v1::LaunchRequest& request,
                                      const std::vector<std::string>& overrides) {
  CANOPY_ASSIGN_OR_RETURN(CampaignFile file,
                          config::ParseCampaign(request.campaign_text(), request.campaign_file(), overrides));
  if (!request.name().empty()) file.name = request.name();
  CANOPY_RETURN_IF_ERROR(CheckName("campaign", file.name));
  CANOPY_RETURN_IF_ERROR(CheckName("project", file.project));
  CANOPY_RETURN_IF_ERROR(CheckDate(file));
  CANOPY_ASSIGN_OR_RETURN(SearchSpace space, SearchSpace::Parse(request.space_text(), request.space_file()));
  CANOPY_RETURN_IF_ERROR(CheckDecisions(file, space));
  CANOPY_ASSIGN_OR_RETURN(std::vector<Constraint> constraints, ParseConstraints(file, space));
  return LaunchFiles{std::move(file), std::move(space), std::move(constraints)};
}

StatusOr<std::optional<model::CandidateFacts>> CheckSearch(const LaunchFiles& files,
                                                           const model::CampaignSettings& settings) {
  const SearchSpace& space = files.space;
  const search_space::TaskShape shape{settings.task.input_shape, settings.task.classes};
  const Status strategy =
      strategies::MakeStrategy(settings.strategy_kind, settings.strategy_json, space, shape, settings.seed)
          .status();
  if (!strategy.ok()) return files.file.Locate("strategy").Error(Message(strategy));
  CANOPY_RETURN_IF_ERROR(
      search_space::CheckSpace(space, shape, files.constraints, TrainingSetupOf(settings)));
  if (space.reference()) {
    CANOPY_ASSIGN_OR_RETURN(model::CandidateFacts reference,
                            LowerCandidate(space, *space.reference(), settings.task));
    return reference;
  }
  if (settings.finals_reference) {
    return files.file.Locate("finals.controls")
        .Error("expected a space with `reference:`, and " + space.LocationOf("reference").file +
               " has none; add one, or leave the control out");
  }
  if (settings.epochs == 0) {
    return files.file.Locate("fidelity")
        .Error("auto is settled by training the space's `reference:`, and " +
               space.LocationOf("reference").file + " has none; add one, or give {epochs: 2}");
  }
  return std::nullopt;
}

void FillRecord(const v1::LaunchRequest& request, const LaunchFiles& files, model::CampaignRecord& campaign) {
  campaign.description = files.file.description;
  campaign.labels_json = files.file.labels_json;
  campaign.notes = files.file.notes;
  campaign.git_commit = request.git_commit();
  campaign.file_name = request.campaign_file();
  campaign.campaign_text = request.campaign_text();
  campaign.space_file_name = request.space_file();
  campaign.space_text = request.space_text();
  campaign.overrides_json = files.file.overrides_json;
  campaign.space_name = files.space.name();
  campaign.space_hash = files.space.content_hash();
}

}  // namespace canopy::controller
