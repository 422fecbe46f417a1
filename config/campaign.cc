#include "config/campaign.h"

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/sha256.h"
#include "base/strings.h"
#include "canopy/v1/campaign_file.pb.h"
#include "config/bind.h"
#include "config/override.h"
#include "config/recipe.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/message.h"
#include "nlohmann/json.hpp"

namespace canopy::config {
namespace {

using nlohmann::json;

// Texts of people may hold anything; what is not UTF-8 is replaced.
std::string Dump(const json& value) { return value.dump(-1, ' ', false, json::error_handler_t::replace); }

// "512MiB", "8GiB", or a number of bytes; nullopt otherwise.
std::optional<int64_t> ParseBytes(std::string_view text) {
  constexpr int64_t kMost = int64_t{1} << 50;
  int64_t unit = 1;
  for (const auto& [suffix, size] : {std::pair<std::string_view, int64_t>{"KiB", int64_t{1} << 10},
                                     {"MiB", int64_t{1} << 20},
                                     {"GiB", int64_t{1} << 30},
                                     {"TiB", int64_t{1} << 40}}) {
    if (!text.ends_with(suffix)) continue;
    text.remove_suffix(suffix.size());
    unit = size;
    break;
  }
  const auto count = ParseInt(text);
  if (!count || *count < 1 || *count > kMost / unit) return std::nullopt;
  return *count * unit;
}

// Checks a bound message part by part and fills `out`; `document` says where what is wrong stands.
class CampaignReader {
 public:
  CampaignReader(const YamlDocument& document, const v1::CampaignFile& message, CampaignFile& out)
      : document_(document), message_(message), out_(out), settings_(out.settings) {}

  Status Read() {
    CANOPY_RETURN_IF_ERROR(ReadHeading());
    CANOPY_RETURN_IF_ERROR(ReadTask());
    CANOPY_RETURN_IF_ERROR(ReadTrainer());
    CANOPY_RETURN_IF_ERROR(ReadStrategy());
    CANOPY_RETURN_IF_ERROR(ReadFidelity());
    CANOPY_RETURN_IF_ERROR(ReadObjectives());
    CANOPY_RETURN_IF_ERROR(ReadBudget());
    CANOPY_RETURN_IF_ERROR(ReadFinals());
    CANOPY_RETURN_IF_ERROR(ReadPlacement());
    for (int i = 0; i < message_.constraints_size(); ++i) {
      settings_.constraints.push_back(message_.constraints(i));
      out_.constraint_positions.push_back(document_.Locate("constraints[" + std::to_string(i) + "]"));
    }
    settings_.duplicates = message_.duplicates() == v1::DUPLICATES_EVALUATE
                               ? model::DuplicatePolicy::kEvaluate
                               : model::DuplicatePolicy::kCached;
    settings_.strict = message_.strict();
    settings_.seed = message_.seed();
    return {};
  }

 private:
  Status Wrong(std::string_view path, std::string_view what) const {
    return document_.Locate(path).Error(what);
  }

  Status CheckResourceName(std::string_view path, const std::string& name) const {
    if (IsResourceName(name)) return {};
    return Wrong(
        path, "expected a name of at most 63 of a-z, 0-9 and -, beginning with a letter or digit, found '" +
                  name + "'");
  }

  Status ReadHeading() {
    const v1::CampaignHeading& heading = message_.campaign();
    CANOPY_RETURN_IF_ERROR(CheckResourceName("campaign.name", heading.name()));
    out_.name = heading.name();
    if (!heading.project().empty()) out_.project = heading.project();
    CANOPY_RETURN_IF_ERROR(CheckResourceName("campaign.project", out_.project));
    out_.description = heading.description();
    out_.notes = heading.notes();
    json labels = json::object();
    for (const auto& [key, value] : heading.labels()) labels[key] = value;
    out_.labels_json = Dump(labels);
    if (heading.has_priority()) {
      if (heading.priority() < 1 || heading.priority() > 1000)
        return Wrong("campaign.priority",
                     "expected an integer from 1 to 1000, found " + std::to_string(heading.priority()));
      settings_.priority = heading.priority();
    }
    out_.space = message_.space();
    if (out_.space.empty())
      return Wrong("space", "expected a space file or a built-in space's name, found ''");
    return {};
  }

  Status ReadTask() {
    const v1::TaskSection& task = message_.task();
    if (!IsResourceName(task.dataset())) {
      return Wrong("task.dataset",
                   "expected a dataset's name, such as fashion-mnist, found '" + task.dataset() + "'");
    }
    if (task.validation().count() < 1) {
      return Wrong("task.validation.count",
                   "expected 1 example or more, found " + std::to_string(task.validation().count()));
    }
    settings_.task.dataset = task.dataset();
    settings_.task.validation_seed = task.validation().seed();
    settings_.task.validation_count = task.validation().count();
    return {};
  }

  Status ReadTrainer() {
    const v1::TrainerSection& trainer = message_.trainer();
    switch (trainer.numeric_mode()) {
      case v1::NUMERIC_MODE_FP32:
        settings_.numeric_mode = "fp32";
        break;
      case v1::NUMERIC_MODE_BF16:
        settings_.numeric_mode = "bf16";
        break;
      default:
        settings_.numeric_mode = "auto";
    }
    json recipe = DefaultRecipe(trainer.optimizer());
    for (auto& [key, value] : recipe.items()) {
      CANOPY_RETURN_IF_ERROR(ReadRecipeValue(trainer, key, value));
    }
    settings_.recipe_json = recipe.dump();
    settings_.recipe_hash = Sha256Hex(settings_.recipe_json);
    return {};
  }

  // Replaces the default `value` where the file names `key`.
  Status ReadRecipeValue(const v1::TrainerSection& trainer, const std::string& key, json& value) {
    using google::protobuf::FieldDescriptor;
    const FieldDescriptor& field = *trainer.GetDescriptor()->FindFieldByName(key);
    const google::protobuf::Reflection& reflection = *trainer.GetReflection();
    if (!reflection.HasField(trainer, &field)) return {};
    switch (field.cpp_type()) {
      case FieldDescriptor::CPPTYPE_BOOL:
        value = reflection.GetBool(trainer, &field);
        break;
      case FieldDescriptor::CPPTYPE_INT64:
        value = reflection.GetInt64(trainer, &field);
        break;
      case FieldDescriptor::CPPTYPE_DOUBLE:
        value = reflection.GetDouble(trainer, &field);
        break;
      default:
        value = reflection.GetString(trainer, &field);
    }
    const Location location = document_.Locate("trainer." + key);
    if (const Status status = CheckRecipeValue(key, value); !status.ok())
      return location.Error(Message(status));
    out_.fixed_recipe.emplace(key, location);
    return {};
  }

  Status ReadStrategy() {
    const v1::StrategySection& strategy = message_.strategy();
    const bool evolves = strategy.kind() == v1::STRATEGY_KIND_REGULARIZED_EVOLUTION;
    const struct {
      const char* key;
      bool given, of_evolution;
    } fields[] = {{"population", strategy.has_population(), true},
                  {"sample", strategy.has_sample(), true},
                  {"mutation", strategy.has_mutation(), true},
                  {"crossover", strategy.has_crossover(), true},
                  {"sampling", strategy.has_sampling(), false}};
    for (const auto& field : fields) {
      if (!field.given || field.of_evolution == evolves) continue;
      return Wrong("strategy." + std::string(field.key),
                   std::string("expected no such field: only ") +
                       (field.of_evolution ? "regularized_evolution" : "random") + " has a " + field.key);
    }
    if (!evolves) {
      settings_.strategy_kind = "random";
      json parameters = json::object();
      if (strategy.sampling() == v1::SAMPLING_UNIFORM) parameters["sampling"] = "uniform";
      if (strategy.sampling() == v1::SAMPLING_DISTINCT) parameters["sampling"] = "distinct";
      settings_.strategy_json = parameters.dump();
      return {};
    }
    const int64_t population = strategy.has_population() ? strategy.population() : 50;
    const int64_t sample = strategy.has_sample() ? strategy.sample() : std::min<int64_t>(10, population);
    if (population < 2 || population > 100000) {
      return Wrong("strategy.population",
                   "expected an integer from 2 to 100000, found " + std::to_string(population));
    }
    if (sample < 1 || sample > population) {
      return Wrong("strategy.sample", "expected an integer from 1 to the population, " +
                                          std::to_string(population) + ", found " + std::to_string(sample));
    }
    if (!(strategy.crossover() >= 0 && strategy.crossover() <= 1)) {
      return Wrong("strategy.crossover",
                   "expected a number from 0 to 1, found " + FormatDouble(strategy.crossover()));
    }
    settings_.strategy_kind = "regularized_evolution";
    json parameters = {{"population", population}, {"sample", sample}};
    if (strategy.mutation() == v1::MUTATION_NETWORK) parameters["mutation"] = "network";
    if (strategy.crossover() > 0) parameters["crossover"] = strategy.crossover();
    settings_.strategy_json = parameters.dump();
    return {};
  }

  Status ReadFidelity() {
    if (!message_.has_fidelity() || message_.fidelity().epochs() == "auto") {
      const v1::BudgetSection& budget = message_.budget();
      if (budget.has_duration() || budget.has_device_time() || budget.has_until()) return {};
      return Wrong(message_.has_fidelity() ? "fidelity.epochs" : "fidelity",
                   "expected `epochs`, a number of them: `auto` needs budget.duration, budget.device_time or "
                   "budget.until, by which a probe settles it");
    }
    const auto epochs = ParseInt(message_.fidelity().epochs());
    if (!epochs || *epochs < 1 || *epochs > 100000) {
      return Wrong("fidelity.epochs", "expected an integer from 1 to 100000 or `auto`, found '" +
                                          message_.fidelity().epochs() + "'");
    }
    settings_.epochs = *epochs;
    return {};
  }

  Status ReadObjectives() {
    if (message_.objectives_size() == 0) return {};
    if (message_.objectives_size() > 1) {
      return Wrong("objectives", "expected one objective, found " +
                                     std::to_string(message_.objectives_size()) +
                                     ": write the others as constraints");
    }
    const v1::Objective& objective = message_.objectives(0);
    const bool accuracy = objective.metric() == v1::OBJECTIVE_METRIC_VAL_ACCURACY;
    const bool maximize = objective.goal() == v1::OBJECTIVE_GOAL_MAXIMIZE;
    settings_.objective_metric = accuracy ? "val_accuracy" : "val_loss";
    settings_.objective_goal = maximize ? model::Goal::kMaximize : model::Goal::kMinimize;
    if (accuracy != maximize) {
      return Wrong("objectives[0].goal", std::string("expected ") + (accuracy ? "maximize" : "minimize") +
                                             " for " + settings_.objective_metric);
    }
    return {};
  }

  Status ReadBudget() {
    const v1::BudgetSection& budget = message_.budget();
    if (!budget.has_trials() && !budget.has_duration() && !budget.has_device_time() && !budget.has_until()) {
      return Wrong("budget",
                   "expected one or more of `trials`, `duration`, `device_time` and `until`, found none");
    }
    if (budget.has_trials()) {
      if (budget.trials() < 1) {
        return Wrong("budget.trials", "expected 1 trial or more, found " + std::to_string(budget.trials()));
      }
      settings_.budget_trials = budget.trials();
    }
    if (budget.has_duration())
      CANOPY_RETURN_IF_ERROR(ReadTime("budget.duration", budget.duration(), settings_.budget_duration_ms));
    if (budget.has_device_time())
      CANOPY_RETURN_IF_ERROR(
          ReadTime("budget.device_time", budget.device_time(), settings_.budget_device_ms));
    if (budget.has_until()) {
      const auto until_us = ParseWallUs(budget.until());
      if (!until_us || *until_us <= 0) {
        return Wrong("budget.until",
                     "expected a date and time with its zone, such as 2026-12-24T18:00:00Z or "
                     "2026-12-24T19:00:00+01:00, found '" +
                         budget.until() + "'");
      }
      settings_.budget_until_us = *until_us;
    }
    return {};
  }

  Status ReadTime(std::string_view path, const std::string& text, int64_t& ms) {
    const auto time = ParseDurationMs(text);
    if (!time || *time < 1000) {
      return Wrong(path, "expected a time of 1s or more, such as 90s, 10m, 2h or 3d, found '" + text + "'");
    }
    ms = *time;
    return {};
  }

  Status ReadFinals() {
    if (!message_.has_finals()) return {};
    const v1::FinalsSection& finals = message_.finals();
    if (finals.top() < 1 || finals.top() > 100) {
      return Wrong("finals.top", "expected an integer from 1 to 100, found " + std::to_string(finals.top()));
    }
    if (finals.seeds() < 1 || finals.seeds() > 100) {
      return Wrong("finals.seeds",
                   "expected an integer from 1 to 100, found " + std::to_string(finals.seeds()));
    }
    if (finals.controls_size() > 1) return Wrong("finals.controls[1]", "expected each control once");
    settings_.finals_top = finals.top();
    settings_.finals_seeds = finals.seeds();
    settings_.finals_reference = finals.controls_size() == 1;
    return {};
  }

  Status ReadPlacement() {
    const v1::PlacementSection& placement = message_.placement();
    for (const auto& [name, value] : placement.labels()) settings_.placement.labels[name] = value;
    settings_.placement.device_kind = placement.device_kind();
    if (placement.min_memory().empty()) return {};
    const auto bytes = ParseBytes(placement.min_memory());
    if (!bytes)
      return Wrong("placement.min_memory",
                   "expected a size such as 512MiB or 8GiB, found '" + placement.min_memory() + "'");
    settings_.placement.min_memory = *bytes;
    return {};
  }

  const YamlDocument& document_;
  const v1::CampaignFile& message_;
  CampaignFile& out_;
  model::CampaignSettings& settings_;
};

}  // namespace

StatusOr<CampaignFile> ParseCampaign(std::string_view text, const std::string& file,
                                     std::span<const std::string> overrides) {
  CANOPY_ASSIGN_OR_RETURN(YamlDocument document, ParseYaml(text, file));
  CANOPY_RETURN_IF_ERROR(CheckFormatVersion(document));
  CANOPY_RETURN_IF_ERROR(ApplyOverrides(document, overrides));
  v1::CampaignFile message;
  CANOPY_RETURN_IF_ERROR(Binder().Bind(document.root(), message));
  CampaignFile campaign;
  CANOPY_RETURN_IF_ERROR(CampaignReader(document, message, campaign).Read());
  campaign.document = std::make_shared<const YamlDocument>(std::move(document));
  campaign.overrides_json = Dump(std::vector<std::string>(overrides.begin(), overrides.end()));
  return campaign;
}

Status CheckRecipeDecisions(const CampaignFile& campaign, std::span<const RecipeDecision> decisions) {
  for (const RecipeDecision& decision : decisions) {
    if (const Status status = CheckRecipeKey(decision.name); !status.ok()) {
      return decision.location.Error("the built-in trainer does not consume '" + decision.name +
                                     "': " + Message(status));
    }
    if (const auto fixed = campaign.fixed_recipe.find(decision.name); fixed != campaign.fixed_recipe.end()) {
      return fixed->second.Error("expected no value here: the space searches '" + decision.name +
                                 "'; remove it here or from the space's `recipe:`");
    }
    if (decision.float_range && TakesIntegers(decision.name)) {
      return decision.location.Error(
          "expected integers for '" + decision.name +
          "', found a range of numbers: write {int: [low, high]} or {choice: [...]}");
    }
    for (const std::string& text : decision.values_json) {
      const json value = json::parse(text, nullptr, false);
      if (const Status status = CheckRecipeValue(decision.name, value); !status.ok()) {
        return decision.location.Error("a value of '" + decision.name + "': " + Message(status));
      }
    }
  }
  return {};
}

void LeaveDefaultsToOptimizer(CampaignFile& campaign, std::span<const RecipeDecision> decisions) {
  const auto searched = [&](const std::string& key) {
    return std::any_of(decisions.begin(), decisions.end(),
                       [&](const RecipeDecision& decision) { return decision.name == key; });
  };
  if (!searched("optimizer")) return;
  json recipe = json::parse(campaign.settings.recipe_json);
  const json sgd = DefaultRecipe("sgd"), adamw = DefaultRecipe("adamw");
  for (auto& [key, value] : recipe.items()) {
    // One that is searched may be so under a condition.
    if (key != "optimizer" && sgd[key] != adamw[key] && campaign.fixed_recipe.count(key) == 0)
      value = nullptr;
  }
  campaign.settings.recipe_json = recipe.dump();
  campaign.settings.recipe_hash = Sha256Hex(campaign.settings.recipe_json);
}

StatusOr<std::string> MergeRecipe(std::string_view recipe_json, std::string_view recipe_decisions_json) {
  json recipe = json::parse(recipe_json, nullptr, false);
  const json decisions = json::parse(recipe_decisions_json, nullptr, false);
  if (!recipe.is_object()) return InvalidArgument("recipe: expected a JSON object");
  if (!decisions.is_object()) return InvalidArgument("recipe decisions: expected a JSON object");
  recipe.update(decisions);
  const auto optimizer = recipe.find("optimizer");
  const bool named = optimizer != recipe.end() && optimizer->is_string();
  const json defaults = DefaultRecipe(named ? optimizer->get<std::string>() : "sgd");
  for (auto& [key, value] : recipe.items()) {
    if (value.is_null() && defaults.contains(key)) value = defaults[key];
  }
  return recipe.dump();
}

}  // namespace canopy::config
