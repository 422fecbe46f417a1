#include "search_spaces/ops/activations.h"

namespace canopy::search_space {
namespace {

using Type = AttributeSpec::Type;

constexpr std::string_view kWords[] = {"relu", "relu6", "hard_swish", "hard_sigmoid", "silu",
                                       "gelu", "mish",  "sigmoid",    "tanh"};
const AttributeSpec kEluAttributes[] = {{"alpha", Type::kNumber, 1.0, 0, 1000}};
const AttributeSpec kLeakyReluAttributes[] = {{"slope", Type::kNumber, 0.01, 0, 1}};

class Activation final : public Operator {
 public:
  Activation(std::string_view name, bool zero_at_zero, std::span<const AttributeSpec> attributes = {})
      : name_(name), zero_at_zero_(zero_at_zero), attributes_(attributes) {}
  std::string_view name() const override { return name_; }
  std::span<const AttributeSpec> attributes() const override { return attributes_; }
  StatusOr<Shape> InferShape(const Attributes&, std::span<const Shape* const> inputs) const override {
    return *inputs[0];
  }
  bool ZeroPreserving(const Attributes&) const override { return zero_at_zero_; }

 private:
  std::string_view name_;
  bool zero_at_zero_;
  std::span<const AttributeSpec> attributes_;
};

}  // namespace

std::span<const std::string_view> ActivationWords() { return kWords; }

const Operator* Elu() {
  static const Activation instance("elu", true, kEluAttributes);
  return &instance;
}
const Operator* Gelu() {
  static const Activation instance("gelu", true);
  return &instance;
}
const Operator* HardSigmoid() {
  static const Activation instance("hard_sigmoid", false);
  return &instance;
}
const Operator* HardSwish() {
  static const Activation instance("hard_swish", true);
  return &instance;
}
const Operator* LeakyRelu() {
  static const Activation instance("leaky_relu", true, kLeakyReluAttributes);
  return &instance;
}
const Operator* Mish() {
  static const Activation instance("mish", true);
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
