#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "worker/trainer/ops/operation.h"

namespace canopy::trainer {

// Batch normalisation over [N, C, H, W], [N, C] or [N, tokens, C] (Ioffe and Szegedy 2015), statistics in
// fp32, with the ReLU behind it where one was fused in. `momentum` weighs the newest batch in the
// running statistics.
class BatchNorm final : public Operation {
 public:
  // `weight` and `bias` are both null where the normalisation is not affine.
  BatchNorm(double eps, double momentum, Parameter* weight, Parameter* bias, Buffer& mean, Buffer& variance)
      : eps_(eps), momentum_(momentum), weight_(weight), bias_(bias), mean_(mean), variance_(variance) {}

  at::Tensor Forward(std::span<const at::Tensor> inputs, const ForwardMode& mode) override;
  std::vector<at::Tensor> Backward(const at::Tensor& gradient) override;

  bool learns() const override { return weight_ != nullptr; }

  // Applies a ReLU to the output. Called before the first Forward.
  void FuseRelu() { relu_ = true; }

  // In training the output is the input itself: the only reader scales it, by what the newest Forward has
  // found. Called before the first Forward; excludes FuseRelu.
  void LeaveScalingToReader() { reader_scales_ = true; }
  const float* scale() const { return scale_.data(); }  // per channel
  const float* shift() const { return shift_.data(); }

  // Inference is scale * input + shift, per channel.
  struct Affine {
    at::Tensor scale;
    at::Tensor shift;
  };
  Affine InferenceAffine() const;
  // The convolution in front has taken over the affine: inference only applies the fused ReLU.
  void set_folded(bool folded) { folded_ = folded; }

 private:
  at::Tensor Infer(const at::Tensor& input) const;

  double eps_;
  double momentum_;
  Parameter* weight_;
  Parameter* bias_;
  Buffer& mean_;
  Buffer& variance_;
  bool relu_ = false;
  bool reader_scales_ = false;
  bool folded_ = false;

  // Kept for Backward.
  at::Tensor input_;
  std::vector<float> batch_mean_;
  std::vector<float> inverse_deviation_;
  std::vector<float> scale_;
  std::vector<float> shift_;
};

}  // namespace canopy::trainer
