#include "config/campaign.h"

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"

namespace canopy::config {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr char kCampaign[] = R"(canopy: 1
campaign: {name: fashion-macro, project: vision, labels: {team: a}}
space: macro.yaml
task: {kind: image_classification, dataset: fashion-mnist, validation: {seed: 1, count: 10000}}
trainer: {kind: builtin, numeric_mode: auto, optimizer: sgd}
strategy: {kind: regularized_evolution, population: 40, sample: 8}
fidelity: {epochs: 2}
objectives: [{metric: val_accuracy, goal: maximize}]
constraints: ["params < 200000"]
budget: {duration: 10m}
finals: {top: 3, seeds: 2, controls: [reference]}
seed: 7
)";

CampaignFile Parse(const std::vector<std::string>& overrides = {}) {
  auto campaign = ParseCampaign(kCampaign, "c.yaml", overrides);
  EXPECT_TRUE(campaign.ok()) << Message(campaign.status());
  return campaign.ok() ? *campaign : CampaignFile();
}

std::string ErrorOf(const std::string& text, const std::vector<std::string>& overrides = {}) {
  const auto campaign = ParseCampaign(text, "c.yaml", overrides);
  return campaign.ok() ? "accepted" : Message(campaign.status());
}

TEST(CampaignTest, PlacementAndPriorityReachTheSettings) {
  EXPECT_EQ(Parse().settings.priority, 10);
  const model::CampaignSettings settings =
      Parse({"campaign.priority=20", "placement={labels: {gpu: a100}, device_kind: cuda, min_memory: 8GiB}"})
          .settings;
  EXPECT_EQ(settings.priority, 20);
  EXPECT_EQ(settings.placement.labels, (std::map<std::string, std::string>{{"gpu", "a100"}}));
  EXPECT_EQ(settings.placement.device_kind, "cuda");
  EXPECT_EQ(settings.placement.min_memory, int64_t{8} << 30);
  EXPECT_EQ(Parse({"placement.min_memory=512MiB"}).settings.placement.min_memory, int64_t{512} << 20);
  EXPECT_EQ(Parse({"placement.min_memory=4096"}).settings.placement.min_memory, 4096);
  const std::string text = std::string(kCampaign) + "placement: {min_memory: 8GB}\n";
  EXPECT_THAT(ErrorOf(text), HasSubstr("c.yaml:13:25: placement.min_memory: expected a size such as 512MiB"));
  EXPECT_THAT(ErrorOf(std::string(kCampaign) + "placement: {lables: {a: b}}\n"),
              HasSubstr("did you mean 'labels'"));
  EXPECT_THAT(ErrorOf(kCampaign, {"campaign.priority=0"}), HasSubstr("from 1 to 1000"));
  for (const char* size : {"0", "-1GiB", "9999999TiB", "GiB"})
    EXPECT_THAT(ErrorOf(kCampaign, {std::string("placement.min_memory=") + size}),
                HasSubstr("expected a size"));
}

TEST(CampaignTest, EveryFieldReachesTheSettings) {
  const CampaignFile campaign = Parse();
  EXPECT_EQ(campaign.name, "fashion-macro");
  EXPECT_EQ(campaign.project, "vision");
  EXPECT_EQ(campaign.labels_json, R"({"team":"a"})");
  EXPECT_EQ(campaign.space, "macro.yaml");
  EXPECT_EQ(campaign.overrides_json, "[]");
  const model::CampaignSettings& settings = campaign.settings;
  EXPECT_EQ(settings.task.dataset, "fashion-mnist");
  EXPECT_EQ(settings.task.validation_seed, 1u);
  EXPECT_EQ(settings.task.validation_count, 10000);
  EXPECT_EQ(settings.numeric_mode, "auto");
  EXPECT_EQ(settings.strategy_kind, "regularized_evolution");
  EXPECT_EQ(settings.strategy_json, R"({"population":40,"sample":8})");
  EXPECT_EQ(Parse({"strategy.mutation=network"}).settings.strategy_json,
            R"({"mutation":"network","population":40,"sample":8})");
  EXPECT_EQ(Parse({"strategy.crossover=0.5"}).settings.strategy_json,
            R"({"crossover":0.5,"population":40,"sample":8})");
  EXPECT_EQ(Parse({"strategy.mutation=one_decision"}).settings.strategy_json, settings.strategy_json);
  EXPECT_EQ(Parse({"strategy={kind: random, sampling: distinct}"}).settings.strategy_json,
            R"({"sampling":"distinct"})");
  EXPECT_EQ(Parse({"strategy={kind: random, sampling: uniform}"}).settings.strategy_json,
            R"({"sampling":"uniform"})");
  EXPECT_EQ(Parse({"strategy={kind: random, sampling: auto}"}).settings.strategy_json, "{}");
  EXPECT_EQ(settings.epochs, 2);
  EXPECT_EQ(settings.objective_metric, "val_accuracy");
  EXPECT_EQ(settings.objective_goal, model::Goal::kMaximize);
  EXPECT_THAT(settings.constraints, ElementsAre("params < 200000"));
  EXPECT_EQ(settings.budget_trials, 0);
  EXPECT_EQ(settings.budget_duration_ms, 600000);
  EXPECT_EQ(settings.finals_top, 3);
  EXPECT_EQ(settings.finals_seeds, 2);
  EXPECT_TRUE(settings.finals_reference);
  EXPECT_EQ(settings.seed, 7u);
  EXPECT_EQ(campaign.constraint_positions.at(0).line, 9);
}

TEST(CampaignTest, WhatIsLeftOutTakesItsDefault) {
  const auto campaign = ParseCampaign(R"(canopy: 1
campaign: {name: a}
space: s.yaml
task: {kind: image_classification, dataset: d, validation: {seed: 0, count: 10}}
budget: {trials: 5}
fidelity: {epochs: 1}
)",
                                      "c.yaml");
  ASSERT_TRUE(campaign.ok()) << Message(campaign.status());
  EXPECT_EQ(campaign->project, "default");
  EXPECT_EQ(campaign->settings.strategy_kind, "random");
  EXPECT_EQ(campaign->settings.strategy_json, "{}");
  EXPECT_EQ(campaign->settings.numeric_mode, "auto");
  EXPECT_EQ(campaign->settings.finals_top, 0);
  EXPECT_EQ(campaign->settings.duplicates, model::DuplicatePolicy::kCached);
}

TEST(CampaignTest, AutomaticEpochsAreZeroUntilTheyAreSettled) {
  EXPECT_EQ(Parse({"fidelity.epochs=auto"}).settings.epochs, 0);
}

TEST(CampaignTest, TheRecipeIsCompleteAndItsHashSeesEveryValue) {
  const CampaignFile campaign = Parse();
  const auto recipe = nlohmann::json::parse(campaign.settings.recipe_json);
  EXPECT_EQ(recipe.size(), 11u);
  EXPECT_EQ(recipe["optimizer"], "sgd");
  EXPECT_EQ(recipe["batch_size"], 128);
  EXPECT_EQ(campaign.fixed_recipe.size(), 1u);
  EXPECT_NE(Parse({"trainer.random_crop=2"}).settings.recipe_hash, campaign.settings.recipe_hash);
  // The fidelity is no part of it, nor is what the file spells out that holds anyway.
  EXPECT_EQ(Parse({"fidelity.epochs=9", "trainer.batch_size=128"}).settings.recipe_hash,
            campaign.settings.recipe_hash);
}

TEST(CampaignTest, ErrorsNamePlaceExpectationAndNearestName) {
  const struct {
    const char *from, *to, *message;
  } kCases[] = {
      {"strategy:", "stratgy:",
       "c.yaml:6:1: expected one of canopy, campaign, space, task, trainer, strategy, fidelity, objectives, "
       "constraints, budget, finals, seed, duplicates, strict, placement, found 'stratgy' (did you mean "
       "'strategy'?)"},
      {"regularized_evolution", "regularised_evolution",
       "c.yaml:6:18: strategy.kind: expected one of random, regularized_evolution, found "
       "'regularised_evolution' "
       "(did you mean 'regularized_evolution'?)"},
      {"kind: regularized_evolution, population: 40, sample: 8", "kind: random, sample: 8",
       "c.yaml:6:34: strategy.sample: expected no such field: only regularized_evolution has a sample"},
      {"sample: 8", "sampling: distinct",
       "c.yaml:6:67: strategy.sampling: expected no such field: only random has a sampling"},
      {"sample: 8", "mutation: networks",
       "c.yaml:6:67: strategy.mutation: expected one of one_decision, network, found 'networks' (did you "
       "mean "
       "'network'?)"},
      {"sample: 8", "sample: 41",
       "c.yaml:6:65: strategy.sample: expected an integer from 1 to the population, 40, found 41"},
      {"sample: 8", "crossover: 2",
       "c.yaml:6:68: strategy.crossover: expected a number from 0 to 1, found 2"},
      {"optimizer: sgd", "optimizer: adam",
       "c.yaml:5:57: trainer.optimizer: expected one of sgd, adamw, found \"adam\" (did you mean 'adamw'?)"},
      {"optimizer: sgd", "momentum: 1",
       "c.yaml:5:56: trainer.momentum: expected a number from 0 to below 1, found 1.0"},
      {"optimizer: sgd", "batch_size: 1.5",
       "c.yaml:5:58: trainer.batch_size: expected an integer, found '1.5'"},
      {"metric: val_accuracy", "metric: val_acuracy",
       "c.yaml:8:23: objectives[0].metric: expected one of val_accuracy, val_loss, found 'val_acuracy' "
       "(did you mean 'val_accuracy'?)"},
      {"goal: maximize", "goal: minimize",
       "c.yaml:8:43: objectives[0].goal: expected maximize for val_accuracy"},
      {"{duration: 10m}", "{}",
       "c.yaml:10:9: budget: expected one or more of `trials`, `duration`, `device_time` and `until`, found "
       "none"},
      {"duration: 10m", "device_time: 5",
       "c.yaml:10:23: budget.device_time: expected a time of 1s or more, such as 90s, 10m, 2h or 3d, found "
       "'5'"},
      {"duration: 10m", "until: 2026-12-24",
       "c.yaml:10:17: budget.until: expected a date and time with its zone, such as 2026-12-24T18:00:00Z or "
       "2026-12-24T19:00:00+01:00, found '2026-12-24'"},
      {"duration: 10m", "duration: soon",
       "c.yaml:10:20: budget.duration: expected a time of 1s or more, such as 90s, 10m, 2h or 3d, found "
       "'soon'"},
      {"budget: {duration: 10m}\n", "", "c.yaml:1:1: expected 'budget', found none"},
      {"epochs: 2", "epochs: two",
       "c.yaml:7:20: fidelity.epochs: expected an integer from 1 to 100000 or `auto`, found 'two'"},
      {"name: fashion-macro", "name: Fashion Macro",
       "c.yaml:2:18: campaign.name: expected a name of at most 63 of a-z, 0-9 and -, beginning with a letter "
       "or "
       "digit, found 'Fashion Macro'"},
      {"controls: [reference]", "controls: [refrence]",
       "c.yaml:11:39: finals.controls[0]: expected one of reference, found 'refrence' (did you mean "
       "'reference'?)"},
      {"top: 3", "top: 0", "c.yaml:11:15: finals.top: expected an integer from 1 to 100, found 0"},
      {"seed: 7", "seed: 7\nseed: 8", "c.yaml:13:1: expected each key once, found 'seed' again: remove one"},
  };
  for (const auto& c : kCases) {
    std::string text = kCampaign;
    const size_t at = text.find(c.from);
    ASSERT_NE(at, std::string::npos) << c.from;
    text.replace(at, std::string(c.from).size(), c.to);
    EXPECT_EQ(ErrorOf(text), c.message);
  }
}

TEST(CampaignTest, OverridesReplaceAddAndAreKept) {
  const CampaignFile campaign = Parse(
      {"budget={trials: 30}", "trainer.learning_rate=0.2", "constraints[1]=macs < 1000000", "strict=true"});
  EXPECT_EQ(campaign.settings.budget_trials, 30);
  EXPECT_EQ(campaign.settings.budget_duration_ms, 0);
  EXPECT_THAT(campaign.settings.constraints, ElementsAre("params < 200000", "macs < 1000000"));
  EXPECT_EQ(campaign.fixed_recipe.count("learning_rate"), 1u);
  EXPECT_TRUE(campaign.settings.strict);
  EXPECT_EQ(campaign.overrides_json, R"(["budget={trials: 30}","trainer.learning_rate=0.2",)"
                                     R"("constraints[1]=macs < 1000000","strict=true"])");
}

TEST(CampaignTest, WrongOverridesAreNamed) {
  EXPECT_EQ(ErrorOf(kCampaign, {"budget.trials=many"}),
            "--set budget.trials=many:1:1: budget.trials: expected an integer, found 'many'");
  EXPECT_THAT(ErrorOf(kCampaign, {"budget.trils=3"}), HasSubstr("found 'trils' (did you mean 'trials'?)"));
  EXPECT_EQ(ErrorOf(kCampaign, {"budget.trials"}),
            "--set budget.trials: expected path=value, such as budget.duration=5m");
  EXPECT_EQ(ErrorOf(kCampaign, {"seed.x=1"}), "--set seed.x=1: expected a map with 'x' at seed, found '7'");
  EXPECT_THAT(ErrorOf(kCampaign, {"constraints[5]=macs < 3"}), HasSubstr("expected a list with an item 5"));
  EXPECT_THAT(ErrorOf(kCampaign, {"a..b=1"}), HasSubstr("expected a path such as"));
  EXPECT_THAT(ErrorOf(kCampaign, {"constraints[x]=1"}), HasSubstr("expected a path such as"));
}

TEST(CampaignTest, BudgetsOfDeviceTimeAndByDate) {
  const CampaignFile campaign = Parse({"budget={device_time: 500h, until: '2026-03-01T13:00:00+01:00'}"});
  EXPECT_EQ(campaign.settings.budget_device_ms, 500 * 3'600'000LL);
  EXPECT_EQ(campaign.settings.budget_until_us, 1'772'366'400'000'000);
  EXPECT_EQ(campaign.settings.budget_duration_ms, 0);
}

TEST(CampaignTest, AutomaticEpochsNeedABudgetOfTime) {
  EXPECT_THAT(ErrorOf(kCampaign, {"fidelity.epochs=auto", "budget={trials: 3}"}),
              HasSubstr("needs budget.duration, budget.device_time or budget.until"));
  EXPECT_EQ(Parse({"fidelity.epochs=auto", "budget={device_time: 3h}"}).settings.epochs, 0);
}

TEST(RecipeDecisionsTest, OnlyWhatTheTrainerConsumesMayBeSearched) {
  const CampaignFile campaign = Parse();
  const auto check = [&](RecipeDecision decision) {
    decision.location = {"s.yaml", 9, 3, "recipe.x"};
    const Status status = CheckRecipeDecisions(campaign, std::vector{decision});
    return status.ok() ? "" : Message(status);
  };
  EXPECT_EQ(check({"learning_rate", {"0.01", "0.5"}}), "");
  EXPECT_EQ(check({"batch_size", {"64", "128"}}), "");
  EXPECT_THAT(check({"learning_rat", {"0.1"}}),
              HasSubstr("s.yaml:9:3: recipe.x: the built-in trainer does not consume 'learning_rat'"));
  EXPECT_THAT(check({"learning_rat", {"0.1"}}), HasSubstr("(did you mean 'learning_rate'?)"));
  EXPECT_THAT(
      check({"optimizer", {"\"adamw\""}}),
      HasSubstr("c.yaml:5:57: trainer.optimizer: expected no value here: the space searches 'optimizer'"));
  EXPECT_EQ(check({"batch_size", {"64", "0"}}),
            "s.yaml:9:3: recipe.x: a value of 'batch_size': expected an integer from 1 to 65536, found 0");
  EXPECT_EQ(check({"learning_rate", {"0", "1"}, {}, true}),
            "s.yaml:9:3: recipe.x: a value of 'learning_rate': expected a number above 0, found 0");
  // Both ends are integers, what is drawn between them is not.
  EXPECT_EQ(
      check({"batch_size", {"16", "64"}, {}, true}),
      "s.yaml:9:3: recipe.x: expected integers for 'batch_size', found a range of numbers: write {int: [low, "
      "high]} or {choice: [...]}");
}

// AdamW with the rate of SGD does not train.
TEST(MergeRecipeTest, ASearchedOptimizerBringsItsOwnDefaults) {
  std::string text = kCampaign;
  text.replace(text.find("optimizer: sgd"), 14, "momentum: 0.8");
  const std::vector<RecipeDecision> decisions = {{"optimizer", {"\"sgd\"", "\"adamw\""}}};
  const auto rate = [&](const std::vector<std::string>& overrides, const std::string& candidate) {
    auto campaign = ParseCampaign(text, "c.yaml", overrides);
    EXPECT_TRUE(campaign.ok()) << campaign.status();
    LeaveDefaultsToOptimizer(*campaign, decisions);
    const auto merged = MergeRecipe(campaign->settings.recipe_json, candidate);
    EXPECT_TRUE(merged.ok()) << merged.status();
    const auto recipe = nlohmann::json::parse(*merged);
    EXPECT_EQ(recipe["momentum"], 0.8);
    EXPECT_EQ(recipe["batch_size"], 128);
    return recipe["learning_rate"].get<double>();
  };
  EXPECT_EQ(rate({}, R"({"optimizer":"adamw"})"), 0.001);
  EXPECT_EQ(rate({}, R"({"optimizer":"sgd"})"), 0.1);
  EXPECT_EQ(rate({"trainer.learning_rate=0.1"}, R"({"optimizer":"adamw"})"), 0.1);
  EXPECT_EQ(rate({}, R"({"optimizer":"adamw","learning_rate":0.25})"), 0.25);
}

TEST(MergeRecipeTest, DecisionsTakeThePlaceOfTheCampaignsValues) {
  const auto merged = MergeRecipe(R"({"batch_size":128,"learning_rate":0.1})", R"({"learning_rate":0.25})");
  ASSERT_TRUE(merged.ok());
  EXPECT_EQ(*merged, R"({"batch_size":128,"learning_rate":0.25})");
  EXPECT_FALSE(MergeRecipe("[]", "{}").ok());
  EXPECT_FALSE(MergeRecipe("{}", "{").ok());
}

}  // namespace
}  // namespace canopy::config
