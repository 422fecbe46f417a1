#include "controller/service/launch_plan.h"

#include <algorithm>
#include <map>
#include <set>
#include <span>
#include <utility>

#include "base/strings.h"
#include "controller/core/placement.h"
#include "controller/service/launch_files.h"

namespace canopy::controller {
namespace {

using config::CampaignFile;
using model::WorkerRecord;
using search_space::SearchSpace;

std::string Listed(const std::set<std::string>& names) {
  return Join(std::vector<std::string>(names.begin(), names.end()), ", ");
}

// FailedPrecondition with the place of a value in the campaign's file.
Status NotNow(const CampaignFile& campaign, std::string_view path, const std::string& text) {
  return FailedPrecondition(Message(campaign.Locate(path).Error(text)));
}

// `auto` is bf16 only where every connected worker trains fast in it.
Status SettleNumericMode(std::span<const WorkerRecord> workers, CampaignFile& file,
                         std::vector<std::string>& warnings) {
  model::CampaignSettings& settings = file.settings;
  if (settings.numeric_mode == "auto") {
    if (workers.empty())
      return NotNow(file, "trainer.numeric_mode",
                    "auto is settled by the connected workers, and there are none; start one, or launch with "
                    "--set trainer.numeric_mode=fp32 (or bf16)");
    const bool fast = std::all_of(workers.begin(), workers.end(), [](const WorkerRecord& worker) {
      return worker.fast_numeric_mode == "bf16";
    });
    settings.numeric_mode = fast ? "bf16" : "fp32";
    return absl::OkStatus();
  }
  std::set<std::string> offered;
  for (const WorkerRecord& worker : workers)
    offered.insert(worker.numeric_modes.begin(), worker.numeric_modes.end());
  if (!workers.empty() && offered.count(settings.numeric_mode) == 0)
    warnings.push_back("no connected worker can run numeric mode " + settings.numeric_mode +
                       " (they can: " + Listed(offered) + "); trials wait for one that can");
  return absl::OkStatus();
}

// Warns of operators of the space's own that no connected worker has.
void CheckOperators(std::span<const WorkerRecord> workers, const std::vector<std::string>& operators,
                    std::vector<std::string>& warnings) {
  for (const std::string& name : operators) {
    const bool offered = std::any_of(workers.begin(), workers.end(), [&](const WorkerRecord& worker) {
      return std::find(worker.operators.begin(), worker.operators.end(), name) != worker.operators.end();
    });
    if (offered || workers.empty()) continue;
    warnings.push_back("no connected worker's trainer has the space's operator '" + name +
                       "'; trials wait for one that has (--operator-libraries, docs/own_operators.md)");
  }
}

// Warns of a placement that no connected worker satisfies.
void CheckPlacement(std::span<const WorkerRecord> workers, const model::Placement& placement,
                    std::vector<std::string>& warnings) {
  std::string why;
  const bool offered = std::any_of(workers.begin(), workers.end(), [&](const WorkerRecord& worker) {
    return MeetsPlacement(worker, LabelsOf(worker.labels_json), placement, &why);
  });
  if (!offered && !workers.empty()) warnings.push_back(why + "; trials wait for one that has it");
}

Status SettleDataset(std::span<const Core::FleetGlance::Kind> fleet, const SearchSpace& space,
                     CampaignFile& file, std::vector<std::string>& warnings) {
  model::TaskSpec& task = file.settings.task;
  std::map<std::string, int64_t> digests;  // of this dataset: on how many workers
  std::map<std::string, model::DatasetOnWorker> by_digest;
  std::set<std::string> others;
  for (const Core::FleetGlance::Kind& kind : fleet)
    for (const model::DatasetOnWorker& dataset : kind.worker.datasets) {
      others.insert(dataset.name);
      if (dataset.name != task.dataset) continue;
      digests[dataset.digest] += kind.workers;
      by_digest[dataset.digest] = dataset;
    }
  if (digests.empty() && !fleet.empty()) {
    const std::vector<std::string> names(others.begin(), others.end());
    return NotNow(file, "task.dataset",
                  "no connected worker has '" + task.dataset + "'" + DidYouMean(task.dataset, names) +
                      "; they have " + (others.empty() ? "none" : Listed(others)) +
                      ". Give a worker its folder with --data " + task.dataset + "=PATH");
  }
  if (!digests.empty()) {
    const auto most = std::max_element(digests.begin(), digests.end(),
                                       [](const auto& a, const auto& b) { return a.second < b.second; });
    const model::DatasetOnWorker& dataset = by_digest[most->first];
    if (digests.size() > 1)
      warnings.push_back("workers have " + std::to_string(digests.size()) +
                         " different contents under the name " + task.dataset + "; only those with digest " +
                         most->first.substr(0, 12) + " take part");
    if (task.validation_count >= dataset.training_examples)
      return file.Locate("task.validation.count")
          .Error("expected fewer than the " + FormatCount(dataset.training_examples) +
                 " training examples of " + task.dataset + ", found " + FormatCount(task.validation_count));
    task.dataset_digest = dataset.digest;
    task.input_shape = dataset.input_shape;
    task.classes = dataset.classes;
    return absl::OkStatus();
  }
  if (!space.default_task())
    return NotNow(file, "task.dataset",
                  "the shape of dataset " + task.dataset +
                      " is not known: no worker is connected, and space " + space.name() +
                      " has no `input:`; start a worker, or give the space one");
  task.input_shape = space.default_task()->input;
  task.classes = space.default_task()->classes;
  return absl::OkStatus();
}

// A campaign over unequal machines compares unequal figures.
Status CheckMixture(std::span<const WorkerRecord> workers, bool strict, std::vector<std::string>& warnings) {
  std::set<std::string> builds, devices;
  for (const WorkerRecord& worker : workers) {
    builds.insert(worker.trainer_build);
    devices.insert(worker.device_kind + " " + worker.device_model);
  }
  std::vector<std::string> mixtures;
  if (builds.size() > 1) mixtures.push_back("trainer builds (" + Listed(builds) + ")");
  if (devices.size() > 1) mixtures.push_back("devices (" + Listed(devices) + ")");
  if (mixtures.empty()) return absl::OkStatus();
  const std::string text = "the connected workers mix " + Join(mixtures, " and ");
  if (strict)
    return FailedPrecondition(
        text + ", which the campaign's `strict: true` refuses; stop some, or leave strict out");
  warnings.push_back(text + "; their figures may differ in the last digits");
  return absl::OkStatus();
}

std::string ShapeText(const model::TaskSpec& task) {
  std::vector<std::string> sizes;
  for (const int64_t size : task.input_shape) sizes.push_back(std::to_string(size));
  return Join(sizes, "x") + ", " + std::to_string(task.classes) + " classes";
}

}  // namespace

StatusOr<LaunchPlan> PlanLaunch(const v1::LaunchRequest& request, const std::string& principal,
                                const std::string& owner, const std::vector<Core::FleetGlance::Kind>& fleet) {
  std::vector<WorkerRecord> workers;  // one of each kind
  for (const Core::FleetGlance::Kind& kind : fleet) workers.push_back(kind.worker);
  CANOPY_ASSIGN_OR_RETURN(LaunchFiles files,
                          ReadLaunchFiles(request, {request.overrides().begin(), request.overrides().end()}));
  CampaignFile& file = files.file;
  const SearchSpace& space = files.space;
  LaunchPlan plan;
  std::vector<std::string> warnings;
  model::CampaignSettings& settings = file.settings;
  CANOPY_RETURN_IF_ERROR(SettleDataset(fleet, space, file, warnings));
  CANOPY_RETURN_IF_ERROR(SettleNumericMode(workers, file, warnings));
  settings.operators = space.own_operators();
  CheckOperators(workers, settings.operators, warnings);
  CheckPlacement(workers, settings.placement, warnings);
  CANOPY_RETURN_IF_ERROR(CheckMixture(workers, settings.strict, warnings));
  if (workers.empty()) warnings.push_back("no worker is connected; trials wait for one");
  CANOPY_ASSIGN_OR_RETURN(plan.event.reference, CheckSearch(files, settings));

  model::CampaignRecord& campaign = plan.event.campaign;
  campaign.project = file.project;
  campaign.name = file.name;
  campaign.owner = owner;
  FillRecord(request, files, campaign);
  campaign.settings = settings;
  plan.event.principal = principal;

  plan.reply.set_name(file.project + "/" + file.name);
  for (const std::string& warning : warnings) plan.reply.add_warnings(warning);
  auto& settled = *plan.reply.mutable_settled();
  settled["numeric_mode"] = settings.numeric_mode;
  settled["dataset"] = settings.task.dataset;
  settled["dataset_digest"] = settings.task.dataset_digest;
  settled["input"] = ShapeText(settings.task);
  settled["space"] = space.name();
  settled["space_hash"] = space.content_hash();
  settled["space_size"] = space.Size();
  settled["epochs"] = settings.epochs == 0 ? "auto" : std::to_string(settings.epochs);
  settled["recipe_hash"] = settings.recipe_hash;
  return plan;
}

}  // namespace canopy::controller
