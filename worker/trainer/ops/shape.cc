// Operators that compute nothing: identity, zero, flatten, and what picks and orders channels and tokens.

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

// The first or last channels of images, features of tokens and vectors.
class Slice final : public Operation {
 public:
  enum class End { kFirst, kLast };
  Slice(End end, int64_t channels) : end_(end), channels_(channels) {}

  at::Tensor Forward(std::span<const at::Tensor> inputs, const ForwardMode& mode) override {
    const int64_t axis = ChannelAxis(inputs[0]);
    const int64_t left_out = inputs[0].size(axis) - channels_;
    if (mode.training) left_out_ = left_out;
    return Dense(inputs[0].narrow(axis, end_ == End::kFirst ? 0 : left_out, channels_));
  }
  std::vector<at::Tensor> Backward(const at::Tensor& gradient) override {
    const int64_t axis = ChannelAxis(gradient);
    std::vector<int64_t> sizes = gradient.sizes().vec();
    sizes[static_cast<size_t>(axis)] = left_out_;
    const at::Tensor zeros = at::zeros(sizes, gradient.options());
    return {Dense(end_ == End::kFirst ? at::cat({gradient, zeros}, axis) : at::cat({zeros, gradient}, axis))};
  }

 private:
  End end_;
  int64_t channels_;
  int64_t left_out_ = 0;
};

// Channel k of group g becomes channel k groups + g; the gradient goes back.
class ChannelShuffle final : public Operation {
 public:
  explicit ChannelShuffle(int64_t groups) : groups_(groups) {}

  at::Tensor Forward(std::span<const at::Tensor> inputs, const ForwardMode&) override {
    return Shuffle(inputs[0], groups_);
  }
  std::vector<at::Tensor> Backward(const at::Tensor& gradient) override {
    return {Shuffle(gradient, gradient.size(ChannelAxis(gradient)) / groups_)};
  }

 private:
  static at::Tensor Shuffle(const at::Tensor& tensor, int64_t groups) {
    // With channels innermost, as they lie in memory.
    const bool image = tensor.dim() == 4;
    const at::Tensor rows = image ? tensor.permute({0, 2, 3, 1}) : tensor;
    std::vector<int64_t> sizes = rows.sizes().vec();
    sizes.back() /= groups;
    sizes.insert(sizes.end() - 1, groups);
    const at::Tensor shuffled = rows.reshape(sizes).transpose(-2, -1).reshape(rows.sizes());
    return Dense(image ? shuffled.permute({0, 3, 1, 2}) : shuffled);
  }

  int64_t groups_;
};

class TransposeTokens final : public Operation {
 public:
  at::Tensor Forward(std::span<const at::Tensor> inputs, const ForwardMode&) override {
    return Dense(inputs[0].transpose(1, 2));
  }
  std::vector<at::Tensor> Backward(const at::Tensor& gradient) override {
    return {Dense(gradient.transpose(1, 2))};
  }
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

// The pixels of each square to channels, those of a channel next to each other; the gradient goes back.
class SpaceToDepth final : public Operation {
 public:
  explicit SpaceToDepth(int64_t block) : block_(block) {}

  // With channels innermost, as they lie in memory.
  at::Tensor Forward(std::span<const at::Tensor> inputs, const ForwardMode&) override {
    const at::Tensor rows = inputs[0].permute({0, 2, 3, 1});
    const int64_t height = rows.size(1) / block_, width = rows.size(2) / block_;
    const at::Tensor squares =
        rows.reshape({rows.size(0), height, block_, width, block_, rows.size(3)}).permute({0, 1, 3, 5, 2, 4});
    return Dense(squares.reshape({rows.size(0), height, width, -1}).permute({0, 3, 1, 2}));
  }
  std::vector<at::Tensor> Backward(const at::Tensor& gradient) override {
    const at::Tensor rows = gradient.permute({0, 2, 3, 1});
    const int64_t height = rows.size(1), width = rows.size(2);
    const at::Tensor pixels =
        rows.reshape({rows.size(0), height, width, -1, block_, block_}).permute({0, 1, 4, 2, 5, 3});
    return {Dense(pixels.reshape({rows.size(0), height * block_, width * block_, -1}).permute({0, 3, 1, 2}))};
  }

 private:
  int64_t block_;
};

}  // namespace

BuiltOperation BuildIdentity(const BuildContext&) { return std::make_unique<Identity>(); }

BuiltOperation BuildZero(const BuildContext& context) {
  return std::make_unique<Zero>(search_space::IntegerOf(context.node.attributes, "stride"),
                                context.store.compute_type());
}

BuiltOperation BuildFirstChannels(const BuildContext& context) {
  return std::make_unique<Slice>(Slice::End::kFirst,
                                 search_space::IntegerOf(context.node.attributes, "channels"));
}

BuiltOperation BuildLastChannels(const BuildContext& context) {
  return std::make_unique<Slice>(Slice::End::kLast,
                                 search_space::IntegerOf(context.node.attributes, "channels"));
}

BuiltOperation BuildChannelShuffle(const BuildContext& context) {
  return std::make_unique<ChannelShuffle>(search_space::IntegerOf(context.node.attributes, "groups"));
}

BuiltOperation BuildTransposeTokens(const BuildContext&) { return std::make_unique<TransposeTokens>(); }

BuiltOperation BuildSpaceToDepth(const BuildContext& context) {
  return std::make_unique<SpaceToDepth>(search_space::IntegerOf(context.node.attributes, "block"));
}

BuiltOperation BuildFlatten(const BuildContext&) { return std::make_unique<Flatten>(); }

}  // namespace canopy::trainer
