#include <memory>
#include <utility>

#include "search_spaces/ops/operator.h"
#include "worker/trainer/ops/builders.h"

namespace canopy::trainer {
namespace {

// [N, in] to [N, out].
class Linear final : public Operation {
 public:
  Linear(Parameter& weight, Parameter* bias) : weight_(weight), bias_(bias) {}

  at::Tensor Forward(std::span<const at::Tensor> inputs, const ForwardMode& mode) override {
    if (mode.training) input_ = inputs[0];
    return at::linear(inputs[0], weight_.compute,
                      OptionalTensor(bias_ == nullptr ? at::Tensor() : bias_->compute));
  }
  std::vector<at::Tensor> Backward(const at::Tensor& gradient) override {
    const at::Tensor input = std::exchange(input_, at::Tensor());
    weight_.gradient.copy_(at::mm(gradient.t(), input));
    if (bias_ != nullptr) bias_->gradient.copy_(gradient.sum(0, /*keepdim=*/false, at::kFloat));
    if (!needs_input_gradient_) return {at::Tensor()};
    return {at::mm(gradient, weight_.compute)};
  }

 private:
  Parameter& weight_;
  Parameter* bias_;
  at::Tensor input_;
};

}  // namespace

BuiltOperation BuildLinear(const BuildContext& context) {
  const auto& attributes = context.node.attributes;
  const int64_t features = search_space::IntegerOf(attributes, "features");
  const bool has_bias = search_space::SwitchOf(attributes, "bias");
  const int64_t inputs = context.inputs[0]->shape[0];
  Parameter& weight =
      context.store.Add(context.prefix + "weight", {features, inputs}, /*decays=*/true, FanInUniform(inputs));
  Parameter* bias = nullptr;
  if (has_bias) bias = &context.store.Add(context.prefix + "bias", {features}, /*decays=*/false, Constant(0));
  return std::make_unique<Linear>(weight, bias);
}

}  // namespace canopy::trainer
