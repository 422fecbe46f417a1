#include "worker/agent/job_from_lease.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/strings.h"
#include "worker/protocol/codec.h"

namespace canopy::agent {
namespace {

using nlohmann::json;
using trainer_protocol::Job;
using trainer_protocol::NumericMode;
using trainer_protocol::Purpose;

constexpr std::string_view kRecipeKeys[] = {
    "optimizer",       "learning_rate",   "momentum", "weight_decay", "decay_all",   "batch_size",
    "label_smoothing", "warmup_fraction", "schedule", "random_crop",  "random_flip", "cutout"};

Status CheckKeys(const json& recipe) {
  const std::vector<std::string> known(std::begin(kRecipeKeys), std::end(kRecipeKeys));
  for (const auto& [key, value] : recipe.items())
    if (std::find(known.begin(), known.end(), key) == known.end())
      return InvalidArgument("recipe: no trainer consumes '" + key + "'" + DidYouMean(key, known) +
                             "; the keys are " + Join(known, ", "));
  return absl::OkStatus();
}

StatusOr<Purpose> PurposeOf(v1::Purpose purpose) {
  switch (purpose) {
    case v1::PURPOSE_SEARCH:
      return Purpose::kSearch;
    case v1::PURPOSE_FINAL:
      return Purpose::kFinal;
    case v1::PURPOSE_TEST:
      return Purpose::kTest;
    case v1::PURPOSE_MEASURE:
      return Purpose::kMeasure;
    case v1::PURPOSE_PROXY:
      return Purpose::kProxy;
    default:
      break;
  }
  return Unimplemented("the lease has a purpose that this agent does not know; upgrade the agent");
}

}  // namespace

StatusOr<trainer_protocol::Recipe> ParseRecipe(const std::string& json_text) {
  json recipe = json::parse(json_text, nullptr, /*allow_exceptions=*/false);
  if (!recipe.is_object()) return InvalidArgument("recipe: expected a JSON object");
  CANOPY_RETURN_IF_ERROR(CheckKeys(recipe));
  // A decision's 64.0 is the trainer's 64.
  for (const char* key : {"batch_size", "random_crop", "cutout"}) {
    const auto found = recipe.find(key);
    if (found != recipe.end() && found->is_number_float() && std::nearbyint(found->get<double>()) == *found)
      *found = static_cast<int64_t>(found->get<double>());
  }
  // The protocol's own reader checks types and ranges: the recipe travels through it in a job of defaults.
  CANOPY_ASSIGN_OR_RETURN(const std::string defaults, trainer_protocol::Encode(Job{.attempt_id = "0"}));
  json job = json::parse(defaults);
  job["recipe"].update(recipe);
  const auto decoded = trainer_protocol::Decode(job.dump(-1, ' ', false, json::error_handler_t::replace));
  if (!decoded.ok()) return decoded.status();
  return std::get<Job>(*decoded).recipe;
}

StatusOr<Job> JobFromLease(const v1::Lease& lease, const std::string& dataset_folder,
                           const std::string& weights) {
  Job job{.attempt_id = std::to_string(lease.attempt_id()), .fence = lease.fence()};
  CANOPY_ASSIGN_OR_RETURN(job.purpose, PurposeOf(lease.purpose()));
  CANOPY_ASSIGN_OR_RETURN(job.recipe, ParseRecipe(lease.recipe_json()));
  job.graph = lease.graph_json();
  job.decisions = lease.decisions_json();
  job.class_count = lease.classes();
  job.epochs = lease.epochs();
  job.max_steps = lease.max_steps();
  job.seeds = {.initialization = lease.initialization_seed(),
               .data_order = lease.data_order_seed(),
               .augmentation = lease.augmentation_seed()};
  if (lease.numeric_mode() != "fp32" && lease.numeric_mode() != "bf16")
    return Unimplemented("numeric mode '" + lease.numeric_mode() +
                         "': expected fp32 or bf16; upgrade the agent");
  job.numeric_mode = lease.numeric_mode() == "bf16" ? NumericMode::kBf16 : NumericMode::kFp32;
  job.dataset = {.name = lease.dataset(), .path = dataset_folder, .digest = lease.dataset_digest()};
  job.split = {.seed = lease.validation_seed(), .validation_count = lease.validation_count()};
  // On a CPU one thread each, however many cores are free: numbers are to be equal bit for bit.
  job.threads = 1;
  job.weights_in = lease.weights_path();
  if (job.purpose == Purpose::kFinal) job.weights_out = weights;
  job.rungs.assign(lease.rungs().begin(), lease.rungs().end());
  job.rung = lease.rung();
  if (lease.has_checkpoint()) {
    job.checkpoint_in = lease.checkpoint().path();
    job.checkpoint_sha256 = lease.checkpoint().sha256();
  }
  if (job.purpose == Purpose::kMeasure) job.measure = trainer_protocol::Measure{};
  // What the trainer would refuse to read is refused here, with the candidate's class.
  CANOPY_ASSIGN_OR_RETURN(const std::string line, trainer_protocol::Encode(job));
  CANOPY_RETURN_IF_ERROR(trainer_protocol::Decode(line).status());
  return job;
}

}  // namespace canopy::agent
