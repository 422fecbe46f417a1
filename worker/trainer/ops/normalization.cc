// Layer and group normalisation, and scales of channels; ops/batch_norm.h has batch normalisation.

#include <memory>
#include <utility>
#include <vector>

#include "search_spaces/ops/operator.h"
#include "worker/trainer/ops/autograd_operation.h"
#include "worker/trainer/ops/builders.h"

namespace canopy::trainer {
namespace {

using Tensors = AutogradOperation::Tensors;

// Weight and bias of each channel; none where the node is not affine.
std::vector<Parameter*> AddAffine(const BuildContext& context) {
  if (!search_space::SwitchOf(context.node.attributes, "affine")) return {};
  const std::vector<int64_t> shape = {search_space::ChannelsOf(context.node.shape)};
  return {&context.store.Add(context.prefix + "weight", shape, /*decays=*/false, Constant(1)),
          &context.store.Add(context.prefix + "bias", shape, /*decays=*/false, Constant(0))};
}

at::Tensor ParameterOrNone(const Tensors& parameters, size_t index) {
  return index < parameters.size() ? parameters[index] : at::Tensor();
}

}  // namespace

// Ba et al. 2016; of images at each pixel, where channels-last memory has its channels in a row.
BuiltOperation BuildLayerNorm(const BuildContext& context) {
  const double eps = search_space::NumberOf(context.node.attributes, "eps");
  const auto forward = [eps](const Tensors& x, const Tensors& p, const ForwardMode&) {
    const bool image = x[0].dim() == 4;
    const at::Tensor rows = image ? x[0].permute({0, 2, 3, 1}) : x[0];
    const at::Tensor y = at::layer_norm(rows, {rows.size(-1)}, OptionalTensor(ParameterOrNone(p, 0)),
                                        OptionalTensor(ParameterOrNone(p, 1)), eps);
    return image ? y.permute({0, 3, 1, 2}) : y;
  };
  return std::make_unique<AutogradOperation>(context, AddAffine(context), forward,
                                             AutogradOperation::Precision::kFloat);
}

// Wu and He 2018.
BuiltOperation BuildGroupNorm(const BuildContext& context) {
  const double eps = search_space::NumberOf(context.node.attributes, "eps");
  const int64_t groups = search_space::IntegerOf(context.node.attributes, "groups");
  const auto forward = [eps, groups](const Tensors& x, const Tensors& p, const ForwardMode&) {
    // Of pixels in a row: LibTorch 2.6 can crash in the backward of images with channels innermost.
    const at::Tensor y =
        at::group_norm(x[0].contiguous().flatten(2), groups, OptionalTensor(ParameterOrNone(p, 0)),
                       OptionalTensor(ParameterOrNone(p, 1)), eps);
    return y.view(x[0].sizes());
  };
  return std::make_unique<AutogradOperation>(context, AddAffine(context), forward,
                                             AutogradOperation::Precision::kFloat);
}

BuiltOperation BuildLayerScale(const BuildContext& context) {
  const auto init = static_cast<float>(search_space::NumberOf(context.node.attributes, "init"));
  Parameter& scale =
      context.store.Add(context.prefix + "weight", {search_space::ChannelsOf(context.node.shape)},
                        /*decays=*/false, Constant(init));
  const auto forward = [](const Tensors& x, const Tensors& p, const ForwardMode&) {
    return x[0].dim() == 4 ? x[0] * p[0].view({1, -1, 1, 1}) : x[0] * p[0];
  };
  return std::make_unique<AutogradOperation>(context, std::vector<Parameter*>{&scale}, forward);
}

}  // namespace canopy::trainer
