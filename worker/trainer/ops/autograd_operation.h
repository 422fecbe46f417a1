#pragma once

#include <functional>
#include <span>
#include <vector>

#include "worker/trainer/ops/operation.h"

namespace canopy::trainer {

// An operation whose gradients are LibTorch's: a forward in ATen is all that it needs. Autograd runs over
// this one operation, from its inputs and parameters to its output, and keeps between Forward and Backward
// what its formulas save; the operations around it bring their own gradients. Nothing is copied: autograd
// sees the same memory through tensors of its own. As deterministic as the functions that the forward calls.
class AutogradOperation final : public Operation {
 public:
  using Tensors = std::vector<at::Tensor>;
  // Gives the output, in any layout; the inputs and the parameters, in the constructor's order, are read
  // only. REQUIRES that it is pure but for what it draws from `mode.noise`.
  using Function =
      std::function<at::Tensor(const Tensors& inputs, const Tensors& parameters, const ForwardMode& mode)>;
  // The type that the function sees. kFloat is for sums that bf16 has too few bits for; the output is rounded
  // to the network's type. The network's output is always computed in fp32, and stays it.
  enum class Precision { kNetwork, kFloat };

  AutogradOperation(const BuildContext& context, std::vector<Parameter*> parameters, Function function,
                    Precision precision = Precision::kNetwork);

  at::Tensor Forward(std::span<const at::Tensor> inputs, const ForwardMode& mode) override;
  std::vector<at::Tensor> Backward(const at::Tensor& gradient) override;
  bool learns() const override { return !parameters_.empty(); }

 private:
  const at::Tensor& Values(const Parameter& parameter) const {
    return exact_ ? parameter.value : parameter.compute;
  }
  // From inputs as the network has them to an output as it takes it.
  at::Tensor Compute(Tensors inputs, const Tensors& parameters, const ForwardMode& mode) const;

  std::vector<Parameter*> parameters_;
  Function function_;
  bool exact_;  // computes in fp32
  at::ScalarType output_type_;
  // Kept for Backward.
  Tensors input_leaves_;
  Tensors parameter_leaves_;
  at::Tensor output_;
};

}  // namespace canopy::trainer
