#include "controller/service/update_plan.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "base/clock.h"
#include "base/strings.h"
#include "search_spaces/space_summary.h"

namespace canopy::controller {
namespace {

using config::CampaignFile;
using model::CampaignSettings;
using nlohmann::json;

v1::Change MakeChange(std::string what, std::string before, std::string after) {
  v1::Change change;
  change.set_what(std::move(what));
  change.set_before(std::move(before));
  change.set_after(std::move(after));
  return change;
}

// Collects what differs between two values of a field.
class Differences {
 public:
  void Text(const std::string& what, const std::string& before, const std::string& after) {
    if (before != after) changes_.push_back(MakeChange(what, before, after));
  }
  template <typename Number>
  void Count(const std::string& what, Number before, Number after) {
    Text(what, std::to_string(before), std::to_string(after));
  }
  void Bound(const std::string& what, int64_t before, int64_t after, std::string (*format)(int64_t)) {
    Text(what, before == 0 ? "" : format(before), after == 0 ? "" : format(after));
  }
  void Switch(const std::string& what, bool before, bool after) {
    Text(what, before ? "true" : "false", after ? "true" : "false");
  }
  // What only one of the lists has.
  void Lists(const std::string& what, const std::vector<std::string>& before,
             const std::vector<std::string>& after) {
    for (const std::string& text : before)
      if (std::count(after.begin(), after.end(), text) == 0) Text(what, text, "");
    for (const std::string& text : after)
      if (std::count(before.begin(), before.end(), text) == 0) Text(what, "", text);
  }
  // The members of two JSON objects.
  void Objects(const std::string& what, const std::string& before, const std::string& after) {
    const json a = json::parse(before, nullptr, false), b = json::parse(after, nullptr, false);
    std::set<std::string> names;
    for (const json* object : {&a, &b})
      for (const auto& [name, value] : object->items()) names.insert(name);
    const auto text = [](const json& object, const std::string& name) {
      return object.contains(name) ? object[name].dump() : std::string();
    };
    for (const std::string& name : names) Text(what + "." + name, text(a, name), text(b, name));
  }
  std::vector<v1::Change> Take() { return std::move(changes_); }

 private:
  std::vector<v1::Change> changes_;
};

std::string GoalText(const CampaignSettings& settings) {
  return settings.objective_metric +
         (settings.objective_goal == model::Goal::kMaximize ? ", maximize" : ", minimize");
}

// What its numbers mean, and how they come about.
std::vector<v1::Change> FixedChanges(const CampaignSettings& before, const CampaignSettings& after) {
  Differences differences;
  differences.Text("task.dataset", before.task.dataset, after.task.dataset);
  differences.Count("task.validation.seed", before.task.validation_seed, after.task.validation_seed);
  differences.Count("task.validation.count", before.task.validation_count, after.task.validation_count);
  if (after.numeric_mode != "auto")
    differences.Text("trainer.numeric_mode", before.numeric_mode, after.numeric_mode);
  differences.Objects("trainer", before.recipe_json, after.recipe_json);
  differences.Text("strategy.kind", before.strategy_kind, after.strategy_kind);
  if (before.strategy_kind == after.strategy_kind)
    differences.Objects("strategy", before.strategy_json, after.strategy_json);
  differences.Text("fidelity.epochs", before.epochs == 0 ? "auto" : std::to_string(before.epochs),
                   after.epochs == 0 ? "auto" : std::to_string(after.epochs));
  differences.Text("objectives", GoalText(before), GoalText(after));
  const auto policy = [](const CampaignSettings& settings) {
    return settings.duplicates == model::DuplicatePolicy::kEvaluate ? "evaluate" : "cached";
  };
  differences.Text("duplicates", policy(before), policy(after));
  differences.Switch("strict", before.strict, after.strict);
  differences.Count("seed", before.seed, after.seed);
  return differences.Take();
}

std::vector<v1::Change> FreeChanges(const model::CampaignRecord& before, const CampaignFile& after) {
  Differences differences;
  const CampaignSettings &old = before.settings, &now = after.settings;
  differences.Text("campaign.description", before.description, after.description);
  differences.Text("campaign.notes", before.notes, after.notes);
  differences.Objects("campaign.labels", before.labels_json, after.labels_json);
  differences.Count("campaign.priority", old.priority, now.priority);
  differences.Objects("placement.labels", json(old.placement.labels).dump(),
                      json(now.placement.labels).dump());
  differences.Text("placement.device_kind", old.placement.device_kind, now.placement.device_kind);
  differences.Bound("placement.min_memory", old.placement.min_memory, now.placement.min_memory, FormatCount);
  differences.Lists("constraints", old.constraints, now.constraints);
  differences.Bound("budget.trials", old.budget_trials, now.budget_trials, FormatCount);
  differences.Bound("budget.duration", old.budget_duration_ms, now.budget_duration_ms, FormatDuration);
  differences.Bound("budget.device_time", old.budget_device_ms, now.budget_device_ms, FormatDuration);
  differences.Bound("budget.until", old.budget_until_us, now.budget_until_us, FormatWallUs);
  differences.Bound("finals.top", old.finals_top, now.finals_top, FormatCount);
  differences.Bound("finals.seeds", old.finals_seeds, now.finals_seeds, FormatCount);
  differences.Text("finals.controls", old.finals_reference ? "reference" : "",
                   now.finals_reference ? "reference" : "");
  return differences.Take();
}

// The launch's, then those of the request; one that is repeated counts where it stands last.
std::vector<std::string> Overrides(const std::string& launched_json, const v1::LaunchRequest& request) {
  std::vector<std::string> overrides;
  const json launched = json::parse(launched_json, nullptr, false);
  for (const json& text : launched) overrides.push_back(text.get<std::string>());
  for (const std::string& text : request.overrides()) {
    std::erase(overrides, text);
    overrides.push_back(text);
  }
  return overrides;
}

std::string Listed(const std::vector<v1::Change>& changes) {
  constexpr size_t kListed = 4;
  std::vector<std::string> texts;
  for (const v1::Change& change : changes) {
    if (texts.size() == kListed) {
      texts.push_back(std::to_string(changes.size() - kListed) + " more");
      break;
    }
    const auto value = [](const std::string& text) { return text.empty() ? std::string("none") : text; };
    texts.push_back(change.what() + " (" + value(change.before()) + " -> " + value(change.after()) + ")");
  }
  return Join(texts, ", ");
}

Status RefuseFixed(const std::vector<v1::Change>& fixed, const CampaignFile& file, const std::string& name) {
  if (fixed.empty()) return absl::OkStatus();
  return file.Locate(fixed[0].what())
      .Error(
          "a campaign's task, trainer, strategy, fidelity, objective, duplicates, strict and seed stay what "
          "they were at its launch, and " +
          name + " would have others: " + Listed(fixed) +
          "; launch another campaign with them, under another name (--name)");
}

Status CheckUnderWay(const storage::CampaignRow& row, const std::string& name) {
  if (model::IsTerminal(row.progress.state))
    return FailedPrecondition("campaign " + name +
                              " has ended; launch another one with these files, under another name (--name)");
  if (row.progress.finals_stage == 0) return absl::OkStatus();
  return FailedPrecondition(
      "the search of campaign " + name +
      " is over and its finals have begun; launch another one, under another name (--name)");
}

}  // namespace

StatusOr<UpdatePlan> UpdatePlan::Make(const v1::LaunchRequest& request, const std::string& principal,
                                      const storage::CampaignRow& row) {
  const model::CampaignRecord& before = row.campaign;
  const std::string name = before.project + "/" + before.name;
  CANOPY_ASSIGN_OR_RETURN(const LaunchFiles files,
                          ReadLaunchFiles(request, Overrides(before.overrides_json, request)));
  CANOPY_RETURN_IF_ERROR(CheckUnderWay(row, name));
  CampaignSettings settings = before.settings;
  const CampaignSettings& now = files.file.settings;
  CANOPY_RETURN_IF_ERROR(RefuseFixed(FixedChanges(settings, now), files.file, name));
  settings.constraints = now.constraints;
  settings.budget_trials = now.budget_trials;
  settings.budget_duration_ms = now.budget_duration_ms;
  settings.budget_device_ms = now.budget_device_ms;
  settings.budget_until_us = now.budget_until_us;
  settings.finals_top = now.finals_top;
  settings.finals_seeds = now.finals_seeds;
  settings.finals_reference = now.finals_reference;
  settings.priority = now.priority;
  settings.placement = now.placement;
  settings.operators = files.space.own_operators();

  UpdatePlan plan(SpaceMapping(files.space, files.constraints, settings));
  plan.name_ = name;
  CANOPY_ASSIGN_OR_RETURN(const search_space::SearchSpace old_space,
                          search_space::SearchSpace::Parse(before.space_text, before.space_file_name));
  const bool other_space = old_space.content_hash() != files.space.content_hash();
  if (other_space)
    for (const search_space::Difference& difference : CompareSpaces(old_space, files.space))
      plan.changes_.push_back(MakeChange("space: " + difference.what, difference.first, difference.second));
  for (v1::Change& change : FreeChanges(before, files.file)) plan.changes_.push_back(std::move(change));

  ReviseCampaign& event = plan.event_;
  CANOPY_ASSIGN_OR_RETURN(event.reference, CheckSearch(files, settings));
  event.principal = principal;
  event.campaign = before;
  FillRecord(request, files, event.campaign);
  event.new_version = other_space || before.settings.constraints != settings.constraints;
  event.campaign.settings = std::move(settings);
  json listed = json::array();
  for (const v1::Change& change : plan.changes_)
    listed.push_back({{"what", change.what()}, {"before", change.before()}, {"after", change.after()}});
  event.changes_json = listed.dump(-1, ' ', false, json::error_handler_t::replace);
  return plan;
}

Status UpdatePlan::MapTrials(storage::Reader& reader) {
  constexpr int64_t kPage = 1'000;
  if (!event_.new_version) return absl::OkStatus();
  for (bool more = true; more;) {
    CANOPY_ASSIGN_OR_RETURN(const storage::TrialPage page,
                            reader.Trials(event_.campaign.id, {}, last_trial_id_, kPage));
    for (const storage::TrialRow& row : page.trials) {
      const model::TrialRecord& trial = row.trial;
      last_trial_id_ = trial.id;
      event_.next_trial_number = trial.number + 1;
      if (trial.purpose != model::Purpose::kSearch) continue;
      // Its candidate may be proposed again.
      const bool nothing = trial.state == model::TrialState::kCancelled && !row.result;
      const std::string reason =
          nothing ? "it was cancelled before it had a result" : mapping_.WhySetAside(trial.candidate);
      if (reason.empty()) {
        ++carried_;
        if (!trial.set_aside.empty()) returned_.push_back(trial.id);
        continue;
      }
      cancelled_ += trial.state == model::TrialState::kPending;
      running_on_ += trial.state == model::TrialState::kLeased;
      Left& left = left_[reason];
      if (left.trials++ == 0) left.example = row.name();
      event_.set_aside.push_back({trial.id, reason});
    }
    more = page.next_after_id != 0;
  }
  return absl::OkStatus();
}

std::string UpdatePlan::Summary() const { return Listed(changes_); }

v1::LaunchReply UpdatePlan::Reply() const {
  constexpr size_t kReasons = 10;
  v1::LaunchReply reply;
  reply.set_campaign_id(event_.campaign.id);
  reply.set_name(name_);
  v1::CampaignUpdate& update = *reply.mutable_update();
  for (const v1::Change& change : changes_) *update.add_changes() = change;
  update.set_old_space_version(event_.campaign.space_version);
  update.set_space_version(event_.campaign.space_version + event_.new_version);
  update.set_trials_carried(carried_);
  update.set_trials_set_aside(static_cast<int64_t>(event_.set_aside.trials().size()));
  update.set_trials_cancelled(cancelled_);
  update.set_trials_running_on(running_on_);
  std::vector<std::map<std::string, Left>::const_iterator> reasons;
  for (auto left = left_.begin(); left != left_.end(); ++left) reasons.push_back(left);
  std::stable_sort(reasons.begin(), reasons.end(),
                   [](const auto& a, const auto& b) { return a->second.trials > b->second.trials; });
  if (reasons.size() > kReasons) reasons.resize(kReasons);
  for (const auto& left : reasons) {
    v1::SetAsideReason& reason = *update.add_reasons();
    reason.set_reason(left->first);
    reason.set_example(left->second.example);
    reason.set_trials(left->second.trials);
  }
  return reply;
}

}  // namespace canopy::controller
