#pragma once

#include <span>
#include <vector>

#include "worker/trainer/ops/operation.h"

namespace canopy::trainer {

class BatchNorm;

// The sum of its inputs, in one pass: with the batch norms in front of it where it alone reads them, and
// with the ReLU behind it where one was fused in.
class Add final : public Operation {
 public:
  explicit Add(size_t input_count) : norms_(input_count, nullptr) {}

  // Takes over the scaling of that input in training. Called before the first Forward; `norm` lives as long.
  void AbsorbNorm(size_t input, BatchNorm& norm);
  // Applies a ReLU to the sum. Called before the first Forward.
  void FuseRelu() { relu_ = true; }

  at::Tensor Forward(std::span<const at::Tensor> inputs, const ForwardMode& mode) override;
  std::vector<at::Tensor> Backward(const at::Tensor& gradient) override;

 private:
  std::vector<BatchNorm*> norms_;  // of each input; null: none
  bool relu_ = false;
  at::Tensor output_;  // kept for Backward where there is a ReLU
};

}  // namespace canopy::trainer
