#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/random.h"
#include "worker/trainer/torch_compat.h"

namespace canopy::trainer {

// Fills a parameter's values in row-major order of its shape, whatever its layout in memory.
using Initializer = std::function<void(Rng& rng, std::vector<float>& values)>;

Initializer Constant(float value);
// Normal with that standard deviation.
Initializer Normal(double deviation);
// Normal with variance 2 / fan_in (He et al. 2015).
Initializer HeNormal(int64_t fan_in);
// Uniform in +-1 / sqrt(fan_in).
Initializer FanInUniform(int64_t fan_in);

// A trainable tensor: views into the store's flat buffers. Four-dimensional ones lie channels-last.
struct Parameter {
  std::string name;
  std::vector<int64_t> shape;
  bool decays = false;  // a convolution or linear weight
  Initializer initializer;
  at::Tensor value;     // fp32, what the optimizer updates
  at::Tensor compute;   // the same in the type that the network computes in
  at::Tensor gradient;  // fp32
};

// A tensor that training updates without gradients: running means and variances. fp32.
struct Buffer {
  std::string name;
  at::Tensor value;
};

// All parameters of a network in flat buffers, those that decay first, so that an optimizer's step and
// the conversion to bf16 are single passes over memory.
class ParameterStore {
 public:
  // REQUIRES compute_type is float or bfloat16.
  explicit ParameterStore(at::ScalarType compute_type) : compute_type_(compute_type) {}

  // The reference stays valid; its tensors exist after Allocate.
  Parameter& Add(std::string name, std::vector<int64_t> shape, bool decays, Initializer initializer);
  Buffer& AddBuffer(std::string name, int64_t size, float value);

  // Lays out and initialises everything, each parameter from its own stream of `seed`, so that its values
  // depend on its name alone; without one to zero. Called once, after the last Add.
  void Allocate(std::optional<uint64_t> seed);
  // To be called whenever values have changed.
  void RefreshCompute();

  std::deque<Parameter>& parameters() { return parameters_; }
  std::deque<Buffer>& buffers() { return buffers_; }
  at::ScalarType compute_type() const { return compute_type_; }
  // Numbers that are trained.
  int64_t count() const;

  at::Tensor& values() { return values_; }
  at::Tensor& gradients() { return gradients_; }
  // values()[0, decayed_size()) decays, the rest doesn't.
  int64_t decayed_size() const { return decayed_size_; }

 private:
  at::ScalarType compute_type_;
  std::deque<Parameter> parameters_;
  std::deque<Buffer> buffers_;
  at::Tensor values_;
  at::Tensor compute_;
  at::Tensor gradients_;
  int64_t decayed_size_ = 0;
};

}  // namespace canopy::trainer
