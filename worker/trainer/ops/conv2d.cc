#include "worker/trainer/ops/conv2d.h"

#include <memory>
#include <utility>

#include "search_spaces/ops/operator.h"
#include "worker/trainer/ops/builders.h"

namespace canopy::trainer {

at::Tensor Conv2d::Convolve(const at::Tensor& input, const at::Tensor& weight, const at::Tensor& bias) const {
  const int64_t s = shape_.stride;
  const int64_t p = shape_.padding;
  const int64_t d = shape_.dilation;
  return Dense(at::convolution(input, weight, OptionalTensor(bias), {s, s}, {p, p}, {d, d},
                               /*transposed=*/false, {0, 0}, shape_.groups));
}

at::Tensor Conv2d::Forward(std::span<const at::Tensor> inputs, const ForwardMode& mode) {
  const at::Tensor& input = inputs[0];
  if (!mode.training && folded_weight_.defined()) return Convolve(input, folded_weight_, folded_bias_);
  if (mode.training) input_ = input;
  return Convolve(input, weight_.compute, bias_ == nullptr ? at::Tensor() : bias_->compute);
}

std::vector<at::Tensor> Conv2d::Backward(const at::Tensor& gradient) {
  const int64_t s = shape_.stride;
  const int64_t p = shape_.padding;
  const int64_t d = shape_.dilation;
  const at::Tensor input = std::exchange(input_, at::Tensor());
  const std::vector<int64_t> bias_sizes = {gradient.size(1)};
  auto [input_gradient, weight_gradient, bias_gradient] = at::convolution_backward(
      gradient, input, weight_.compute, at::IntArrayRef(bias_sizes), {s, s}, {p, p}, {d, d},
      /*transposed=*/false, {0, 0}, shape_.groups, {needs_input_gradient_, true, bias_ != nullptr});
  weight_.gradient.copy_(weight_gradient);
  if (bias_ != nullptr) bias_->gradient.copy_(bias_gradient);
  return {input_gradient.defined() ? Dense(input_gradient) : input_gradient};
}

void Conv2d::Fold(const at::Tensor& scale, const at::Tensor& shift) {
  const at::ScalarType type = weight_.compute.scalar_type();
  folded_weight_ = Dense((weight_.value * scale.view({-1, 1, 1, 1})).to(type));
  folded_bias_ = (bias_ == nullptr ? shift : shift + bias_->value * scale).to(type);
}

BuiltOperation BuildConv2d(const BuildContext& context) {
  const auto& attributes = context.node.attributes;
  const int64_t out_channels = search_space::IntegerOf(attributes, "out_channels");
  const int64_t kernel = search_space::IntegerOf(attributes, "kernel");
  const Conv2dShape shape = {.stride = search_space::IntegerOf(attributes, "stride"),
                             .padding = search_space::IntegerOf(attributes, "padding"),
                             .dilation = search_space::IntegerOf(attributes, "dilation"),
                             .groups = search_space::IntegerOf(attributes, "groups")};
  const bool has_bias = search_space::SwitchOf(attributes, "bias");
  const int64_t group_channels = context.inputs[0]->shape[0] / shape.groups;
  Parameter& weight =
      context.store.Add(context.prefix + "weight", {out_channels, group_channels, kernel, kernel},
                        /*decays=*/true, HeNormal(group_channels * kernel * kernel));
  Parameter* bias = nullptr;
  if (has_bias)
    bias = &context.store.Add(context.prefix + "bias", {out_channels}, /*decays=*/false, Constant(0));
  return std::make_unique<Conv2d>(shape, weight, bias);
}

}  // namespace canopy::trainer
