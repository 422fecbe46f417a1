// What makes tokens of other things, and of them again.

#include <cmath>
#include <memory>
#include <utility>
#include <vector>

#include "base/check.h"
#include "search_spaces/ops/operator.h"
#include "worker/trainer/ops/autograd_operation.h"
#include "worker/trainer/ops/builders.h"

namespace canopy::trainer {
namespace {

using Tensors = AutogradOperation::Tensors;

// Of learned vectors that stand for tokens and positions, as transformers start them.
constexpr double kVectorDeviation = 0.02;

std::unique_ptr<AutogradOperation> Make(const BuildContext& context, std::vector<Parameter*> parameters,
                                        AutogradOperation::Function forward) {
  return std::make_unique<AutogradOperation>(context, std::move(parameters), std::move(forward));
}

// [tokens, features]: sines at even, cosines at odd features, whose wave lengths rise from 2 pi to 20,000 pi.
at::Tensor Sinusoids(int64_t tokens, int64_t features) {
  at::Tensor table = at::empty({tokens, features}, at::kFloat);
  auto* values = table.data_ptr<float>();
  for (int64_t t = 0; t < tokens; ++t) {
    for (int64_t f = 0; f < features; ++f) {
      const double exponent = static_cast<double>(f / 2 * 2) / static_cast<double>(features);
      const double angle = static_cast<double>(t) / std::pow(10000.0, exponent);
      *values++ = static_cast<float>(f % 2 == 0 ? std::sin(angle) : std::cos(angle));
    }
  }
  return table;
}

}  // namespace

BuiltOperation BuildEmbedding(const BuildContext& context) {
  const int64_t vocabulary = search_space::IntegerOf(context.node.attributes, "vocabulary");
  Parameter& vectors = context.store.Add(context.prefix + "weight", {vocabulary, context.node.shape[1]},
                                         /*decays=*/false, Normal(kVectorDeviation));
  return Make(context, {&vectors}, [](const Tensors& x, const Tensors& p, const ForwardMode&) {
    CANOPY_CHECK(!x[0].is_floating_point(), "an embedding takes token numbers");
    return at::embedding(p[0], x[0]);
  });
}

BuiltOperation BuildPatchEmbedding(const BuildContext& context) {
  const auto& attributes = context.node.attributes;
  const int64_t channels = context.inputs[0]->shape[0];
  const int64_t patch = search_space::IntegerOf(attributes, "patch");
  const int64_t features = context.node.shape[1];
  const int64_t fan_in = channels * patch * patch;
  std::vector<Parameter*> parameters = {
      &context.store.Add(context.prefix + "weight", {features, channels, patch, patch}, /*decays=*/true,
                         Normal(1 / std::sqrt(static_cast<double>(fan_in))))};
  if (search_space::SwitchOf(attributes, "bias"))
    parameters.push_back(
        &context.store.Add(context.prefix + "bias", {features}, /*decays=*/false, Constant(0)));
  return Make(context, parameters, [patch](const Tensors& x, const Tensors& p, const ForwardMode&) {
    const at::Tensor patches =
        at::convolution(x[0], p[0], OptionalTensor(p.size() > 1 ? p[1] : at::Tensor()), {patch, patch},
                        {0, 0}, {1, 1}, /*transposed=*/false, {0, 0}, 1);
    return patches.flatten(2).transpose(1, 2);
  });
}

BuiltOperation BuildPositionalEncoding(const BuildContext& context) {
  const auto& shape = context.node.shape;
  if (search_space::SwitchOf(context.node.attributes, "learned")) {
    Parameter& positions =
        context.store.Add(context.prefix + "weight", shape, /*decays=*/false, Normal(kVectorDeviation));
    return Make(context, {&positions},
                [](const Tensors& x, const Tensors& p, const ForwardMode&) { return x[0] + p[0]; });
  }
  const at::Tensor positions = Sinusoids(shape[0], shape[1]);
  return Make(context, {}, [positions](const Tensors& x, const Tensors&, const ForwardMode&) {
    return x[0] + positions.to(x[0].scalar_type());
  });
}

BuiltOperation BuildClassToken(const BuildContext& context) {
  Parameter& token = context.store.Add(context.prefix + "weight", {context.node.shape[1]}, /*decays=*/false,
                                       Normal(kVectorDeviation));
  return Make(context, {&token}, [](const Tensors& x, const Tensors& p, const ForwardMode&) {
    return at::cat({p[0].expand({x[0].size(0), 1, x[0].size(2)}), x[0]}, 1);
  });
}

BuiltOperation BuildLastTokens(const BuildContext& context) {
  const int64_t tokens = context.node.shape[0];
  return Make(context, {}, [tokens](const Tensors& x, const Tensors&, const ForwardMode&) {
    return x[0].narrow(1, x[0].size(1) - tokens, tokens);
  });
}

BuiltOperation BuildSelectToken(const BuildContext& context) {
  const int64_t index = search_space::IntegerOf(context.node.attributes, "index");
  return Make(context, {}, [index](const Tensors& x, const Tensors&, const ForwardMode&) {
    return x[0].select(1, index);
  });
}

}  // namespace canopy::trainer
