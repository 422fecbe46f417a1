#include "worker/trainer/parameters.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

namespace canopy::trainer {
namespace {

// Parameters begin at multiples of a cache line.
constexpr int64_t kAlignment = 16;

int64_t CountOf(const std::vector<int64_t>& shape) {
  return std::accumulate(shape.begin(), shape.end(), int64_t{1}, std::multiplies<>());
}

// Row-major, but channels-last for four dimensions: contiguous(ChannelsLast) leaves a weight with one
// input channel or a 1x1 kernel as it is, and oneDNN then takes a slower path.
std::vector<int64_t> StridesOf(const std::vector<int64_t>& shape) {
  if (shape.size() == 4) return {shape[1] * shape[2] * shape[3], 1, shape[3] * shape[1], shape[1]};
  std::vector<int64_t> strides(shape.size(), 1);
  for (size_t i = shape.size(); i-- > 1;) strides[i - 1] = strides[i] * shape[i];
  return strides;
}

}  // namespace

Initializer Constant(float value) {
  return [value](Rng&, std::vector<float>& values) { std::fill(values.begin(), values.end(), value); };
}

Initializer Normal(double deviation) {
  return [deviation](Rng& rng, std::vector<float>& values) {
    for (float& value : values) value = static_cast<float>(rng.Normal() * deviation);
  };
}

Initializer HeNormal(int64_t fan_in) { return Normal(std::sqrt(2.0 / static_cast<double>(fan_in))); }

Initializer FanInUniform(int64_t fan_in) {
  return [fan_in](Rng& rng, std::vector<float>& values) {
    const double bound = 1 / std::sqrt(static_cast<double>(fan_in));
    for (float& value : values) value = static_cast<float>(rng.Float(-bound, bound));
  };
}

Parameter& ParameterStore::Add(std::string name, std::vector<int64_t> shape, bool decays,
                               Initializer initializer) {
  parameters_.push_back({.name = std::move(name),
                         .shape = std::move(shape),
                         .decays = decays,
                         .initializer = std::move(initializer)});
  return parameters_.back();
}

Buffer& ParameterStore::AddBuffer(std::string name, int64_t size, float value) {
  buffers_.push_back({std::move(name), at::full({size}, value, at::kFloat)});
  return buffers_.back();
}

void ParameterStore::Allocate(std::optional<uint64_t> seed) {
  std::vector<std::pair<Parameter*, int64_t>> offsets;
  int64_t size = 0;
  for (const bool decays : {true, false}) {
    for (Parameter& parameter : parameters_) {
      if (parameter.decays != decays) continue;
      offsets.emplace_back(&parameter, size);
      size += (CountOf(parameter.shape) + kAlignment - 1) / kAlignment * kAlignment;
    }
    if (decays) decayed_size_ = size;
  }
  values_ = at::zeros({size}, at::kFloat);
  gradients_ = at::zeros({size}, at::kFloat);
  compute_ = compute_type_ == at::kFloat ? values_ : at::zeros({size}, compute_type_);
  for (auto [parameter, offset] : offsets) {
    const std::vector<int64_t> strides = StridesOf(parameter->shape);
    parameter->value = values_.as_strided(parameter->shape, strides, offset);
    parameter->compute = compute_.as_strided(parameter->shape, strides, offset);
    parameter->gradient = gradients_.as_strided(parameter->shape, strides, offset);
    if (!seed) continue;
    std::vector<float> initial(static_cast<size_t>(CountOf(parameter->shape)));
    Rng rng = Rng::Derive(*seed, "parameter " + parameter->name);
    parameter->initializer(rng, initial);
    parameter->value.copy_(at::from_blob(initial.data(), parameter->shape, at::kFloat));
  }
  RefreshCompute();
}

void ParameterStore::RefreshCompute() {
  if (compute_type_ != at::kFloat) compute_.copy_(values_);
}

int64_t ParameterStore::count() const {
  int64_t total = 0;
  for (const Parameter& parameter : parameters_) total += CountOf(parameter.shape);
  return total;
}

}  // namespace canopy::trainer
