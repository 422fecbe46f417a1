#include <memory>
#include <utility>
#include <vector>

#include "base/check.h"
#include "search_spaces/ops/operator.h"
#include "worker/trainer/ops/builders.h"

namespace canopy::trainer {
namespace {

// Zeroes elements (Srivastava et al. 2014) or whole examples (drop path, Huang et al. 2016) with probability
// `rate` in training and scales the rest by 1 / (1 - rate); nothing in inference.
class Dropout final : public Operation {
 public:
  enum class Unit { kElement, kExample };
  Dropout(double rate, Unit unit) : rate_(rate), unit_(unit) {}

  at::Tensor Forward(std::span<const at::Tensor> inputs, const ForwardMode& mode) override {
    if (!mode.training) return inputs[0];
    CANOPY_CHECK(mode.noise != nullptr);
    at::Tensor mask = unit_ == Unit::kElement ? at::empty_like(inputs[0], at::kFloat)
                                              : at::empty({inputs[0].size(0)}, at::kFloat);
    const auto scale = static_cast<float>(1 / (1 - rate_));
    auto* values = mask.data_ptr<float>();
    for (int64_t i = 0; i < mask.numel(); ++i) values[i] = mode.noise->Double() < rate_ ? 0.0F : scale;
    mask_ = mask.to(inputs[0].scalar_type());
    if (unit_ == Unit::kExample) {
      std::vector<int64_t> sizes(static_cast<size_t>(inputs[0].dim()), 1);
      sizes[0] = inputs[0].size(0);
      mask_ = mask_.view(sizes);
    }
    return inputs[0] * mask_;
  }
  std::vector<at::Tensor> Backward(const at::Tensor& gradient) override {
    const at::Tensor mask = std::exchange(mask_, at::Tensor());
    if (!needs_input_gradient_) return {at::Tensor()};
    return {gradient * mask};
  }

 private:
  double rate_;
  Unit unit_;
  at::Tensor mask_;
};

}  // namespace

BuiltOperation BuildDropout(const BuildContext& context) {
  return std::make_unique<Dropout>(search_space::NumberOf(context.node.attributes, "rate"),
                                   Dropout::Unit::kElement);
}

BuiltOperation BuildDropPath(const BuildContext& context) {
  return std::make_unique<Dropout>(search_space::NumberOf(context.node.attributes, "rate"),
                                   Dropout::Unit::kExample);
}

}  // namespace canopy::trainer
