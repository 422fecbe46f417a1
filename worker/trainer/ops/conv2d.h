#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "worker/trainer/ops/operation.h"

namespace canopy::trainer {

struct Conv2dShape {
  int64_t stride = 1;
  search_space::Extent padding{0, 0};
  int64_t dilation = 1;
  int64_t groups = 1;
};

// 2-d convolution without transposition. A batch norm behind it can be folded into it for inference. In fp32
// those of kernel 3x3 and stride 1 go by Winograd's algorithm where it pays.
class Conv2d final : public Operation {
 public:
  Conv2d(const Conv2dShape& shape, Parameter& weight, Parameter* bias)
      : shape_(shape), weight_(weight), bias_(bias) {}

  at::Tensor Forward(std::span<const at::Tensor> inputs, const ForwardMode& mode) override;
  std::vector<at::Tensor> Backward(const at::Tensor& gradient) override;

  bool learns() const override { return true; }

  // From now on inference gives scale * output + shift, per output channel (fp32 tensors), of the weights
  // as they are now; training is not affected.
  void Fold(const at::Tensor& scale, const at::Tensor& shift);
  // Inference is that of the weights alone again, and what Fold made is freed.
  void Unfold() { folded_weight_ = folded_bias_ = at::Tensor(); }

 private:
  bool GoesByWinograd(const at::Tensor& input, const at::Tensor& weight) const;
  // Sets the parameters' gradients and gives the input's. REQUIRES GoesByWinograd and dense tensors.
  at::Tensor WinogradBackward(const at::Tensor& input, const at::Tensor& gradient);
  at::Tensor Convolve(const at::Tensor& input, const at::Tensor& weight, const at::Tensor& bias) const;

  Conv2dShape shape_;
  Parameter& weight_;
  Parameter* bias_;
  at::Tensor folded_weight_;
  at::Tensor folded_bias_;
  at::Tensor input_;  // kept for Backward
};

}  // namespace canopy::trainer
