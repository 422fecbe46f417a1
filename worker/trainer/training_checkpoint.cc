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
  const auto integer = [&](const char* name) { return json.value(name, int64_t{-1}); };
  const bool complete = json.is_object() && json.contains("dropout") && json["dropout"].is_string() &&
                        json.contains("best_accuracy") && json["best_accuracy"].is_number();
  if (!complete || integer("epoch") < 0 || integer("steps") < 0 || integer("optimizer_steps") < 0)
    return DataLoss("the checkpoint does not say where its training was");
  CANOPY_ASSIGN_OR_RETURN(const Rng dropout, Rng::Restore(json["dropout"].get<std::string>()));
  optimizer.SetSteps(integer("optimizer_steps"));
  return TrainingState{integer("epoch"), integer("steps"), json["best_accuracy"].get<double>(), dropout};
}

}  // namespace canopy::trainer
