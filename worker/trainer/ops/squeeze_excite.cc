#include <memory>
#include <vector>

#include "search_spaces/ops/operator.h"
#include "worker/trainer/ops/activation.h"
#include "worker/trainer/ops/autograd_operation.h"
#include "worker/trainer/ops/builders.h"

namespace canopy::trainer {

BuiltOperation BuildSqueezeExcite(const BuildContext& context) {
  using Tensors = AutogradOperation::Tensors;
  const int64_t channels = context.node.shape[0];
  const int64_t squeeze = search_space::IntegerOf(context.node.attributes, "squeeze");
  const auto activation = ActivationNamed(search_space::WordOf(context.node.attributes, "activation"));
  const auto gate = ActivationNamed(search_space::WordOf(context.node.attributes, "gate"));
  const std::vector<Parameter*> parameters = {
      &context.store.Add(context.prefix + "squeeze.weight", {squeeze, channels}, /*decays=*/true,
                         FanInUniform(channels)),
      &context.store.Add(context.prefix + "squeeze.bias", {squeeze}, /*decays=*/false, Constant(0)),
      &context.store.Add(context.prefix + "excite.weight", {channels, squeeze}, /*decays=*/true,
                         FanInUniform(squeeze)),
      &context.store.Add(context.prefix + "excite.bias", {channels}, /*decays=*/false, Constant(0))};
  const auto forward = [activation, gate](const Tensors& x, const Tensors& p, const ForwardMode&) {
    const at::Tensor squeezed = at::linear(x[0].mean({2, 3}), p[0], OptionalTensor(p[1]));
    const at::Tensor weights = gate(at::linear(activation(squeezed), p[2], OptionalTensor(p[3])));
    return x[0] * weights.view({weights.size(0), weights.size(1), 1, 1});
  };
  return std::make_unique<AutogradOperation>(context, parameters, forward);
}

}  // namespace canopy::trainer
