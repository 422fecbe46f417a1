#include "rpc/convert.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include "nlohmann/json.hpp"

namespace canopy::rpc {
namespace {

// Wire enums are the model's, in order, after UNSPECIFIED.
template <typename Wire, typename Model>
Wire Up(Model value) {
  return static_cast<Wire>(static_cast<int>(value) + 1);
}

template <typename Model, typename Wire>
StatusOr<Model> Down(Wire value, Wire last, const char* what) {
  if (value < 1 || value > last)
    return InvalidArgument(std::string(what) + " " + std::to_string(static_cast<int>(value)) +
                           " is none that this build knows (1 to " + std::to_string(static_cast<int>(last)) +
                           ")");
  return static_cast<Model>(static_cast<int>(value) - 1);
}

static_assert(static_cast<int>(model::Purpose::kMeasure) + 1 == v1::PURPOSE_MEASURE);
static_assert(static_cast<int>(model::TrialState::kQuarantined) + 1 == v1::TRIAL_STATE_QUARANTINED);
static_assert(static_cast<int>(model::AttemptState::kCancelled) + 1 == v1::ATTEMPT_STATE_CANCELLED);
static_assert(static_cast<int>(model::CampaignState::kFailed) + 1 == v1::CAMPAIGN_STATE_FAILED);
static_assert(static_cast<int>(model::FailureClass::kData) + 1 == v1::FAILURE_CLASS_DATA);

}  // namespace

v1::Purpose ToProto(model::Purpose value) { return Up<v1::Purpose>(value); }
v1::TrialState ToProto(model::TrialState value) { return Up<v1::TrialState>(value); }
v1::AttemptState ToProto(model::AttemptState value) { return Up<v1::AttemptState>(value); }
v1::CampaignState ToProto(model::CampaignState value) { return Up<v1::CampaignState>(value); }
v1::FailureClass ToProto(model::FailureClass value) { return Up<v1::FailureClass>(value); }

StatusOr<model::Purpose> FromProto(v1::Purpose value) {
  return Down<model::Purpose>(value, v1::PURPOSE_MEASURE, "purpose");
}
StatusOr<model::TrialState> FromProto(v1::TrialState value) {
  return Down<model::TrialState>(value, v1::TRIAL_STATE_QUARANTINED, "trial state");
}
StatusOr<model::AttemptState> FromProto(v1::AttemptState value) {
  return Down<model::AttemptState>(value, v1::ATTEMPT_STATE_CANCELLED, "attempt state");
}
StatusOr<model::CampaignState> FromProto(v1::CampaignState value) {
  return Down<model::CampaignState>(value, v1::CAMPAIGN_STATE_FAILED, "campaign state");
}
StatusOr<model::FailureClass> FromProto(v1::FailureClass value) {
  return Down<model::FailureClass>(value, v1::FAILURE_CLASS_DATA, "failure class");
}

v1::WorkerInfo ToProto(const model::WorkerRecord& worker) {
  v1::WorkerInfo info;
  info.set_id(worker.id);
  info.set_host(worker.host);
  info.set_build(worker.build);
  info.set_slots(worker.slots);
  info.set_cores(worker.cores);
  info.set_memory_bytes(worker.memory_bytes);
  info.set_device_kind(worker.device_kind);
  info.set_device_uuid(worker.device_uuid);
  info.set_device_model(worker.device_model);
  info.set_trainer_build(worker.trainer_build);
  info.set_libtorch_version(worker.libtorch_version);
  for (const std::string& mode : worker.numeric_modes) info.add_numeric_modes(mode);
  info.set_fast_numeric_mode(worker.fast_numeric_mode);
  for (const model::DatasetOnWorker& dataset : worker.datasets) {
    v1::DatasetOnWorker& out = *info.add_datasets();
    out.set_name(dataset.name);
    out.set_digest(dataset.digest);
    out.mutable_input_shape()->Add(dataset.input_shape.begin(), dataset.input_shape.end());
    out.set_classes(dataset.classes);
    out.set_training_examples(dataset.training_examples);
  }
  for (const std::string& name : worker.operators) info.add_operators(name);
  info.set_rungs(worker.rungs);
  const nlohmann::json labels = nlohmann::json::parse(worker.labels_json, nullptr, false);
  if (labels.is_object())
    for (const auto& [name, value] : labels.items())
      if (value.is_string()) (*info.mutable_labels())[name] = value.get<std::string>();
  return info;
}

StatusOr<model::WorkerRecord> FromProto(const v1::WorkerInfo& info) {
  constexpr int64_t kMaxSlots = 4096;
  if (info.slots() < 1 || info.slots() > kMaxSlots)
    return InvalidArgument("worker " + info.id() + ": " + std::to_string(info.slots()) +
                           " slots, expected 1 to " + std::to_string(kMaxSlots));
  model::WorkerRecord worker;
  worker.id = info.id();
  worker.host = info.host();
  worker.build = info.build();
  worker.slots = info.slots();
  worker.cores = info.cores();
  worker.memory_bytes = info.memory_bytes();
  worker.device_kind = info.device_kind();
  worker.device_uuid = info.device_uuid();
  worker.device_model = info.device_model();
  worker.trainer_build = info.trainer_build();
  worker.libtorch_version = info.libtorch_version();
  worker.numeric_modes.assign(info.numeric_modes().begin(), info.numeric_modes().end());
  worker.fast_numeric_mode = info.fast_numeric_mode();
  for (const v1::DatasetOnWorker& dataset : info.datasets())
    worker.datasets.push_back({dataset.name(),
                               dataset.digest(),
                               {dataset.input_shape().begin(), dataset.input_shape().end()},
                               dataset.classes(),
                               dataset.training_examples()});
  worker.operators.assign(info.operators().begin(), info.operators().end());
  worker.rungs = info.rungs();
  nlohmann::json labels = nlohmann::json::object();
  for (const auto& [name, value] : info.labels()) labels[name] = value;
  worker.labels_json = labels.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  return worker;
}

v1::AttemptCost ToProto(const model::AttemptCost& cost) {
  v1::AttemptCost out;
  out.set_allocated_ms(cost.allocated_ms);
  out.set_busy_ms(cost.busy_ms);
  out.set_cpu_ms(cost.cpu_ms);
  out.set_peak_memory_bytes(cost.peak_memory_bytes);
  if (cost.energy_j) out.set_energy_j(*cost.energy_j);
  return out;
}

model::AttemptCost FromProto(const v1::AttemptCost& cost) {
  // Sums of what workers report stay numbers.
  const auto bounded = [](int64_t ms) { return std::clamp<int64_t>(ms, 0, 1'000'000'000'000); };
  model::AttemptCost out{bounded(cost.allocated_ms()),
                         bounded(cost.busy_ms()),
                         bounded(cost.cpu_ms()),
                         std::max<int64_t>(0, cost.peak_memory_bytes()),
                         {}};
  if (cost.has_energy_j()) out.energy_j = cost.energy_j();
  return out;
}

v1::Measurement ToProto(const model::MeasurementRecord& measurement) {
  v1::Measurement out;
  out.set_attempt_id(measurement.attempt_id);
  out.set_step(measurement.step);
  out.set_epoch(measurement.epoch);
  out.mutable_metrics()->insert(measurement.metrics.begin(), measurement.metrics.end());
  return out;
}

model::MeasurementRecord FromProto(const v1::Measurement& measurement) {
  return {measurement.attempt_id(), measurement.step(), measurement.epoch(),
          model::Metrics(measurement.metrics().begin(), measurement.metrics().end())};
}

v1::AttemptResult ToProto(const model::ResultRecord& result) {
  v1::AttemptResult out;
  out.mutable_metrics()->insert(result.metrics.begin(), result.metrics.end());
  out.set_epochs(result.epochs);
  out.set_steps(result.steps);
  out.set_correct(result.correct);
  out.set_total(result.total);
  out.set_seeds_json(result.seeds_json);
  out.set_split_hash(result.split_hash);
  out.set_dataset_digest(result.dataset_digest);
  out.set_numeric_mode(result.numeric_mode);
  out.set_trainer_build(result.trainer_build);
  out.set_libtorch_version(result.libtorch_version);
  out.set_device_model(result.device_model);
  out.set_weights_path(result.weights_path);
  out.set_weights_sha256(result.weights_sha256);
  out.set_weights_bytes(result.weights_bytes);
  return out;
}

model::ResultRecord FromProto(const v1::AttemptResult& result) {
  model::ResultRecord out;
  for (const auto& [name, value] : result.metrics())
    if (std::isfinite(value)) out.metrics.emplace(name, value);
  if (result.images_per_second() > 0) out.metrics.emplace("images_per_second", result.images_per_second());
  out.epochs = result.epochs();
  out.steps = result.steps();
  out.correct = result.correct();
  out.total = result.total();
  out.seeds_json = result.seeds_json();
  out.split_hash = result.split_hash();
  out.dataset_digest = result.dataset_digest();
  out.numeric_mode = result.numeric_mode();
  out.trainer_build = result.trainer_build();
  out.libtorch_version = result.libtorch_version();
  out.device_model = result.device_model();
  out.weights_path = result.weights_path();
  out.weights_sha256 = result.weights_sha256();
  out.weights_bytes = result.weights_bytes();
  return out;
}

}  // namespace canopy::rpc
