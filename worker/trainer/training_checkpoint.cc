#include "worker/trainer/training_checkpoint.h"

#include <cstring>
#include <nlohmann/json.hpp>
#include <utility>

namespace canopy::trainer {
namespace {

using checkpoint::Checkpoint;
using checkpoint::ElementType;

constexpr char kStateKey[] = "training";
constexpr char kOptimizerPrefix[] = "optimizer.";

size_t Bytes(const at::Tensor& tensor) { return static_cast<size_t>(tensor.numel()) * sizeof(float); }

}  // namespace

Checkpoint SaveTraining(const TrainingState& state, GraphModule& network, Optimizer& optimizer,
                        const NetworkWeights& weights) {
  Checkpoint file = SaveWeights(network, weights);
  for (const auto& [name, tensor] : optimizer.State())
    file.tensors[kOptimizerPrefix + name] = {
        ElementType::kF32,
        {tensor->numel()},
        {reinterpret_cast<const char*>(tensor->data_ptr<float>()), Bytes(*tensor)}};
  file.metadata[kStateKey] = nlohmann::json{
      {"epoch", state.epoch},
      {"steps", state.steps},
      {"best_accuracy", state.best_accuracy},
      {"dropout", state.dropout.Save()},
      {"images", state.images},
      {"loss_sum", state.loss_sum},
      {"augmentation", state.augmentation.Save()},
      {"optimizer_steps",
       optimizer.steps()}}.dump();
  return file;
}

StatusOr<TrainingState> LoadTraining(Checkpoint file, GraphModule& network, Optimizer& optimizer) {
  for (const auto& [name, tensor] : optimizer.State()) {
    auto stored = file.tensors.extract(kOptimizerPrefix + name);
    if (stored.empty() || stored.mapped().type != ElementType::kF32 ||
        stored.mapped().bytes.size() != Bytes(*tensor))
      return DataLoss("expected the checkpoint to have the optimizer's tensor '" + name +
                      "' of the network's size");
    std::memcpy(tensor->data_ptr<float>(), stored.mapped().bytes.data(), Bytes(*tensor));
  }
  CANOPY_RETURN_IF_ERROR(LoadWeights(file, network).status());
  const auto json = nlohmann::json::parse(file.metadata[kStateKey], nullptr, false);
  TrainingState state;
  bool complete = json.is_object();
  const auto integer = [&](const char* name) {
    const auto value = complete ? json.value(name, nlohmann::json()) : nlohmann::json();
    complete = complete && value.is_number_integer() && value.get<int64_t>() >= 0;
    return complete ? value.get<int64_t>() : 0;
  };
  const auto number = [&](const char* name) {
    const auto value = complete ? json.value(name, nlohmann::json()) : nlohmann::json();
    complete = complete && value.is_number();
    return complete ? value.get<double>() : 0;
  };
  const auto stream = [&](const char* name) -> StatusOr<Rng> {
    const auto value = complete ? json.value(name, nlohmann::json()) : nlohmann::json();
    return Rng::Restore(value.is_string() ? value.get<std::string>() : "");
  };
  state.epoch = integer("epoch");
  state.steps = integer("steps");
  state.images = integer("images");
  state.best_accuracy = number("best_accuracy");
  state.loss_sum = number("loss_sum");
  const int64_t optimizer_steps = integer("optimizer_steps");
  if (!complete) return DataLoss("the checkpoint does not say where its training was");
  CANOPY_ASSIGN_OR_RETURN(state.dropout, stream("dropout"));
  CANOPY_ASSIGN_OR_RETURN(state.augmentation, stream("augmentation"));
  optimizer.SetSteps(optimizer_steps);
  return state;
}

}  // namespace canopy::trainer
