#include "worker/trainer/kernels/pooling.h"

#include <memory>
#include <utility>

#include "search_spaces/ops/operator.h"
#include "worker/trainer/ops/builders.h"

namespace canopy::trainer {
namespace {

struct Window {
  int64_t kernel = 1;
  int64_t stride = 1;
  int64_t padding = 0;
};

PoolShape ShapeOf(const Window& window, at::IntArrayRef input) {
  const auto pooled = [&](int64_t size) {
    return (size + 2 * window.padding - window.kernel) / window.stride + 1;
  };
  return {.count = input[0],
          .height = input[2],
          .width = input[3],
          .channels = input[1],
          .out_height = pooled(input[2]),
          .out_width = pooled(input[3]),
          .kernel = window.kernel,
          .stride = window.stride,
          .padding = window.padding};
}

at::Tensor EmptyOutput(const PoolShape& shape, at::ScalarType type) {
  return EmptyImages(shape.count, shape.channels, shape.out_height, shape.out_width, type);
}

at::Tensor EmptyInput(const PoolShape& shape, at::ScalarType type) {
  return EmptyImages(shape.count, shape.channels, shape.height, shape.width, type);
}

uint16_t* Positions(const at::Tensor& where) {
  return reinterpret_cast<uint16_t*>(where.data_ptr<int16_t>());
}

class MaxPool final : public Operation {
 public:
  explicit MaxPool(const Window& window) : window_(window) {}

  at::Tensor Forward(std::span<const at::Tensor> inputs, const ForwardMode& mode) override {
    const at::Tensor input = Dense(inputs[0]);
    shape_ = ShapeOf(window_, input.sizes());
    at::Tensor output = EmptyOutput(shape_, input.scalar_type());
    uint16_t* where = nullptr;
    if (mode.training) {
      where_ = EmptyOutput(shape_, at::kShort);
      where = Positions(where_);
    }
    WithElements(input,
                 [&](auto elements) { MaxPoolForward(shape_, elements(input), elements(output), where); });
    return output;
  }
  std::vector<at::Tensor> Backward(const at::Tensor& gradient) override {
    const at::Tensor where = std::exchange(where_, at::Tensor());
    if (!needs_input_gradient_) return {at::Tensor()};
    const at::Tensor dy = Dense(gradient);
    at::Tensor dx = EmptyInput(shape_, dy.scalar_type());
    WithElements(
        dy, [&](auto elements) { MaxPoolBackward(shape_, elements(dy), Positions(where), elements(dx)); });
    return {dx};
  }

 private:
  Window window_;
  PoolShape shape_;  // of the newest input
  at::Tensor where_;
};

class AvgPool final : public Operation {
 public:
  AvgPool(const Window& window, bool count_include_pad)
      : window_(window), count_include_pad_(count_include_pad) {}

  at::Tensor Forward(std::span<const at::Tensor> inputs, const ForwardMode&) override {
    const at::Tensor input = Dense(inputs[0]);
    shape_ = ShapeOf(window_, input.sizes());
    at::Tensor output = EmptyOutput(shape_, input.scalar_type());
    WithElements(input, [&](auto elements) {
      AvgPoolForward(shape_, count_include_pad_, elements(input), elements(output));
    });
    return output;
  }
  std::vector<at::Tensor> Backward(const at::Tensor& gradient) override {
    if (!needs_input_gradient_) return {at::Tensor()};
    const at::Tensor dy = Dense(gradient);
    at::Tensor dx = EmptyInput(shape_, dy.scalar_type());
    WithElements(
        dy, [&](auto elements) { AvgPoolBackward(shape_, count_include_pad_, elements(dy), elements(dx)); });
    return {dx};
  }

 private:
  Window window_;
  bool count_include_pad_;
  PoolShape shape_;  // of the newest input
};

// [N, C, H, W] to [N, C] and [N, tokens, features] to [N, features].
class GlobalAvgPool final : public Operation {
 public:
  at::Tensor Forward(std::span<const at::Tensor> inputs, const ForwardMode& mode) override {
    const at::Tensor& input = inputs[0];
    if (mode.training) sizes_ = input.sizes().vec();
    return input.dim() == 4 ? input.mean({2, 3}) : input.mean(1);
  }
  std::vector<at::Tensor> Backward(const at::Tensor& gradient) override {
    if (!needs_input_gradient_) return {at::Tensor()};
    if (sizes_.size() == 3)
      return {(gradient / static_cast<double>(sizes_[1])).unsqueeze(1).expand(sizes_).contiguous()};
    at::Tensor spread = EmptyImages(sizes_[0], sizes_[1], sizes_[2], sizes_[3], gradient.scalar_type());
    const double scale = 1.0 / static_cast<double>(sizes_[2] * sizes_[3]);
    spread.copy_((gradient * scale).view({sizes_[0], sizes_[1], 1, 1}).expand(sizes_));
    return {spread};
  }

 private:
  std::vector<int64_t> sizes_;
};

Window ReadWindow(const BuildContext& context) {
  const auto& attributes = context.node.attributes;
  return {.kernel = search_space::IntegerOf(attributes, "kernel"),
          .stride = search_space::IntegerOf(attributes, "stride"),
          .padding = search_space::IntegerOf(attributes, "padding")};
}

}  // namespace

BuiltOperation BuildMaxPool(const BuildContext& context) {
  return std::make_unique<MaxPool>(ReadWindow(context));
}

BuiltOperation BuildAvgPool(const BuildContext& context) {
  return std::make_unique<AvgPool>(ReadWindow(context),
                                   search_space::SwitchOf(context.node.attributes, "count_include_pad"));
}

BuiltOperation BuildGlobalAvgPool(const BuildContext&) { return std::make_unique<GlobalAvgPool>(); }

}  // namespace canopy::trainer
