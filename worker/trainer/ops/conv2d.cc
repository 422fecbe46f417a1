#include "worker/trainer/ops/conv2d.h"

#include <memory>
#include <utility>

#include "search_spaces/ops/operator.h"
#include "worker/trainer/kernels/winograd.h"
#include "worker/trainer/ops/builders.h"

namespace canopy::trainer {

namespace {

WinogradShape WinogradShapeOf(const at::Tensor& input, const at::Tensor& weight, int64_t padding) {
  return {.count = input.size(0),
          .height = input.size(2),
          .width = input.size(3),
          .in_channels = weight.size(1),
          .out_channels = weight.size(0),
          .padding = padding};
}

// As Winograd's kernels take weights: [kernel, kernel, in, out].
at::Tensor Filters(const at::Tensor& weight) { return weight.permute({2, 3, 1, 0}).contiguous(); }

}  // namespace

bool Conv2d::GoesByWinograd(const at::Tensor& input, const at::Tensor& weight) const {
  return weight.scalar_type() == at::kFloat && weight.size(2) == 3 && weight.size(3) == 3 &&
         shape_.padding.height == shape_.padding.width && shape_.stride == 1 && shape_.dilation == 1 &&
         shape_.groups == 1 && WinogradPays(WinogradShapeOf(input, weight, shape_.padding.height));
}

at::Tensor Conv2d::Convolve(const at::Tensor& input, const at::Tensor& weight, const at::Tensor& bias) const {
  if (GoesByWinograd(input, weight)) {
    const WinogradShape shape = WinogradShapeOf(input, weight, shape_.padding.height);
    at::Tensor out =
        EmptyImages(shape.count, shape.out_channels, shape.out_height(), shape.out_width(), at::kFloat);
    WinogradForward(shape, Dense(input).data_ptr<float>(), Filters(weight).data_ptr<float>(),
                    bias.defined() ? bias.data_ptr<float>() : nullptr, out.data_ptr<float>());
    return out;
  }
  const int64_t s = shape_.stride;
  const auto p = shape_.padding;
  const int64_t d = shape_.dilation;
  return Dense(at::convolution(input, weight, OptionalTensor(bias), {s, s}, {p.height, p.width}, {d, d},
                               /*transposed=*/false, {0, 0}, shape_.groups));
}

at::Tensor Conv2d::Forward(std::span<const at::Tensor> inputs, const ForwardMode& mode) {
  const at::Tensor& input = inputs[0];
  if (!mode.training && folded_weight_.defined()) return Convolve(input, folded_weight_, folded_bias_);
  if (mode.training) input_ = input;
  return Convolve(input, weight_.compute, bias_ == nullptr ? at::Tensor() : bias_->compute);
}

std::vector<at::Tensor> Conv2d::Backward(const at::Tensor& gradient) {
  const at::Tensor input = std::exchange(input_, at::Tensor());
  if (GoesByWinograd(input, weight_.compute)) return {WinogradBackward(Dense(input), Dense(gradient))};
  const int64_t s = shape_.stride;
  const auto p = shape_.padding;
  const int64_t d = shape_.dilation;
  const std::vector<int64_t> bias_sizes = {gradient.size(1)};
  auto [input_gradient, weight_gradient, bias_gradient] = at::convolution_backward(
      gradient, input, weight_.compute, at::IntArrayRef(bias_sizes), {s, s}, {p.height, p.width}, {d, d},
      /*transposed=*/false, {0, 0}, shape_.groups, {needs_input_gradient_, true, bias_ != nullptr});
  weight_.gradient.copy_(weight_gradient);
  if (bias_ != nullptr) bias_->gradient.copy_(bias_gradient);
  return {input_gradient.defined() ? Dense(input_gradient) : input_gradient};
}

at::Tensor Conv2d::WinogradBackward(const at::Tensor& input, const at::Tensor& gradient) {
  const WinogradShape shape = WinogradShapeOf(input, weight_.compute, shape_.padding.height);
  const at::Tensor weight_gradient =
      at::empty({3, 3, shape.in_channels, shape.out_channels}, weight_.compute.options());
  WinogradWeightGradient(shape, input.data_ptr<float>(), gradient.data_ptr<float>(),
                         weight_gradient.data_ptr<float>());
  weight_.gradient.copy_(weight_gradient.permute({3, 2, 0, 1}));
  if (bias_ != nullptr) bias_->gradient.copy_(gradient.sum({0, 2, 3}));
  if (!needs_input_gradient_) return {};
  at::Tensor input_gradient = at::empty_like(input);
  WinogradInputGradient(shape, gradient.data_ptr<float>(), Filters(weight_.compute).data_ptr<float>(),
                        input_gradient.data_ptr<float>());
  return input_gradient;
}

void Conv2d::Fold(const at::Tensor& scale, const at::Tensor& shift) {
  const at::ScalarType type = weight_.compute.scalar_type();
  folded_weight_ = Dense((weight_.value * scale.view({-1, 1, 1, 1})).to(type));
  folded_bias_ = (bias_ == nullptr ? shift : shift + bias_->value * scale).to(type);
}

BuiltOperation BuildConv2d(const BuildContext& context) {
  const auto& attributes = context.node.attributes;
  const int64_t out_channels = search_space::IntegerOf(attributes, "out_channels");
  const auto kernel = search_space::ExtentOf(attributes, "kernel");
  const Conv2dShape shape = {.stride = search_space::IntegerOf(attributes, "stride"),
                             .padding = search_space::ExtentOf(attributes, "padding"),
                             .dilation = search_space::IntegerOf(attributes, "dilation"),
                             .groups = search_space::IntegerOf(attributes, "groups")};
  const bool has_bias = search_space::SwitchOf(attributes, "bias");
  const int64_t group_channels = context.inputs[0]->shape[0] / shape.groups;
  Parameter& weight = context.store.Add(
      context.prefix + "weight", {out_channels, group_channels, kernel.height, kernel.width},
      /*decays=*/true, HeNormal(group_channels * kernel.height * kernel.width));
  Parameter* bias = nullptr;
  if (has_bias)
    bias = &context.store.Add(context.prefix + "bias", {out_channels}, /*decays=*/false, Constant(0));
  return std::make_unique<Conv2d>(shape, weight, bias);
}

}  // namespace canopy::trainer
