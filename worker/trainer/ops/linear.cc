#include <memory>
#include <utility>

#include "search_spaces/ops/operator.h"
#include "worker/trainer/ops/builders.h"

namespace canopy::trainer {
namespace {

// [N, in] to [N, out], or [N, tokens, in] to [N, tokens, out]. `exact`: computed in fp32, and so is its
// output, whatever the network computes in.
class Linear final : public Operation {
 public:
  Linear(Parameter& weight, Parameter* bias, bool exact) : weight_(weight), bias_(bias), exact_(exact) {}

  at::Tensor Forward(std::span<const at::Tensor> inputs, const ForwardMode& mode) override {
    const at::Tensor input = exact_ ? inputs[0].to(at::kFloat) : inputs[0];
    if (mode.training) input_ = input;
    return at::linear(input, Values(weight_),
                      OptionalTensor(bias_ == nullptr ? at::Tensor() : Values(*bias_)));
  }
  std::vector<at::Tensor> Backward(const at::Tensor& gradient) override {
    const at::Tensor input = std::exchange(input_, at::Tensor());
    const at::Tensor rows = gradient.reshape({-1, gradient.size(-1)});
    weight_.gradient.copy_(at::mm(rows.t(), input.reshape({-1, input.size(-1)})));
    if (bias_ != nullptr) bias_->gradient.copy_(rows.sum(0, /*keepdim=*/false, at::kFloat));
    if (!needs_input_gradient_) return {at::Tensor()};
    return {at::mm(rows, Values(weight_)).view(input.sizes()).to(weight_.compute.scalar_type())};
  }
  bool learns() const override { return true; }

 private:
  const at::Tensor& Values(const Parameter& parameter) const {
    return exact_ ? parameter.value : parameter.compute;
  }

  Parameter& weight_;
  Parameter* bias_;
  const bool exact_;
  at::Tensor input_;
};

}  // namespace

BuiltOperation BuildLinear(const BuildContext& context) {
  const auto& attributes = context.node.attributes;
  const int64_t features = search_space::IntegerOf(attributes, "features");
  const bool has_bias = search_space::SwitchOf(attributes, "bias");
  const int64_t inputs = context.inputs[0]->shape.back();
  Parameter& weight =
      context.store.Add(context.prefix + "weight", {features, inputs}, /*decays=*/true, FanInUniform(inputs));
  Parameter* bias = nullptr;
  if (has_bias) bias = &context.store.Add(context.prefix + "bias", {features}, /*decays=*/false, Constant(0));
  // The logits decide what is ranked: rounded to bf16, near classes would tie.
  return std::make_unique<Linear>(weight, bias, /*exact=*/context.is_output);
}

}  // namespace canopy::trainer
