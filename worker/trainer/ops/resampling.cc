// What enlarges images: transposed convolution and upsampling. Both compute in fp32: LibTorch 1.13 takes a
// transposed convolution of bf16 for a plain one.

#include <memory>
#include <vector>

#include "search_spaces/ops/operator.h"
#include "worker/trainer/ops/autograd_operation.h"
#include "worker/trainer/ops/builders.h"

namespace canopy::trainer {
namespace {

using Tensors = AutogradOperation::Tensors;
using search_space::IntegerOf;
using search_space::SwitchOf;

}  // namespace

BuiltOperation BuildConvTranspose2d(const BuildContext& context) {
  const auto& attributes = context.node.attributes;
  const int64_t in_channels = context.inputs[0]->shape[0];
  const int64_t out_channels = IntegerOf(attributes, "out_channels");
  const int64_t kernel = IntegerOf(attributes, "kernel");
  const int64_t stride = IntegerOf(attributes, "stride");
  const int64_t padding = IntegerOf(attributes, "padding");
  const int64_t output_padding = IntegerOf(attributes, "output_padding");
  const int64_t dilation = IntegerOf(attributes, "dilation");
  const int64_t groups = IntegerOf(attributes, "groups");
  std::vector<Parameter*> parameters = {&context.store.Add(
      context.prefix + "weight", {in_channels, out_channels / groups, kernel, kernel}, /*decays=*/true,
      HeNormal(in_channels / groups * kernel * kernel))};
  if (SwitchOf(attributes, "bias"))
    parameters.push_back(
        &context.store.Add(context.prefix + "bias", {out_channels}, /*decays=*/false, Constant(0)));
  const auto forward = [=](const Tensors& x, const Tensors& p, const ForwardMode&) {
    return at::convolution(x[0], p[0], OptionalTensor(p.size() > 1 ? p[1] : at::Tensor()), {stride, stride},
                           {padding, padding}, {dilation, dilation}, /*transposed=*/true,
                           {output_padding, output_padding}, groups);
  };
  return std::make_unique<AutogradOperation>(context, parameters, forward,
                                             AutogradOperation::Precision::kFloat);
}

BuiltOperation BuildUpsample(const BuildContext& context) {
  const int64_t height = context.node.shape[1];
  const int64_t width = context.node.shape[2];
  const bool bilinear = SwitchOf(context.node.attributes, "bilinear");
  const auto forward = [=](const Tensors& x, const Tensors&, const ForwardMode&) {
    return bilinear ? at::upsample_bilinear2d(x[0], {height, width}, /*align_corners=*/false)
                    : at::upsample_nearest2d(x[0], {height, width});
  };
  return std::make_unique<AutogradOperation>(context, std::vector<Parameter*>(), forward,
                                             AutogradOperation::Precision::kFloat);
}

}  // namespace canopy::trainer
