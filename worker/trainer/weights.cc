#include "worker/trainer/weights.h"

#include <cstddef>
#include <cstring>
#include <utility>
#include <vector>

namespace canopy::trainer {
namespace {

using checkpoint::Checkpoint;
using checkpoint::ElementType;

constexpr char kScaleName[] = "normalization.scale";
constexpr char kOffsetName[] = "normalization.offset";
constexpr char kGraphKey[] = "graph";
constexpr char kSplitHashKey[] = "split_hash";

std::string BytesOf(const float* values, size_t count) {
  return {reinterpret_cast<const char*>(values), count * sizeof(float)};
}

checkpoint::Tensor ToFileTensor(const at::Tensor& tensor) {
  const at::Tensor row_major = tensor.contiguous(at::MemoryFormat::Contiguous).view({-1});
  return {ElementType::kF32, tensor.sizes().vec(),
          BytesOf(row_major.data_ptr<float>(), static_cast<size_t>(row_major.numel()))};
}

StatusOr<std::vector<float>> FloatsOf(const Checkpoint& file, const std::string& name,
                                      const std::vector<int64_t>& shape) {
  const auto found = file.tensors.find(name);
  if (found == file.tensors.end() || found->second.type != ElementType::kF32 || found->second.shape != shape)
    return DataLoss("expected the weights to have an F32 tensor '" + name + "' of the network's shape");
  std::vector<float> values(found->second.bytes.size() / sizeof(float));
  std::memcpy(values.data(), found->second.bytes.data(), found->second.bytes.size());
  return values;
}

Status CopyInto(const Checkpoint& file, const std::string& name, at::Tensor& tensor) {
  const std::vector<int64_t> shape = tensor.sizes().vec();
  CANOPY_ASSIGN_OR_RETURN(std::vector<float> values, FloatsOf(file, name, shape));
  tensor.copy_(at::from_blob(values.data(), shape, at::kFloat));
  return absl::OkStatus();
}

}  // namespace

Checkpoint SaveWeights(GraphModule& network, const NetworkWeights& weights) {
  const c10::InferenceMode inference;
  Checkpoint file;
  file.metadata[kGraphKey] = network.graph().ToJson();
  file.metadata[kSplitHashKey] = weights.split_hash;
  for (const Parameter& parameter : network.store().parameters())
    file.tensors[parameter.name] = ToFileTensor(parameter.value);
  for (const Buffer& buffer : network.store().buffers())
    file.tensors[buffer.name] = ToFileTensor(buffer.value);
  const data::Normalization& normalization = weights.normalization;
  const auto channels = static_cast<int64_t>(normalization.scale.size());
  file.tensors[kScaleName] = {
      ElementType::kF32, {channels}, BytesOf(normalization.scale.data(), normalization.scale.size())};
  file.tensors[kOffsetName] = {
      ElementType::kF32, {channels}, BytesOf(normalization.offset.data(), normalization.offset.size())};
  return file;
}

StatusOr<NetworkWeights> LoadWeights(const Checkpoint& file, GraphModule& network) {
  const c10::InferenceMode inference;
  const auto graph = file.metadata.find(kGraphKey);
  if (graph == file.metadata.end() || graph->second != network.graph().ToJson())
    return DataLoss("the weights are of another network graph than the job's");
  ParameterStore& store = network.store();
  for (Parameter& parameter : store.parameters())
    CANOPY_RETURN_IF_ERROR(CopyInto(file, parameter.name, parameter.value));
  for (Buffer& buffer : store.buffers()) CANOPY_RETURN_IF_ERROR(CopyInto(file, buffer.name, buffer.value));
  if (file.tensors.size() != store.parameters().size() + store.buffers().size() + 2)
    return DataLoss("the weights have tensors that the network doesn't");
  store.RefreshCompute();
  NetworkWeights weights;
  const std::vector<int64_t> channels = {network.graph().nodes[0].shape[0]};
  CANOPY_ASSIGN_OR_RETURN(weights.normalization.scale, FloatsOf(file, kScaleName, channels));
  CANOPY_ASSIGN_OR_RETURN(weights.normalization.offset, FloatsOf(file, kOffsetName, channels));
  const auto hash = file.metadata.find(kSplitHashKey);
  if (hash != file.metadata.end()) weights.split_hash = hash->second;
  return weights;
}

}  // namespace canopy::trainer
