// Operators with several inputs: multiply and concat; ops/add.h has add.

#include <memory>
#include <utility>

#include "worker/trainer/ops/builders.h"

namespace canopy::trainer {
namespace {

class Multiply final : public Operation {
 public:
  at::Tensor Forward(std::span<const at::Tensor> inputs, const ForwardMode& mode) override {
    if (mode.training) inputs_.assign(inputs.begin(), inputs.end());
    at::Tensor product = inputs[0];
    for (const at::Tensor& input : inputs.subspan(1)) product = product * input;
    return product;
  }
  // Products of the others are formed anew, because dividing by a factor fails where it is zero.
  std::vector<at::Tensor> Backward(const at::Tensor& gradient) override {
    const std::vector<at::Tensor> inputs = std::exchange(inputs_, {});
    std::vector<at::Tensor> gradients(inputs.size(), gradient);
    for (size_t i = 0; i < inputs.size(); ++i)
      for (size_t j = 0; j < inputs.size(); ++j)
        if (j != i) gradients[i] = gradients[i] * inputs[j];
    return gradients;
  }

 private:
  std::vector<at::Tensor> inputs_;
};

// Along channels or features.
class Concat final : public Operation {
 public:
  at::Tensor Forward(std::span<const at::Tensor> inputs, const ForwardMode&) override {
    sizes_.clear();
    for (const at::Tensor& input : inputs) sizes_.push_back(input.size(1));
    return Dense(at::cat(std::vector<at::Tensor>(inputs.begin(), inputs.end()), 1));
  }
  std::vector<at::Tensor> Backward(const at::Tensor& gradient) override {
    std::vector<at::Tensor> gradients;
    for (const at::Tensor& part : gradient.split_with_sizes(sizes_, 1)) gradients.push_back(Dense(part));
    return gradients;
  }

 private:
  std::vector<int64_t> sizes_;
};

}  // namespace

BuiltOperation BuildMultiply(const BuildContext&) { return std::make_unique<Multiply>(); }
BuiltOperation BuildConcat(const BuildContext&) { return std::make_unique<Concat>(); }

}  // namespace canopy::trainer
