// Operators with several inputs: multiply and concat; ops/add.h has add.

#include <algorithm>
#include <memory>
#include <utility>

#include "worker/trainer/ops/builders.h"

namespace canopy::trainer {
namespace {

// Elementwise; a factor of one number per channel, [N, C] or [N, C, 1, 1], holds for every place.
class Multiply final : public Operation {
 public:
  at::Tensor Forward(std::span<const at::Tensor> inputs, const ForwardMode& mode) override {
    int64_t dimensions = 0;
    for (const at::Tensor& input : inputs) dimensions = std::max(dimensions, input.dim());
    std::vector<at::Tensor> factors;
    for (const at::Tensor& input : inputs) factors.push_back(Spread(input, dimensions));
    at::Tensor product = factors[0];
    for (size_t i = 1; i < factors.size(); ++i) product = product * factors[i];
    if (mode.training) {
      inputs_.assign(inputs.begin(), inputs.end());
      factors_ = std::move(factors);
    }
    return Dense(product);
  }
  // Products of the others are formed anew, because dividing by a factor fails where it is zero.
  std::vector<at::Tensor> Backward(const at::Tensor& gradient) override {
    const std::vector<at::Tensor> inputs = std::exchange(inputs_, {});
    const std::vector<at::Tensor> factors = std::exchange(factors_, {});
    std::vector<at::Tensor> gradients(inputs.size(), gradient);
    for (size_t i = 0; i < inputs.size(); ++i) {
      for (size_t j = 0; j < inputs.size(); ++j)
        if (j != i) gradients[i] = gradients[i] * factors[j];
      if (factors[i].sizes() != gradient.sizes())
        gradients[i] = gradient.dim() == 4 ? gradients[i].sum({2, 3}) : gradients[i].sum(1);
      gradients[i] = Dense(gradients[i].reshape(inputs[i].sizes()));
    }
    return gradients;
  }

 private:
  static at::Tensor Spread(const at::Tensor& factor, int64_t dimensions) {
    if (factor.dim() == dimensions) return factor;
    return dimensions == 4 ? factor.view({factor.size(0), factor.size(1), 1, 1}) : factor.unsqueeze(1);
  }

  std::vector<at::Tensor> inputs_;
  std::vector<at::Tensor> factors_;  // the inputs with the dimensions of the product
};

// Along channels or features.
class Concat final : public Operation {
 public:
  at::Tensor Forward(std::span<const at::Tensor> inputs, const ForwardMode&) override {
    sizes_.clear();
    axis_ = ChannelAxis(inputs[0]);
    for (const at::Tensor& input : inputs) sizes_.push_back(input.size(axis_));
    return Dense(at::cat(std::vector<at::Tensor>(inputs.begin(), inputs.end()), axis_));
  }
  std::vector<at::Tensor> Backward(const at::Tensor& gradient) override {
    std::vector<at::Tensor> gradients;
    for (const at::Tensor& part : gradient.split_with_sizes(sizes_, axis_)) gradients.push_back(Dense(part));
    return gradients;
  }

 private:
  int64_t axis_ = 1;
  std::vector<int64_t> sizes_;
};

}  // namespace

BuiltOperation BuildMultiply(const BuildContext&) { return std::make_unique<Multiply>(); }
BuiltOperation BuildConcat(const BuildContext&) { return std::make_unique<Concat>(); }

}  // namespace canopy::trainer
