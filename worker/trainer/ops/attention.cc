#include "search_spaces/ops/attention.h"

#include <cmath>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "worker/trainer/ops/autograd_operation.h"
#include "worker/trainer/ops/builders.h"

namespace canopy::trainer {
namespace {

using Tensors = AutogradOperation::Tensors;

// Softmax in fp32: bf16 sums of many tokens lose the small weights.
at::Tensor Attend(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value, bool causal) {
  const double scale = 1 / std::sqrt(static_cast<double>(query.size(-1)));
  at::Tensor scores = at::matmul(query * scale, key.transpose(-2, -1)).to(at::kFloat);
  if (causal) {
    const int64_t tokens = scores.size(-1);
    const at::Tensor later = at::ones({tokens, tokens}, scores.options().dtype(at::kBool)).triu(1);
    scores = scores.masked_fill(later, -std::numeric_limits<float>::infinity());
  }
  return at::matmul(at::softmax(scores, -1).to(value.scalar_type()), value);
}

}  // namespace

BuiltOperation BuildAttention(const BuildContext& context) {
  const auto& attributes = context.node.attributes;
  const int64_t features = context.node.shape[1];
  const int64_t heads = search_space::IntegerOf(attributes, "heads");
  const int64_t size = search_space::HeadFeatures(attributes, features);
  const bool causal = search_space::SwitchOf(attributes, "causal");
  const int64_t inner = heads * size;
  std::vector<Parameter*> parameters = {
      &context.store.Add(context.prefix + "in_proj.weight", {3 * inner, features}, /*decays=*/true,
                         FanInUniform(features)),
      &context.store.Add(context.prefix + "out_proj.weight", {features, inner}, /*decays=*/true,
                         FanInUniform(inner))};
  if (search_space::SwitchOf(attributes, "bias")) {
    parameters.push_back(
        &context.store.Add(context.prefix + "in_proj.bias", {3 * inner}, /*decays=*/false, Constant(0)));
    parameters.push_back(
        &context.store.Add(context.prefix + "out_proj.bias", {features}, /*decays=*/false, Constant(0)));
  }
  const auto forward = [=](const Tensors& x, const Tensors& p, const ForwardMode&) {
    const int64_t count = x[0].size(0);
    const int64_t tokens = x[0].size(1);
    const auto bias = [&](size_t index) {
      return OptionalTensor(index < p.size() ? p[index] : at::Tensor());
    };
    const at::Tensor projected =
        at::linear(x[0], p[0], bias(2)).view({count, tokens, 3, heads, size}).permute({2, 0, 3, 1, 4});
    const at::Tensor attended = Attend(projected[0], projected[1], projected[2], causal);
    return at::linear(attended.transpose(1, 2).reshape({count, tokens, inner}), p[1], bias(3));
  };
  return std::make_unique<AutogradOperation>(context, parameters, forward);
}

}  // namespace canopy::trainer
