#include "search_spaces/ops/mlp.h"

#include <memory>
#include <vector>

#include "worker/trainer/ops/activation.h"
#include "worker/trainer/ops/autograd_operation.h"
#include "worker/trainer/ops/builders.h"

namespace canopy::trainer {

BuiltOperation BuildMlp(const BuildContext& context) {
  using Tensors = AutogradOperation::Tensors;
  const int64_t features = context.node.shape.back();
  const int64_t hidden = search_space::HiddenFeatures(context.node.attributes, features);
  std::vector<Parameter*> parameters = {&context.store.Add(context.prefix + "up.weight", {hidden, features},
                                                           /*decays=*/true, FanInUniform(features)),
                                        &context.store.Add(context.prefix + "down.weight", {features, hidden},
                                                           /*decays=*/true, FanInUniform(hidden))};
  if (search_space::SwitchOf(context.node.attributes, "bias")) {
    parameters.push_back(
        &context.store.Add(context.prefix + "up.bias", {hidden}, /*decays=*/false, Constant(0)));
    parameters.push_back(
        &context.store.Add(context.prefix + "down.bias", {features}, /*decays=*/false, Constant(0)));
  }
  const auto activation = ActivationNamed(search_space::WordOf(context.node.attributes, "activation"));
  const auto forward = [activation](const Tensors& x, const Tensors& p, const ForwardMode&) {
    const auto bias = [&](size_t index) {
      return OptionalTensor(index < p.size() ? p[index] : at::Tensor());
    };
    return at::linear(activation(at::linear(x[0], p[0], bias(2))), p[1], bias(3));
  };
  return std::make_unique<AutogradOperation>(context, parameters, forward);
}

}  // namespace canopy::trainer
