// Operators that compute nothing: identity, zero, first_channels and flatten.

#include <memory>

#include "search_spaces/ops/operator.h"
#include "worker/trainer/ops/builders.h"

namespace canopy::trainer {
namespace {

class Identity final : public Operation {
 public:
  at::Tensor Forward(std::span<const at::Tensor> inputs, const ForwardMode&) override { return inputs[0]; }
  std::vector<at::Tensor> Backward(const at::Tensor& gradient) override { return {gradient}; }
};

// Zeros; with a stride, of images smaller by that factor (rounded up).
class Zero final : public Operation {
 public:
  Zero(int64_t stride, at::ScalarType type) : stride_(stride), type_(type) {}

  at::Tensor Forward(std::span<const at::Tensor> inputs, const ForwardMode&) override {
    const at::Tensor& input = inputs[0];
    if (input.dim() != 4) return at::zeros_like(input, type_);  // token numbers too give their shape
    return EmptyImages(input.size(0), input.size(1), (input.size(2) + stride_ - 1) / stride_,
                       (input.size(3) + stride_ - 1) / stride_, type_)
        .zero_();
  }
  std::vector<at::Tensor> Backward(const at::Tensor&) override { return {at::Tensor()}; }

 private:
  int64_t stride_;
  at::ScalarType type_;
};

// The first channels of images, the first features of tokens and vectors.
class FirstChannels final : public Operation {
 public:
  explicit FirstChannels(int64_t channels) : channels_(channels) {}

  at::Tensor Forward(std::span<const at::Tensor> inputs, const ForwardMode& mode) override {
    const int64_t axis = ChannelAxis(inputs[0]);
    if (mode.training) left_out_ = inputs[0].size(axis) - channels_;
    return Dense(inputs[0].narrow(axis, 0, channels_));
  }
  std::vector<at::Tensor> Backward(const at::Tensor& gradient) override {
    const int64_t axis = ChannelAxis(gradient);
    std::vector<int64_t> sizes = gradient.sizes().vec();
    sizes[static_cast<size_t>(axis)] = left_out_;
    return {Dense(at::cat({gradient, at::zeros(sizes, gradient.options())}, axis))};
  }

 private:
  int64_t channels_;
  int64_t left_out_ = 0;
};

// [N, C, H, W] to [N, C * H * W], channels outermost as every framework numbers them, and tokens likewise.
class Flatten final : public Operation {
 public:
  at::Tensor Forward(std::span<const at::Tensor> inputs, const ForwardMode& mode) override {
    if (mode.training) sizes_ = inputs[0].sizes().vec();
    return inputs[0].flatten(1);
  }
  std::vector<at::Tensor> Backward(const at::Tensor& gradient) override {
    return {Dense(gradient.reshape(sizes_))};
  }

 private:
  std::vector<int64_t> sizes_;
};

}  // namespace

BuiltOperation BuildIdentity(const BuildContext&) { return std::make_unique<Identity>(); }

BuiltOperation BuildZero(const BuildContext& context) {
  return std::make_unique<Zero>(search_space::IntegerOf(context.node.attributes, "stride"),
                                context.store.compute_type());
}

BuiltOperation BuildFirstChannels(const BuildContext& context) {
  return std::make_unique<FirstChannels>(search_space::IntegerOf(context.node.attributes, "channels"));
}

BuiltOperation BuildFlatten(const BuildContext&) { return std::make_unique<Flatten>(); }

}  // namespace canopy::trainer
