#include "worker/trainer/ops/batch_norm.h"

#include <cmath>
#include <memory>
#include <utility>

#include "search_spaces/ops/operator.h"
#include "worker/trainer/kernels/batch_norm.h"
#include "worker/trainer/kernels/elementwise.h"
#include "worker/trainer/ops/builders.h"

namespace canopy::trainer {
at::Tensor BatchNorm::Forward(std::span<const at::Tensor> inputs, const ForwardMode& mode) {
  const at::Tensor input = Dense(inputs[0]);
  if (!mode.training) return Infer(input);
  const int64_t channels = input.size(ChannelAxis(input));
  const int64_t rows = input.numel() / channels;
  const auto size = static_cast<size_t>(channels);
  std::vector<double> mean(size);
  std::vector<double> variance(size);
  batch_mean_.resize(size);
  inverse_deviation_.resize(size);
  scale_.resize(size);
  shift_.resize(size);
  at::Tensor output = reader_scales_ ? input : at::empty_like(input);
  WithElements(input, [&](auto elements) {
    BatchStatistics(elements(input), rows, channels, mean.data(), variance.data());
    const float* weight = weight_ == nullptr ? nullptr : weight_->value.data_ptr<float>();
    const float* bias = bias_ == nullptr ? nullptr : bias_->value.data_ptr<float>();
    auto* running_mean = mean_.value.data_ptr<float>();
    auto* running_variance = variance_.value.data_ptr<float>();
    const double unbiased = rows > 1 ? static_cast<double>(rows) / static_cast<double>(rows - 1) : 1.0;
    for (size_t c = 0; c < size; ++c) {
      const double inverse = 1 / std::sqrt(variance[c] + eps_);
      const double scale = inverse * (weight == nullptr ? 1.0 : static_cast<double>(weight[c]));
      batch_mean_[c] = static_cast<float>(mean[c]);
      inverse_deviation_[c] = static_cast<float>(inverse);
      scale_[c] = static_cast<float>(scale);
      shift_[c] =
          static_cast<float>((bias == nullptr ? 0.0 : static_cast<double>(bias[c])) - mean[c] * scale);
      running_mean[c] += static_cast<float>(momentum_ * (mean[c] - static_cast<double>(running_mean[c])));
      running_variance[c] +=
          static_cast<float>(momentum_ * (variance[c] * unbiased - static_cast<double>(running_variance[c])));
    }
    if (!reader_scales_)
      ScaleShift(elements(input), rows, channels, scale_.data(), shift_.data(), relu_, elements(output));
  });
  input_ = input;
  return output;
}

std::vector<at::Tensor> BatchNorm::Backward(const at::Tensor& gradient) {
  const at::Tensor input = std::exchange(input_, at::Tensor());
  const at::Tensor dy = Dense(gradient);
  const int64_t channels = input.size(ChannelAxis(input));
  const int64_t rows = input.numel() / channels;
  const auto size = static_cast<size_t>(channels);
  std::vector<double> sum_dy(size);
  std::vector<double> sum_dy_x(size);
  std::vector<float> a(size);
  std::vector<float> b(size);
  std::vector<float> c(size);
  at::Tensor dx;
  WithElements(input, [&](auto elements) {
    BackwardSums(elements(input), elements(dy), rows, channels, batch_mean_.data(), scale_.data(),
                 shift_.data(), relu_, sum_dy.data(), sum_dy_x.data());
    for (size_t i = 0; i < size; ++i) {
      const auto inverse = static_cast<double>(inverse_deviation_[i]);
      if (weight_ != nullptr) {
        weight_->gradient.data_ptr<float>()[i] = static_cast<float>(sum_dy_x[i] * inverse);
        bias_->gradient.data_ptr<float>()[i] = static_cast<float>(sum_dy[i]);
      }
      // dx = scale * (dy - mean(dy) - (x - mean) * inverse^2 * mean(dy * (x - mean)))
      const auto scale = static_cast<double>(scale_[i]);
      const double slope = -scale * inverse * inverse * sum_dy_x[i] / static_cast<double>(rows);
      a[i] = static_cast<float>(scale);
      b[i] = static_cast<float>(slope);
      c[i] = static_cast<float>(-scale * sum_dy[i] / static_cast<double>(rows) -
                                slope * static_cast<double>(batch_mean_[i]));
    }
    if (!needs_input_gradient_) return;
    dx = at::empty_like(input);
    BackwardInput(elements(input), elements(dy), rows, channels, {a.data(), b.data(), c.data()},
                  scale_.data(), shift_.data(), relu_, elements(dx));
  });
  return {dx};
}

BatchNorm::Affine BatchNorm::InferenceAffine() const {
  at::Tensor scale = (variance_.value + eps_).rsqrt();
  if (weight_ != nullptr) scale = scale * weight_->value;
  at::Tensor shift = -mean_.value * scale;
  if (bias_ != nullptr) shift = shift + bias_->value;
  return {scale, shift};
}

at::Tensor BatchNorm::Infer(const at::Tensor& input) const {
  if (folded_) {
    at::Tensor output = input;  // no other node reads the convolution's output
    if (relu_)
      WithElements(input, [&](auto elements) { Relu(elements(input), input.numel(), elements(output)); });
    return output;
  }
  const Affine affine = InferenceAffine();
  const int64_t channels = input.size(ChannelAxis(input));
  at::Tensor output = at::empty_like(input);
  WithElements(input, [&](auto elements) {
    ScaleShift(elements(input), input.numel() / channels, channels, affine.scale.data_ptr<float>(),
               affine.shift.data_ptr<float>(), relu_, elements(output));
  });
  return output;
}

BuiltOperation BuildBatchNorm(const BuildContext& context) {
  const auto& attributes = context.node.attributes;
  const double eps = search_space::NumberOf(attributes, "eps");
  const double momentum = search_space::NumberOf(attributes, "momentum");
  const bool affine = search_space::SwitchOf(attributes, "affine");
  const int64_t channels = search_space::ChannelsOf(context.node.shape);
  Parameter* weight = nullptr;
  Parameter* bias = nullptr;
  if (affine) {
    weight = &context.store.Add(context.prefix + "weight", {channels}, /*decays=*/false, Constant(1));
    bias = &context.store.Add(context.prefix + "bias", {channels}, /*decays=*/false, Constant(0));
  }
  Buffer& mean = context.store.AddBuffer(context.prefix + "running_mean", channels, 0);
  Buffer& variance = context.store.AddBuffer(context.prefix + "running_var", channels, 1);
  return std::make_unique<BatchNorm>(eps, momentum, weight, bias, mean, variance);
}

}  // namespace canopy::trainer
