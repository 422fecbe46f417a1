#include "worker/trainer/ops/autograd_operation.h"

#include <utility>

namespace canopy::trainer {
namespace {

// The same memory as a tensor that autograd takes: one made under InferenceMode is none.
at::Tensor Leaf(const at::Tensor& tensor, bool needs_gradient) {
  at::Tensor leaf = at::from_blob(
      tensor.data_ptr(), tensor.sizes(), tensor.strides(), [tensor](void*) {}, tensor.options());
  if (needs_gradient) leaf.requires_grad_(true);
  return leaf;
}

}  // namespace

AutogradOperation::AutogradOperation(const BuildContext& context, std::vector<Parameter*> parameters,
                                     Function function, Precision precision)
    : parameters_(std::move(parameters)),
      function_(std::move(function)),
      exact_(context.is_output || precision == Precision::kFloat),
      output_type_(context.is_output ? at::kFloat : context.store.compute_type()) {}

at::Tensor AutogradOperation::Compute(Tensors inputs, const Tensors& parameters,
                                      const ForwardMode& mode) const {
  for (at::Tensor& input : inputs)
    if (exact_ && input.is_floating_point()) input = input.to(at::kFloat);
  return function_(inputs, parameters, mode).to(output_type_);
}

at::Tensor AutogradOperation::Forward(std::span<const at::Tensor> inputs, const ForwardMode& mode) {
  if (!mode.training) {
    Tensors parameters;
    for (const Parameter* parameter : parameters_) parameters.push_back(Values(*parameter));
    return Dense(Compute({inputs.begin(), inputs.end()}, parameters, mode));
  }
  const c10::InferenceMode with_autograd(false);
  input_leaves_.clear();
  parameter_leaves_.clear();
  for (const at::Tensor& input : inputs)
    input_leaves_.push_back(Leaf(input, needs_input_gradient_ && input.is_floating_point()));
  for (const Parameter* parameter : parameters_) parameter_leaves_.push_back(Leaf(Values(*parameter), true));
  output_ = Compute(input_leaves_, parameter_leaves_, mode);
  return Dense(output_.detach());
}

std::vector<at::Tensor> AutogradOperation::Backward(const at::Tensor& gradient) {
  const at::Tensor output = std::exchange(output_, at::Tensor());
  const Tensors inputs = std::exchange(input_leaves_, {});
  const Tensors parameters = std::exchange(parameter_leaves_, {});
  if (output.requires_grad()) {
    const c10::InferenceMode with_autograd(false);
    output.backward(Leaf(gradient.to(output.scalar_type()), false));
  }
  for (size_t i = 0; i < parameters.size(); ++i)
    if (parameters[i].grad().defined()) parameters_[i]->gradient.copy_(parameters[i].grad());
  Tensors gradients;
  for (const at::Tensor& input : inputs)
    gradients.push_back(input.grad().defined() ? Dense(input.grad()) : at::Tensor());
  return gradients;
}

}  // namespace canopy::trainer
