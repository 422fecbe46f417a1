#include "worker/trainer/ops/add.h"

#include <memory>
#include <type_traits>
#include <utility>

#include "worker/trainer/kernels/batch_norm.h"
#include "worker/trainer/kernels/elementwise.h"
#include "worker/trainer/ops/batch_norm.h"
#include "worker/trainer/ops/builders.h"

namespace canopy::trainer {

void Add::AbsorbNorm(size_t input, BatchNorm& norm) {
  norms_[input] = &norm;
  norm.LeaveScalingToReader();
}

at::Tensor Add::Forward(std::span<const at::Tensor> inputs, const ForwardMode& mode) {
  std::vector<at::Tensor> dense;
  for (const at::Tensor& input : inputs) dense.push_back(Dense(input));
  const int64_t channels = dense[0].size(ChannelAxis(dense[0]));
  at::Tensor sum = at::empty_like(dense[0]);
  WithElements(sum, [&](auto elements) {
    using Element = std::remove_pointer_t<decltype(elements(sum))>;
    std::vector<ScaledInput<Element>> terms;
    for (size_t i = 0; i < dense.size(); ++i) {
      ScaledInput<Element> term{.x = elements(dense[i])};
      if (mode.training && norms_[i] != nullptr) {
        term.scale = norms_[i]->scale();
        term.shift = norms_[i]->shift();
      }
      terms.push_back(term);
    }
    ScaledSum(terms, sum.numel() / channels, channels, relu_, elements(sum));
  });
  if (mode.training && relu_) output_ = sum;
  return sum;
}

std::vector<at::Tensor> Add::Backward(const at::Tensor& gradient) {
  const at::Tensor output = std::exchange(output_, at::Tensor());
  at::Tensor each = gradient;
  if (relu_) {
    const at::Tensor dy = Dense(gradient);
    each = at::empty_like(output);
    WithElements(output, [&](auto elements) {
      ReluBackward(elements(output), elements(dy), output.numel(), elements(each));
    });
  }
  return std::vector<at::Tensor>(norms_.size(), each);
}

BuiltOperation BuildAdd(const BuildContext& context) { return std::make_unique<Add>(context.inputs.size()); }

}  // namespace canopy::trainer
