#include <memory>
#include <vector>

#include "search_spaces/ops/operator.h"
#include "worker/trainer/ops/autograd_operation.h"
#include "worker/trainer/ops/builders.h"

namespace canopy::trainer {

BuiltOperation BuildSqueezeExcite(const BuildContext& context) {
  using Tensors = AutogradOperation::Tensors;
  const int64_t channels = context.node.shape[0];
  const int64_t squeeze = search_space::IntegerOf(context.node.attributes, "squeeze");
  const bool silu = search_space::SwitchOf(context.node.attributes, "silu");
  const bool hard = search_space::SwitchOf(context.node.attributes, "hard");
  const std::vector<Parameter*> parameters = {
      &context.store.Add(context.prefix + "squeeze.weight", {squeeze, channels}, /*decays=*/true,
                         FanInUniform(channels)),
      &context.store.Add(context.prefix + "squeeze.bias", {squeeze}, /*decays=*/false, Constant(0)),
      &context.store.Add(context.prefix + "excite.weight", {channels, squeeze}, /*decays=*/true,
                         FanInUniform(squeeze)),
      &context.store.Add(context.prefix + "excite.bias", {channels}, /*decays=*/false, Constant(0))};
  const auto forward = [silu, hard](const Tensors& x, const Tensors& p, const ForwardMode&) {
    const at::Tensor squeezed = at::linear(x[0].mean({2, 3}), p[0], OptionalTensor(p[1]));
    const at::Tensor excited =
        at::linear(silu ? at::silu(squeezed) : at::relu(squeezed), p[2], OptionalTensor(p[3]));
    const at::Tensor gate = hard ? at::hardsigmoid(excited) : at::sigmoid(excited);
    return x[0] * gate.view({gate.size(0), gate.size(1), 1, 1});
  };
  return std::make_unique<AutogradOperation>(context, parameters, forward);
}

}  // namespace canopy::trainer
