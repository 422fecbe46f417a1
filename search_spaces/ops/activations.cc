#include "search_spaces/ops/activations.h"

namespace canopy::search_space {
namespace {

class Activation final : public Operator {
 public:
  Activation(std::string_view name, bool zero_at_zero) : name_(name), zero_at_zero_(zero_at_zero) {}
  std::string_view name() const override { return name_; }
  StatusOr<Shape> InferShape(const Attributes&, std::span<const Shape* const> inputs) const override {
    return *inputs[0];
  }
  bool ZeroPreserving(const Attributes&) const override { return zero_at_zero_; }

 private:
  std::string_view name_;
  bool zero_at_zero_;
};

}  // namespace

const Operator* Gelu() {
  static const Activation instance("gelu", true);
  return &instance;
}
const Operator* HardSwish() {
  static const Activation instance("hard_swish", true);
  return &instance;
}
const Operator* Relu() {
  static const Activation instance("relu", true);
  return &instance;
}
const Operator* Relu6() {
  static const Activation instance("relu6", true);
  return &instance;
}
const Operator* Sigmoid() {
  static const Activation instance("sigmoid", false);
  return &instance;
}
const Operator* Silu() {
  static const Activation instance("silu", true);
  return &instance;
}
const Operator* Tanh() {
  static const Activation instance("tanh", true);
  return &instance;
}

}  // namespace canopy::search_space
